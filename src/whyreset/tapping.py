"""Watching by packets alone: causes as from a capture, live, where no kernel program runs. It has the agent's face.

Owners are those that /proc and sock_diag tell (`holding`), alerts those of the counters, with the shares of what was
seen. A reset is judged two seconds after it came, so alerts look at counters three seconds late.

Every segment of TCP passes its filter, since a cause follows from what came before; see docs for what that costs.
"""

from __future__ import annotations

import os
import time
from collections import deque

from msgspec.structs import replace

from whyreset.account import Account
from whyreset.agent import Settings
from whyreset.alerts.alerting import Alerting, AlertState
from whyreset.captures import Explainer
from whyreset.clock import boottime_ns, epoch_ns
from whyreset.core.live import Live
from whyreset.core.segments import Analyzer
from whyreset.findings import BY_PACKETS
from whyreset.findings.base import SECOND_NS, Batch
from whyreset.findings.judge import Judge
from whyreset.hands import OWN_HANDS, Hands
from whyreset.holding import Holding
from whyreset.model import (
    Alert,
    Contact,
    Count,
    Counters,
    Finding,
    Group,
    Host,
    Missing,
    Notice,
    Owner,
    Record,
    Remotes,
    Reset,
    Segment,
    Tick,
    Verdict,
)
from whyreset.observation import SeenSegment, Tally
from whyreset.observed import ObservedReset
from whyreset.owners.namespaces import Namespaces
from whyreset.sources import diag
from whyreset.sources.counters import OwnCounters
from whyreset.sources.limits import LimitSource
from whyreset.sources.packets import Packets, Wanted

_EVERY_NS = 1_000_000_000
#: Connections that are remembered, 384 bytes each.
_CONNECTIONS = 1 << 16
_VISIT_SECONDS = 0.05
_ADDRESSES_NS = 10_000_000_000
#: Remotes a second whose first contacts are looked at, and what the verdict is of.
_CONTACTS = 64
_VERDICT_NS = 60 * SECOND_NS
#: After so long the resets that a reading counted have been judged.
_JUDGED_SECONDS = 2.5


