"""All alerts of a host: counters and explained resets in, what happened to alerts out. No clock and no file in here.

A namespace costs something only while its counters move, and for two minutes after; the others are compared with what
they were.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from whyreset.alerts.bounds import Number
from whyreset.alerts.life import Life, LifeState, Lives, Signal
from whyreset.alerts.mutes import Expected, Silence
from whyreset.alerts.rule import Rule
from whyreset.alerts.space import ATTEMPTS, COUNTED, Space, looks
from whyreset.alerts.streams import MOST_CAUSES, Stream, Streams
from whyreset.alerts.surge import Baseline
from whyreset.model import Alert, Counters, Host, Reset, Shares

#: A namespace in which nothing moves is left alone after so many seconds: all rules have seen it calm by then.
_AWAKE_SECONDS = 140
#: Namespaces that are told apart; as many as the kernel program reads.
_MOST_SPACES = 8192
#: The first namespace of a host has this cookie after each boot; those of others are counted on.
FIRST_COOKIE = 1
#: What a namespace is known for that has sent no reset yet, as seconds of nothing.
_QUIET_SECONDS = 30.0
#: A reading that is this much later, or earlier, came after somebody set the clock.
_CLOCK_SET = 3600.0
#: Seconds that an alert tells the shares of, at least.
_LEAST_SHARES = 10


class SavedSpace(Struct, kw_only=True):
    """What is usual in one namespace."""

    cookie: Number
    sent: Annotated[list[Stream], Meta(max_length=MOST_CAUSES + 1)]
    received: Annotated[list[Stream], Meta(max_length=MOST_CAUSES + 1)]


class AlertState(Struct, kw_only=True):
    """What survives a restart; a value that is saved and loaded."""

    #: Identifies the boot: cookies of namespaces mean nothing after it.
    boot: str = ""
    lives: LifeState = field(default_factory=LifeState)
    spaces: Annotated[list[SavedSpace], Meta(max_length=_MOST_SPACES)] = field(default_factory=list)


class _Known(Struct):
    """A namespace and what its counters were."""

    netns: int
    #: Of the counters that rules look at.
    keys: tuple[float, ...]
    totals: dict[str, float]
    #: When it was read first.
    since: float
    #: What is usual: from before a restart, or of before watching began.
    saved: SavedSpace | None = None
    prior: Baseline | None = None
    prior_received: Baseline | None = None
    space: Space | None = None
    awake_until: float = 0.0


class Alerting:
    """Holds everything together.

    Args:
        rules: in Netdata's syntax.
        silences: times in which nobody is told.
        expected: resets that are meant to be.
        names: the name of a namespace by its inode number.
        boot: identifies this boot of the host.
        state: what `state` gave before.
        counters_only: no resets are seen, and only this program's namespace is read: nothing is said of the others.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        silences: Iterable[Silence] = (),
        expected: Iterable[Expected] = (),
        names: Callable[[int], str] = lambda _inode: "",
        boot: str = "",
        state: AlertState | None = None,
        counters_only: bool = False,
    ) -> None:
        self._counters_only = counters_only
        self._names = names
        self._looks = looks(rules)
        self._expected = tuple(expected)
        self._boot = boot
        self._keys = tuple(each.key for kind in self._looks.kinds for each in kind.dimensions if each.counter)
        state, lost = _still_true(state or AlertState(), boot)
        #: alerts of namespaces that went with the boot; None once their end was told
        self._lost: LifeState | None = lost
        self._saved = {each.cookie: each for each in state.spaces}
        self._lives = Lives(state.lives, silences=silences, shares=self._shares)
        self._known: dict[int, _Known] = {}
        self._began: float | None = None
        self._now = 0.0

    def state(self) -> AlertState:
        """What survives a restart."""
        spaces = dict(self._saved)
        for cookie, known in self._known.items():
            if known.space is not None:
                sent, received = known.space.sent.state(), known.space.received.state()
                spaces[cookie] = SavedSpace(cookie=cookie, sent=sent, received=received)
            elif known.saved is not None:
                spaces[cookie] = known.saved
        return AlertState(boot=self._boot, lives=self._lives.state(), spaces=list(spaces.values()))

    def firing(self) -> list[Alert]:
        """All alerts that are raised, as of the last reading, without shares."""
        return self._lives.firing(self._now)

    def see(self, resets: Iterable[Reset]) -> None:
        """Takes in explained resets; call it before the reading that counts them, and after the first."""
        if self._began is None:
            return
        for reset in resets:
            sample = reset.sample
            known = self._known.get(sample.netns_cookie) or self._meet(sample.netns_cookie, sample.netns, {})
            if known is not None:
                self._book(self._space(sample.netns_cookie, known), reset)

    def read(self, now: float, counters: Iterable[Counters], host: Host) -> list[Alert]:
        """A reading of all namespaces' counters, about one a second; the first only begins, and says nothing.

        Args:
            now: seconds since the epoch.
            counters: of every namespace; one that is missing is gone.
            host: what is known of the host.
        """
        first, before = self._began is None, self._now
        if first:
            self._began, before = now, now - 1
        elif not 0 < now - before < _CLOCK_SET:
            before = now - 1
            self._begin_again(before)
        self._now = now
        alerts: list[Alert] = []
        present = set()
        for each in counters:
            present.add(each.netns_cookie)
            known = self._known.get(each.netns_cookie) or self._meet_now(each, host, first=first)
            if known is None:
                continue
            keys = tuple(each.values.get(name, old) for name, old in zip(self._keys, known.keys, strict=True))
            if keys != known.keys or now < known.awake_until or (known.space is not None and known.space.busy):
                alerts += self._follow(known, each, keys, before, host)
        if present:
            alerts += self._part([cookie for cookie in self._known if cookie not in present])
            if not first and self._lost is not None and not self._counters_only:
                alerts += self._return(present)
        return [] if first else alerts + self._lives.tick(now)

    def _begin_again(self, time: float) -> None:
        for known in self._known.values():
            known.since = time
            if known.space is not None:
                known.space.begin(time, known.totals)

    def _meet(self, cookie: int, netns: int, values: Mapping[str, float]) -> _Known | None:
        """A namespace for the first time; one that comes later has counted nothing yet."""
        if len(self._known) >= _MOST_SPACES:
            return None
        keys = tuple(float(values.get(name, 0)) for name in self._keys)
        totals = {**dict(zip(self._keys, keys, strict=True)), **values}
        quiet = _before(0.0, 0.0)
        known = _Known(netns=netns, keys=keys, totals=totals, since=self._now, prior=quiet, prior_received=quiet)
        self._known[cookie] = known
        return known

    def _meet_now(self, counters: Counters, host: Host, *, first: bool) -> _Known | None:
        """The same where its counters are known: what was there before watching began is no news."""
        cookie = counters.netns_cookie
        known = self._meet(cookie, counters.netns, counters.values if first else {})
        if known is not None and first:
            self._remember(cookie, known, host)
        return known

    def _remember(self, cookie: int, known: _Known, host: Host) -> None:
        """What a counter came to before watching began says what is usual."""
        known.saved = self._saved.pop(cookie, None)
        sent = known.totals.get(COUNTED, 0.0)
        received = known.totals.get(ATTEMPTS, 0.0)
        if not self._counters_only:
            # it holds those that were sent too, but nothing else tells of established connections
            received += known.totals.get("EstabResets", 0.0)
        first = cookie == FIRST_COOKIE and host.uptime
        known.prior = _before(sent, host.uptime if first else 0.0)
        known.prior_received = _before(received, host.uptime if first else 0.0)
        if self._lives.raised(cookie):
            # somebody must see that it is over
            known.awake_until = self._now + _AWAKE_SECONDS

    def _space(self, cookie: int, known: _Known) -> Space:
        if known.space is None:
            saved = known.saved
            known.space = Space(
                cookie,
                known.netns,
                rules=self._looks,
                sent=Streams(known.prior, saved.sent if saved else ()),
                received=Streams(known.prior_received, saved.received if saved else ()),
                counters_only=self._counters_only,
                time=known.since,
                totals=known.totals,
                statuses=self._lives.statuses(cookie),
            )
        return known.space

    def _book(self, space: Space, reset: Reset) -> None:
        if reset.facts.direction == "received":
            # what was sent from this host is told there
            if reset.facts.twin_cause is None:
                space.got[reset.cause.name] += reset.count
            return
        expected = any(each.fits(reset) for each in self._expected)
        space.recent.add(reset, expected=expected)
        if expected:
            space.expected += reset.count
        else:
            space.causes[reset.cause.name] += reset.count

    def _follow(
        self, known: _Known, counters: Counters, keys: tuple[float, ...], before: float, host: Host
    ) -> list[Alert]:
        space = self._space(counters.netns_cookie, known)
        if self._now >= known.awake_until:
            space.rest(before, known.totals)
        if keys != known.keys or space.busy:
            known.awake_until = self._now + _AWAKE_SECONDS
        known.keys = keys
        known.totals = {**counters.values, "agent_uptime": self._now - (self._began or 0.0), "uptime": host.uptime}
        if counters.netns == host.netns:
            known.totals.update(host.gauges)
            space.charts.variables.update(host.limits)
        return self._update(space.read(self._now, known.totals))

    def _part(self, gone: list[int]) -> list[Alert]:
        """Namespaces that are gone; what was seen of one at last may be worth an alert."""
        alerts = []
        for cookie in gone:
            known = self._known.pop(cookie)
            if known.space is not None and known.space.busy:
                alerts += self._update(known.space.read(self._now, known.totals))
        return alerts + self._lives.forget(gone, self._now)

    def _return(self, present: Container[int]) -> list[Alert]:
        """After a restart: the ends of alerts whose namespaces went while nobody watched."""
        lost = Lives(self._lost)
        alerts = lost.forget(lost.namespaces(), self._now)
        alerts += self._lives.forget([each for each in self._lives.namespaces() if each not in present], self._now)
        self._lost = None
        self._saved.clear()
        return alerts

    def _update(self, signals: Iterable[Signal]) -> list[Alert]:
        named = (replace(signal, netns_name=self._names(signal.netns)) for signal in signals)
        return [alert for signal in named for alert in self._lives.update(signal, self._now)]

    def _shares(self, cookie: int, seconds: int) -> Shares | None:
        known = self._known.get(cookie)
        if known is None or known.space is None:
            return None
        now = int(self._now)
        return known.space.recent.shares(now - max(seconds, _LEAST_SHARES), now + 1)


def _before(total: float, uptime: float) -> Baseline | None:
    """What is usual by what a counter had come to; None where it is not known since when it counts."""
    if uptime:
        return Baseline.from_before(total, seconds=uptime)
    return None if total else Baseline(seconds=_QUIET_SECONDS, spread_seconds=_QUIET_SECONDS)


def _still_true(state: AlertState, boot: str) -> tuple[AlertState, LifeState]:
    """What a state still says, and the alerts that went with a boot: only the first namespace is the same after it."""
    if state.boot == boot:
        return state, LifeState()
    lives, lost = list[Life](), list[Life]()
    for life in state.lives.lives:
        (lives if life.signal.netns_cookie == FIRST_COOKIE else lost).append(life)
    kept = AlertState(
        boot=boot,
        lives=LifeState(lives=lives, number=state.lives.number),
        spaces=[each for each in state.spaces if each.cookie == FIRST_COOKIE],
    )
    return kept, LifeState(lives=lost)
