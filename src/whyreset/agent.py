"""The loop: it holds the clock, drains the sources some ten times a second, runs the pipeline, hands results on.

One thread. Every figure that is lost on the way is counted and told as a notice.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from whyreset.account import Account
from whyreset.alerts.alerting import Alerting, AlertState
from whyreset.alerts.rules import Rules
from whyreset.answers import Answerer
from whyreset.clock import boottime_ns as _boottime_ns
from whyreset.clock import epoch_ns as _epoch_ns
from whyreset.core import lives
from whyreset.core.triggers import Triggers
from whyreset.hands import OWN_HANDS, Hands
from whyreset.looking import Looking
from whyreset.losses import Losses
from whyreset.meaning import Meaning
from whyreset.model import (
    Alert,
    Attempt,
    Count,
    Counters,
    Finding,
    Group,
    Missing,
    Notice,
    Reset,
    Tick,
    Verdict,
)
from whyreset.outputs.desk import Desk
from whyreset.owners.lives import Lives
from whyreset.owners.namespaces import Namespaces
from whyreset.owners.processes import Processes
from whyreset.owners.recent import Recents
from whyreset.owners.sockets import Owners
from whyreset.pipeline import Pipeline, singles
from whyreset.questions import Answer, Question
from whyreset.sources.counters import CounterSource
from whyreset.sources.kernel import KernelSource
from whyreset.sources.limits import LimitSource
from whyreset.sources.loading import Loading
from whyreset.sources.program import Program
from whyreset.walks import Walks, unheld

if TYPE_CHECKING:
    from whyreset.onwire import OnWire

TICK_SECONDS = 0.1
#: Groups in one visit that are called a crowd, and how long the next portion is then gathered.
CROWD = 32
CROWD_NS = 450_000_000
#: Lives taken in one visit: more than their ring can hold, so that none is missing when a reset asks for it.
_LIVES = 8192
#: Processes that are read before the start line, some 50 us each.
_AT_START = 400
#: So often between two ticks is somebody answered who asks.
_EARLY_ANSWERS = 4
#: What is remembered of processes, listeners and former listeners: with full tables `watch` stays within its budget of
#: memory.
_PROCESSES, _TEXT_BYTES, _LISTENERS, _FORMER = 3072, 4 << 20, 4096, 1024
#: Remotes a second whose first contacts are looked at.
_CONTACTS = 64
#: So often are counters read.
_COUNT_NS = 1_000_000_000
_UNASKED = "not asked for: --packets"
_WITHOUT_PACKETS = "resets that the TCP stack did not send"


class Settings(Struct, frozen=True, kw_only=True):
    """How the loop runs."""

    exact_owners: bool = False
    #: One line for each reset, up to so many a second; the rest stays in groups. 0: groups only.
    each_per_second: int = 0
    #: Names of namespaces that have none on disk, by inode.
    names: Mapping[int, str] = {}
    #: Rules of alerts, with silences and what is expected.
    rules: Rules = Rules()
    #: What alerts knew before, and what identifies this boot.
    alert_state: AlertState | None = None
    boot: str = ""
    #: Size of the ring of resets, a power of two; None for the built-in one.
    ring_bytes: int | None = None
    #: Namespaces whose packets are read, by path, "" for our own; none: packets are not read.
    packets: tuple[str, ...] = ()
    #: Size of each ring of packets; None for the built-in one.
    packet_blocks: int | None = None
    #: Copy a sample of the segments that provoke resets; `Agent.triggers` hands them out.
    triggers: bool = False
    #: The kernel's tier to use, though it may have a better one; "" for the best.
    tier: str = ""
    #: Says of which namespaces the verdict is, by inode number and name.
    within: Callable[[int, str], bool] = lambda _netns, _name: True

    @property
    def loading(self) -> Loading:
        """What is loaded into the kernel for it."""
        return Loading(
            exact_owners=self.exact_owners, ring_bytes=self.ring_bytes, tier=self.tier, triggers=self.triggers
        )


_NOTHING = Tick()


class Agent:
    """Watches this host. Use as a context manager: entering attaches everything, leaving removes it.

    Args:
        settings: how.
        hands: do what takes rights.
        wire: what reads packets, where somebody else has a use for them, too; instead of what settings name.
    """

    def __init__(self, settings: Settings, hands: Hands = OWN_HANDS, *, wire: OnWire | None = None) -> None:
        self._settings = settings
        self._hands = hands
        self._program = Program(settings.loading, hands.load)
        self._wire = wire or _on_wire(settings, hands)
        #: Segments that provoked resets, where they were asked for, while it is attached.
        self.triggers: Triggers | None = None
        self._kernel = KernelSource(
            self._program,
            each_per_tick=round(settings.each_per_second * TICK_SECONDS),
            merge=self._wire.merge if self._wire else None,
        )
        self._counters = CounterSource(self._program)
        processes = Processes(capacity=_PROCESSES, text_bytes=_TEXT_BYTES, proc=hands, name_of=hands.container_name)
        self._owners = Owners(processes, Lives(_LISTENERS, memory=_FORMER, opens=self._kernel.serve))
        self._namespaces = Namespaces(names=settings.names, read=hands.namespace_names)
        self._pipeline = Pipeline(self._owners, self._netns_name)
        self._meaning = Meaning(
            self._owners, self._netns_name, settings.within, start=f"{os.getpid():x}-", raw=hands.raw_senders
        )
        self._looking = Looking(hands)
        self._walks = Walks(self._program.held_sockets)
        self._recents = Recents()
        self._answerer = Answerer(self._owners, self._recents, self._netns_name, since_ns=time.time_ns())
        self._desk = Desk(hands.listen, hands.trusts)
        #: Whether somebody asks, and whether groups were begun that nobody has taken yet.
        self._asked = self._begun = False
        self._limits = LimitSource()
        self._alerting = Alerting(
            settings.rules.rules,
            silences=settings.rules.silences,
            expected=settings.rules.expected,
            names=self._netns_name,
            boot=settings.boot,
            state=settings.alert_state,
        )
        self._account: Account | None = None
        self._said = ""
        self._counted_ns = 0
        self._take_after_ns = 0
        self._losses = Losses()

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that run."""
        return (self._kernel.name, self._counters.name, *([self._wire.name] if self._wire else []))

    @property
    def tier(self) -> str:
        """How deep this kernel lets us see."""
        return self._kernel.tier

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Sources that do not run, and what is lost by that."""
        without = () if self._wire else (Missing(source="packets", why=_UNASKED, lost=_WITHOUT_PACKETS),)
        return (*self._program.missing(), *without)

    def __enter__(self) -> Agent:
        self._program.load()
        try:
            if self._wire:
                self._wire.start()
            self._kernel.start()
            self._counters.start()
            if self._settings.triggers:
                self.triggers = Triggers(self._program.triggers)
            self._walks.hold(self._owners, first=True)
            # at its end a process of older kernels has no memory left that would tell its command
            self._owners.catch_up(_boottime_ns(), _AT_START)
            self._account = self._baseline()
            self._looking.begin()
            self._desk.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Detaches everything; nothing stays in the kernel."""
        self.triggers = None
        self._desk.close()
        if self._wire:
            self._wire.close()
        self._counters.close()
        self._kernel.close()
        self._program.close()

    def wait(self, until: float) -> None:
        """Sleeps until that time of time.monotonic(), reading meanwhile when a ring fills fast."""
        left = until - time.monotonic()
        for visit in itertools.count():
            if visit < _EARLY_ANSWERS:
                # whoever asks is answered at once, so often that nobody's asking can keep us busy
                self._program.wake_on(self._desk.fileno())
            self._asked |= self._program.wait(left)
            left = until - time.monotonic()
            if left <= 0:
                return  # the tick reads and answers
            now_ns = _boottime_ns()
            self._drain_wire(now_ns)
            self._begun |= self._kernel.drain(now_ns) > 0
            self._owners.learn(lives.drain(self._program.lives, _LIVES))
            self._serve()

    def tick(self, *, last: bool = False) -> Tick:
        """Everything since the last visit.

        Args:
            last: also what is younger than a judgement takes, and all accounts.
        """
        assert self._account is not None
        self._hands.check()
        now_ns = _boottime_ns()
        due = last or now_ns - self._counted_ns >= _COUNT_NS
        if not due and self._calm():
            return _NOTHING
        epoch_ns = _epoch_ns()
        self._drain_wire(now_ns)
        groups: list[Group] = []
        if last or now_ns >= self._take_after_ns:
            groups, self._begun = self._kernel.take(now_ns, everything=last), False
        # resets first: whom one of them names was told of before it
        self._owners.learn(lives.drain(self._program.lives, _LIVES))
        self._owners.catch_up(now_ns)
        if len(groups) >= CROWD and not self._settings.each_per_second:
            # a flood is told in fewer, larger portions: what it costs stays bounded
            self._take_after_ns = now_ns + CROWD_NS
        if wanted := unheld(groups):
            self._walks.hold(self._owners, wanted)
            # the walk may be first to show who listens since a moment: since when, only the ring tells
            self._owners.learn(lives.drain(self._program.lives, _LIVES))
        if self._settings.each_per_second:
            groups = singles(groups)
        explained = self._explain(groups, epoch_ns)
        if explained:
            self._alerting.see(reset for _, reset in explained)
        if self._wire:
            explained += self._explain(self._wire.take(last=last), epoch_ns)
        self._serve()
        findings: Iterable[Finding] = ()
        verdict: Verdict | None = None
        counts: Iterable[Count] = ()
        notices: Iterable[Notice] = ()
        alerts: Iterable[Alert] = ()
        if due:
            self._counted_ns = now_ns
            counters = self._counters.read(time.monotonic_ns())
            self._account.read(counters, self._program.tallies(self._account.settled()))
            if self._wire:
                self._wire.judge(now_ns, epoch_ns, blind=self._account.blind(self._wire.cookies), everything=last)
                if last:
                    explained += self._explain(self._wire.take(last=True), epoch_ns)
            counts = self._count(now_ns + epoch_ns, everything=last)
            host = self._limits.read(time.monotonic())
            alerts = self._alerting.read((now_ns + epoch_ns) / 1e9, counters, host)
            losses = self._kernel.losses() | self._meaning.losses() | (self._wire.losses() if self._wire else {})
            notices = self._losses.notices(losses, now_ns + epoch_ns)
            attempts = self._attempts()
            self._meaning.see(
                (reset for _, reset in explained),
                now_ns,
                epoch_ns=epoch_ns,
                counts=counts,
                host=host,
                contacts=self._kernel.contacts(_CONTACTS),
                established=self._walks.established(self._meaning.looks()),
                places=self._looking.look(counts, attempts, self._account, host, now_ns),
                attempts=attempts,
            )
            findings = self._meaning.judge(now_ns + epoch_ns)
            alerts = self._meaning.explain(alerts)
            verdict = self._verdict(now_ns + epoch_ns)
        else:
            self._meaning.see((reset for _, reset in explained), now_ns, epoch_ns=epoch_ns)
            findings = self._meaning.judge_early(now_ns + epoch_ns)
        return Tick(
            resets=tuple(reset for _, reset in explained),
            counts=tuple(counts),
            notices=tuple(notices),
            alerts=tuple(alerts),
            findings=tuple(findings),
            verdict=verdict,
        )

    def _calm(self) -> bool:
        """Whether a visit would find nothing: most do, so that what an idle host costs is looking whether."""
        calm = not (self._asked or self._begun or self._wire or self._desk.busy() or self._owners.behind)
        return calm and not self._program.waiting() and not self._meaning.waiting()

    def totals(self) -> dict[str, int]:
        """The whole account so far."""
        totals = self._account.totals() if self._account else {}
        return totals | {"off_wire": self._wire.off_wire_in_all} if self._wire else totals

    def _netns_name(self, inode: int) -> str:
        return self._namespaces.name(inode, time.monotonic_ns())

    def _serve(self) -> None:
        if not self._asked and not self._desk.busy():
            return  # looking in for nobody is what a calm tick would cost most
        self._asked = False
        self._desk.serve(time.monotonic_ns(), self._answer, self._program.open_walk)

    def _answer(self, question: Question, most: int) -> Answer:
        """What `whyreset who` is told."""
        return self._answerer.answer(question, most, now_ns=_boottime_ns(), epoch_ns=_epoch_ns())

    def watched(self) -> list[tuple[int, str]]:
        """The namespaces that are being watched: inode numbers and names."""
        inodes = self._account.namespaces() if self._account else []
        return [(inode, self._netns_name(inode)) for inode in inodes]

    def firing(self) -> list[Alert]:
        """The alerts that are raised now, without shares."""
        return self._alerting.firing()

    def alert_state(self) -> AlertState:
        """What alerts are to know after a restart."""
        return self._alerting.state()

    def _verdict(self, time_ns: int) -> Verdict | None:
        """The verdict, where it says something else than before."""
        verdict = self._meaning.verdict(time_ns)
        said = self._said
        self._said = verdict.sentence
        return verdict if verdict.sentence != said else None

    def _count(self, time_ns: int, *, everything: bool) -> list[Count]:
        assert self._account is not None
        if self._wire:
            lines = self._account.lines(time_ns, everything=everything, off_wire=self._wire.off_wire)
        else:
            lines = self._account.lines(time_ns, everything=everything)
        return [replace(line, netns_name=self._netns_name(line.netns)) for line in lines]

    def _attempts(self) -> list[Attempt]:
        assert self._account is not None
        return [replace(each, netns=self._account.inode(each.netns_cookie)) for each in self._kernel.attempts()]

    def _drain_wire(self, now_ns: int) -> None:
        if self._wire:
            self._wire.drain(now_ns)

    def _explain(self, groups: list[Group], epoch_ns: int) -> list[tuple[Group, Reset]]:
        """Each with its explanation, booked and remembered."""
        assert self._account is not None
        if not groups:
            return []
        explained = self._pipeline.run(groups, epoch_ns=epoch_ns)
        for group, reset in explained:
            self._account.book(group, unknown=reset.cause.certainty == "unknown")
        self._recents.add(reset for _, reset in explained)
        return explained

    def _baseline(self) -> Account:
        """Both sides' figures of one moment: read again while resets come in between."""
        after = self._program.tallies()
        counters: list[Counters] = []
        for _ in range(20):
            before = after
            counters = self._counters.read(time.monotonic_ns())
            self._kernel.begin(_boottime_ns())
            after = self._program.tallies()
            if before == after:
                break
        self._alerting.read(time.time(), counters, self._limits.read(time.monotonic()))
        return Account(counters, after)


def _on_wire(settings: Settings, hands: Hands) -> OnWire | None:
    if not settings.packets:
        return None
    # most watches read no packets, and need not have in memory what reads them
    from whyreset.onwire import OnWire

    return OnWire(settings.packets, ring_blocks=settings.packet_blocks, hands=hands)