class Tapping:
    """Explains this namespace's resets from its packets. Use as a context manager.

    Args:
        why: one sentence on why the kernel cannot tell more, for the user.
        settings: of them the rules, what alerts knew before, and the ring's size.
        each: every reset by itself.
        hands: do what takes rights.
    """

    tier = "packets"

    def __init__(self, why: str, settings: Settings, *, each: bool = False, hands: Hands = OWN_HANDS) -> None:
        self._hands = hands
        self._why = why
        self._packets = Packets(
            wanted=Wanted(everything=True), blocks=settings.packet_blocks or 64, opener=hands.open_packets
        )
        self._holding = Holding(hands)
        self._limits = LimitSource()
        self._alerting = Alerting(
            settings.rules.rules,
            silences=settings.rules.silences,
            expected=settings.rules.expected,
            names=self._name,
            boot=settings.boot,
            state=settings.alert_state,
            counters_only=True,
        )
        #: Readings that alerts have not looked at yet: (seconds since the epoch, counters, host).
        self._readings: deque[tuple[float, Counters, Host]] = deque()
        self._counters = OwnCounters()
        self._analyzer = Analyzer(_CONNECTIONS, each)
        self._judge = Judge(BY_PACKETS, start=f"{os.getpid():x}-")
        self._said = ""
        self._explainer = Explainer((), is_ours=lambda address: bool(diag.is_local(address)))
        self._live = Live(self._analyzer, lambda index: self._packets.interface(index, time.monotonic_ns()))
        self._namespaces = Namespaces(read=hands.namespace_names)
        self._account: Account | None = None
        self._latest: Counters | None = None
        self._read_ns = self._renewed_ns = 0
        self._told: dict[str, int] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that run."""
        return (self._packets.name, self._counters.name)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Sources that do not run, and what is lost by that."""
        return (
            Missing(
                source="kernel",
                why=self._why,
                lost="certainty about most causes and owners, and other network namespaces",
            ),
        )

    def __enter__(self) -> Tapping:
        self._counters.start()
        self._packets.start()
        self._latest = self._counters.read()
        self._account = Account([self._latest], {})
        self._alerts(self._latest, at_once=True)
        self._holding.look(boottime_ns())
        self._read_ns = time.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self._packets.close()
        self._counters.close()

    def firing(self) -> list[Alert]:
        """The alerts that are raised now, without shares."""
        return self._alerting.firing()

    def alert_state(self) -> AlertState:
        """What alerts are to know after a restart."""
        return self._alerting.state()

    def wait(self, until: float) -> None:
        """Sleeps until that time of time.monotonic(), reading meanwhile."""
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _VISIT_SECONDS))
            self._packets.drain([self._live])

    def tick(self, *, last: bool = False) -> Tick:
        """What is known since the last visit.

        Args:
            last: also resets of which not all that follows was seen, and the account also where nothing moved.
        """
        self._hands.check()
        now_ns = time.monotonic_ns()
        if now_ns - self._renewed_ns > _ADDRESSES_NS:
            self._renewed_ns = now_ns
            self._explainer.forget_ours()
            self._live.forget_names()
        self._holding.look(boottime_ns())
        self._packets.drain([self._live])
        self._analyzer.pass_time(time.time_ns())
        if last:
            self._analyzer.finish()
        resets = [self._reset(each) for each in self._explainer.run(self._analyzer.take())]
        for reset in resets:
            self._book(reset)
        self._alerting.see(reset for reset in resets if reset.facts.direction != "observed")
        self._judge.see(Batch(now_ns=time.time_ns(), resets=tuple(resets)))
        if not last and now_ns - self._read_ns < _EVERY_NS:
            return Tick(resets=tuple(resets))
        self._read_ns = now_ns
        self._packets.count_dropped()
        counts = self._count(everything=last)
        assert self._latest is not None
        return Tick(
            resets=tuple(resets),
            counts=tuple(counts),
            notices=tuple(self._notices()),
            alerts=tuple(self._alerts(self._latest, at_once=last)),
            findings=tuple(self._find()),
            verdict=self._verdict(),
        )

    def totals(self) -> dict[str, int]:
        """The whole account so far."""
        return self._account.totals() if self._account else {}

    def watched(self) -> list[tuple[int, str]]:
        """The namespace that is being watched: its inode number and name."""
        return [(self._packets.netns, self._name(self._packets.netns))]

    def _reset(self, observed: ObservedReset) -> Reset:
        """In the form that `watch` shows. Times of its sample are of CLOCK_BOOTTIME as all of these are."""
        seen, sent = observed.seen, observed.direction == "sent"
        here, there = (seen.src, seen.sport), (seen.dst, seen.dport)
        (local, local_port), (remote, remote_port) = (here, there) if sent else (there, here)
        active = seen.opener == ("sender" if sent else "receiver")
        sample = Record(
            number=seen.number,
            time_ns=seen.time_ns - epoch_ns(),
            direction=observed.direction,
            netns=self._packets.netns,
            netns_cookie=self._packets.cookie,
            family=seen.family,
            local=local,
            local_port=local_port,
            remote=remote,
            remote_port=remote_port,
            interface=seen.interface,
            trigger=_segment(seen.trigger) if seen.trigger else None,
        )
        return Reset(
            number=seen.number,
            count=observed.count,
            facts=replace(observed.facts, active_open=active),
            cause=observed.cause,
            evidence=observed.evidence,
            sample=sample,
            time_ns=observed.time_ns,
            last_ns=observed.last_ns,
            port=observed.port,
            netns_name=self._name(self._packets.netns),
            remotes=_remotes(observed.receivers if sent else observed.senders, observed.count),
            on_wire=observed.count,
            owner=self._owner(observed, sample),
        )

    def _find(self) -> list[Finding]:
        """What resets and first contacts mean, as far as packets alone tell."""
        contacts = tuple(
            each for each in map(self._placed, self._analyzer.contacts.take(_CONTACTS)) if each is not None
        )
        self._judge.see(Batch(now_ns=time.time_ns(), contacts=contacts))
        return self._judge.judge(time.time_ns())

    def _placed(self, contact: Contact) -> Contact | None:
        """In this namespace; None where it was others' ports that were tried."""
        if not contact.places or not diag.is_local(contact.places[0].address):
            return None
        return replace(contact, netns=self._packets.netns, netns_cookie=self._packets.cookie)

    def _verdict(self) -> Verdict | None:
        """The verdict on the last minute, where it says something else than before."""
        verdict = self._judge.verdict(time.time_ns(), time.time_ns() - _VERDICT_NS)
        said, self._said = self._said, verdict.sentence
        return verdict if verdict.sentence != said else None

    def _owner(self, observed: ObservedReset, sample: Record) -> Owner | None:
        if observed.direction == "observed":
            return None
        return self._holding.owner(
            sample, observed.seen, cause=observed.cause.name, alone=observed.count == 1, epoch_ns=epoch_ns()
        )

    def _alerts(self, counters: Counters, *, at_once: bool) -> list[Alert]:
        """What readings come to whose resets are judged by now."""
        now = (boottime_ns() + epoch_ns()) / 1e9
        self._readings.append((now, counters, self._limits.read(time.monotonic())))
        out: list[Alert] = []
        while self._readings and (at_once or now - self._readings[0][0] > _JUDGED_SECONDS):
            read, found, host = self._readings.popleft()
            out += self._alerting.read(read, [found], host)
        return out

    def _book(self, reset: Reset) -> None:
        assert self._account is not None
        if reset.facts.direction == "observed" or reset.remotes is None:
            return
        group = Group(
            number=reset.number,
            facts=reset.facts,
            count=reset.count,
            first_ns=0,
            last_ns=0,
            netns=reset.sample.netns,
            netns_cookie=reset.sample.netns_cookie,
            port=reset.port,
            remotes=reset.remotes,
            samples=(),
            twin=None,
        )
        self._account.book(group, unknown=reset.cause.certainty == "unknown")

    def _count(self, *, everything: bool) -> list[Count]:
        assert self._account is not None
        self._latest = self._counters.read()
        self._account.read([self._latest], {})
        lines = self._account.lines(time.time_ns(), everything=everything)
        return [replace(line, netns_name=self._name(line.netns)) for line in lines]

    def _notices(self) -> list[Notice]:
        """A notice for each figure of loss that grew."""
        out = []
        known = self._analyzer.summary()
        losses = self._packets.losses() | {
            "connections-forgotten": (known.evicted_open, "open connections forgotten for want of room"),
            "hurried": (known.hurried, "resets judged before all that followed them was seen, for want of room"),
        }
        for name, (count, text) in losses.items():
            grown = count - self._told.get(name, 0)
            if grown > 0:
                self._told[name] = count
                out.append(Notice(time_ns=time.time_ns(), name=name, text=text, count=grown))
        return out

    def _name(self, inode: int) -> str:
        return self._namespaces.name(inode, time.monotonic_ns())


def _segment(seen: SeenSegment) -> Segment:
    return Segment(flags=seen.flags, seq=seen.seq, ack=seen.ack, length=seen.length)


def _remotes(tally: Tally, count: int) -> Remotes:
    # an estimate may be more than there were at all
    return Remotes(distinct=min(tally.distinct, count), exact=tally.exact, top=tally.top)
