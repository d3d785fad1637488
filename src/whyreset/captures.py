"""Explains the resets of captures: the stages that `watch` has, fed by packets alone.

The same causes, in the same order. No file is read in here: blocks of bytes come in, explained resets go out.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from whyreset import causes
from whyreset.model import Cause, Direction, Facts, ObservedReset
from whyreset.observation import Observation, Observations, Side, Tally
from whyreset.payload import meaning
from whyreset.words import escape, span

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Explanations that are kept for facts that come again.
_KEPT = 8192

#: RFC 8684 section 3.6.
_MPTCP = (
    "unspecified error",
    "MPTCP-specific error",
    "lack of resources",
    "administratively prohibited",
    "too much outstanding data",
    "unacceptable performance",
    "middlebox interference",
)


class Explainer:
    """Explains what the core found in captures.

    Args:
        files: their names, in the order in which they are fed to the core.
        local: networks that are ours; they say which resets are sent and which received.
    """

    def __init__(self, files: Sequence[str], local: Iterable[Network] = ()) -> None:
        self._files = files
        self._local = tuple(local)
        self._explained: OrderedDict[Facts, Cause] = OrderedDict()
        self._ours: dict[str, bool] = {}

    def run(self, found: Iterable[Observations]) -> Iterator[ObservedReset]:
        """Each with its explanation, in the same order."""
        return map(self.explain, found)

    def explain(self, group: Observations) -> ObservedReset:
        """One reset, or a group of like ones, with its explanation."""
        seen = group.sample
        facts = Facts(direction=self._direction(group), traits=seen.traits)
        cause = self._cause(facts)
        port = int(group.ports.top[0][0]) if group.ports.exact and group.ports.distinct == 1 else None
        words = _words(seen, port)
        says = meaning(seen.payload, seen.length)
        evidence = [sentence.format_map(words) for sentence in cause.evidence]
        if says:
            evidence.append(f"it says: «{escape(says)}»")
        if seen.traits.state_lost:
            evidence.append("state lost: an open connection was forgotten for want of room, and this may be it")
        if not seen.later.complete:
            evidence.append("what followed it was not all seen")
        return ObservedReset(
            seen=seen,
            count=group.count,
            facts=facts,
            cause=cause,
            evidence=tuple(evidence),
            time_ns=group.first_ns,
            last_ns=group.last_ns,
            file=self._files[seen.file] if seen.file < len(self._files) else "",
            port=port,
            says=says,
            senders=group.senders,
            receivers=group.receivers,
            ports=group.ports,
        )

    def _cause(self, facts: Facts) -> Cause:
        # who is ours changes no cause
        key = replace(facts, direction="observed")
        cause = self._explained.get(key)
        if cause is None:
            cause = self._explained[key] = causes.explain(key)
            if len(self._explained) > _KEPT:
                self._explained.popitem(last=False)
        return cause

    def _direction(self, group: Observations) -> Direction:
        if not self._local:
            return "observed"
        if self._are_ours(group.senders):
            return "sent"
        return "received" if self._are_ours(group.receivers) else "observed"

    def _are_ours(self, addresses: Tally) -> bool:
        """All of a group; of those that are not listed nothing can be said."""
        return len(addresses.top) == addresses.distinct and all(self._is_ours(each) for each, _ in addresses.top)

    def _is_ours(self, address: str) -> bool:
        known = self._ours.get(address)
        if known is None:
            if len(self._ours) >= _KEPT:
                self._ours.clear()
            number = ipaddress.ip_address(address)
            known = self._ours[address] = any(number in network for network in self._local)
        return known


def _words(seen: Observation, port: int | None) -> dict[str, str]:
    """What evidence may ask for: whyreset.causes.packets.SEEN_WORDS."""
    return {
        "sender": _bracket(seen.src),
        "receiver": _bracket(seen.dst),
        "port": str(port) if port is not None else "many",
        "length": str(seen.trigger.length) if seen.trigger else "some",
        "delay": span(seen.time_ns - seen.trigger.time_ns) if seen.trigger else "some time",
        "idle": span(seen.time_ns - last) if (last := _last_ns(seen)) is not None else "some time",
        "outstanding": str(seen.sender.outstanding),
        "unacked": str(seen.receiver.outstanding),
        "probes": str(seen.sender.keepalives or "some"),
        "ttl": str(seen.ttl),
        "ttls": _ttls(seen.sender),
        "next": span(seen.later.next_after_ns) if seen.later.next_after_ns is not None else "some time",
        "mptcp": _mptcp(seen.mptcp_reason),
    }


def _last_ns(seen: Observation) -> int | None:
    """When anything else was last heard on the connection, the trigger left out."""
    times = [side.last.time_ns for side in (seen.sender, seen.receiver) if side.last and side.last != seen.trigger]
    return max(times, default=None)


def _ttls(side: Side) -> str:
    if side.ttl_min is None:
        return "others"
    return str(side.ttl_min) if side.ttl_min == side.ttl_max else f"{side.ttl_min} to {side.ttl_max}"


def _mptcp(reason: int | None) -> str:
    if reason is None:
        return "it gives no reason"
    return _MPTCP[reason] if reason < len(_MPTCP) else f"reason {reason}, newer than this program"


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address
