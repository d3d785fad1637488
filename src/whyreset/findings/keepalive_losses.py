"""keepalive-losses: peers vanish without a word. Rules and cases stand in keepalive_losses.md."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from msgspec import field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, called, times
from whyreset.findings.steps import inside
from whyreset.findings.tally import Tally
from whyreset.model import Reset, Step

#: Ports that are remembered, and networks of each.
PORTS, NETWORKS = 256, 64
FEW, _MANY = 3, 50
QUIET_NS = 600 * SECOND_NS


class _Losses(Tally, kw_only=True):
    networks: Counter[str] = field(default_factory=Counter)
    user_timeout: bool = False


class KeepaliveLosses:
    """Finds peers that do not answer probes any more."""

    NAME = "keepalive-losses"

    def __init__(self) -> None:
        self._losses: Table[tuple[int, int], _Losses] = Table(PORTS, weight=lambda losses: losses.count)
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Connections that were given up."""
        self._home = batch.host.netns if batch.host else self._home
        for reset in batch.resets:
            if reset.cause.name == "keepalive-timeout" and reset.facts.direction == "sent":
                self._take(reset)
        if self._losses:
            self._losses.drop(lambda losses: batch.now_ns - losses.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port."""
        for key, losses in self._losses.items():
            if losses.count < FEW:
                continue
            [(network, most)] = losses.networks.most_common(1) or [("", 0)]
            whose = f" of {called(losses.subject.process)}" if losses.subject.process else ""
            where = f", {most} of them in {network}" if network and 2 * most > losses.count else ""
            lost = times(losses.count, "connection")
            yield Draft(
                key=key,
                subject=losses.subject,
                since_ns=losses.first_ns,
                last_ns=losses.last_ns,
                count=losses.count,
                confidence="certain" if losses.certain == losses.count else "likely",
                severity="warning" if losses.count >= _MANY else "notice",
                sentence=f"Peers vanished: {lost}{whose} on :{key[1]} got no answer{where}",
                evidence=tuple(_evidence(losses)),
                steps=tuple(self._steps(losses)),
                resets=tuple(losses.resets),
                claims=(
                    Claims(
                        causes=frozenset({"keepalive-timeout"}),
                        netns_cookie=key[0],
                        ports=frozenset({key[1]}),
                        since_ns=losses.first_ns,
                    ),
                ),
                stage=where and network,
            )

    def _take(self, reset: Reset) -> None:
        sample = reset.sample
        port = reset.port if reset.port is not None else sample.local_port
        losses = self._losses.touch((sample.netns_cookie, port), lambda: _Losses.of(reset, port))
        losses.add(reset)
        losses.user_timeout = losses.user_timeout or reset.facts.user_timeout
        for address, count in reset.remotes.top if reset.remotes else ():
            network = network_of(address)
            if network in losses.networks or len(losses.networks) < NETWORKS:
                losses.networks[network] += count

    def _steps(self, losses: _Losses) -> Iterable[Step]:
        port = losses.subject.port
        return inside(
            losses.subject,
            self._home,
            Step(f"ss -tno '( sport = :{port} or dport = :{port} )'", "connections with their keepalive timers"),
            Step("sysctl net.ipv4.tcp_keepalive_time net.ipv4.tcp_keepalive_probes", "what programs start from"),
        )


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """The network that stands for one place: /24, or for IPv6 /64."""
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/{64 if ':' in address else 24}", strict=False))
    except ValueError:
        return address


def _evidence(losses: _Losses) -> Iterable[str]:
    yield "neither data nor probes were answered until the time was over; then the kernel gave the connections up"
    for network, count in losses.networks.most_common(4):
        yield f"{times(count, 'connection')} of {network}"
    if len(losses.networks) > 4:
        yield f"and {times(len(losses.networks) - 4, 'network')} more"
    if losses.user_timeout:
        yield "the program had set TCP_USER_TIMEOUT"
