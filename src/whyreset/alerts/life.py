"""The life of alerts, for Netdata's rules and for ours: when a status changes, who is told, and what keeps it quiet.

    change ──▶ pending ──delay──▶ told (firing) ──▶ reminders ──▶ resolved

* Delays are Netdata's: a change waits `up` or `down` seconds before anybody is told, the wait grows by `multiplier`
  with each change meanwhile, up to `max`; what changes back before is never told. The status itself changes at once.
* Nobody is told the same status twice, nor that something is over of which nobody was told (but a rule with
  no-clear-notification tells each warning, and no end).
* FLAPS times told within FLAPPING_SECONDS is flapping: that is said once, then nothing until it has been calm so long.
* Silences, expected resets and `to: silent` mute: the alert is shown, with what muted it. When a silence ends while the
  alert goes on, people are told then.

All times are arguments, in seconds since the epoch. The state is a value that is saved and loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from whyreset.alerts.bounds import Moment, Number, Seconds, Status
from whyreset.alerts.mutes import Silence
from whyreset.alerts.rule import Delay
from whyreset.alerts.status import CLEAR, NAMES, UNINITIALIZED, WARNING
from whyreset.model import Alert, Shares

FLAPS, FLAPPING_SECONDS = 5, 1800
#: Rules in namespaces that are remembered; those that are clear make room first.
MOST_LIVES = 8192
#: A share of expected resets from which an alert is muted.
EXPECTED_SHARE = 0.9
_SILENT = "silent"


class Telling(Struct, frozen=True, kw_only=True):
    """How a rule tells: its options of that name."""

    delay: Delay = Delay()
    no_clear: bool = False
    repeat_warning: Number = 0
    repeat_critical: Number = 0
    to: str = ""
    #: Its figures hold expected resets too.
    counts_expected: bool = True


class Signal(Struct, frozen=True, kw_only=True):
    """What a rule says of a namespace now."""

    rule: str
    netns_cookie: Number
    netns: Number
    netns_name: str = ""
    status: Status
    value: float | None = None
    threshold: float | None = None
    usual: float | None = None
    units: str = ""
    #: Seconds that the value is of.
    window: Number = 0
    summary: str = ""
    streams: tuple[str, ...] = ()
    telling: Telling = Telling()
    #: What it was before it said anything.
    first: Status = UNINITIALIZED


class Life(Struct, kw_only=True):
    """One rule in one namespace."""

    signal: Signal
    number: Number
    status: Status = UNINITIALIZED
    since: Moment = 0.0
    #: When somebody is to be told; None when nobody waits for that.
    due: Moment | None = None
    up: Seconds = 0.0
    down: Seconds = 0.0
    delay_until: Moment = 0.0
    #: The status that was told last and when; reminders count as told.
    told_status: Status | None = None
    told_at: Moment = 0.0
    #: What kept the present status from being told.
    muted_by: str = ""
    flapping: bool = False
    #: When a warning was told, lately.
    raised: Annotated[list[Moment], Meta(max_length=FLAPS + 1)] = field(default_factory=list)
    changed_at: Moment = 0.0
    before: Status = UNINITIALIZED


class LifeState(Struct, kw_only=True):
    """All lives, as a value."""

    lives: Annotated[list[Life], Meta(max_length=MOST_LIVES)] = field(default_factory=list)
    number: Number = 0


#: The shares of a namespace's resets of the last so many seconds; None where nothing is known of it.
SharesOf = Callable[[int, int], Shares | None]


class Lives:
    """All alerts.

    Args:
        state: what `state` gave before a restart.
        silences: times in which nobody is told.
        shares: whose the resets were: (namespace cookie, seconds) -> shares.
    """

    def __init__(
        self, state: LifeState | None = None, *, silences: Iterable[Silence] = (), shares: SharesOf | None = None
    ) -> None:
        state = state or LifeState()
        self._lives = {(life.signal.rule, life.signal.netns_cookie): life for life in state.lives}
        self._number = state.number
        self._silences = tuple(silences)
        self._shares = shares or (lambda _cookie, _seconds: None)

    def state(self) -> LifeState:
        """What survives a restart: what was never wrong need not."""
        lives = [life for life in self._lives.values() if life.number]
        return LifeState(lives=lives, number=self._number)

    def firing(self, now: float) -> list[Alert]:
        """All alerts that are raised, as they are now; without shares, which would have to be counted each time."""
        raised = [life for life in self._lives.values() if life.status >= WARNING]
        return [self._alert(life, now, "changed", shares=False) for life in raised]

    def namespaces(self) -> set[int]:
        """The cookies of those in which an alert is remembered."""
        return {cookie for _, cookie in self._lives}

    def raised(self, netns_cookie: int) -> bool:
        """Whether an alert of this namespace is raised."""
        return any(key[1] == netns_cookie and life.status >= WARNING for key, life in self._lives.items())

    def statuses(self, netns_cookie: int) -> dict[str, int]:
        """What the rules of a namespace have come to, by name."""
        return {rule: life.status for (rule, cookie), life in self._lives.items() if cookie == netns_cookie}

    def update(self, signal: Signal, now: float) -> list[Alert]:
        """A rule's status as it is now; what comes of it."""
        key = (signal.rule, signal.netns_cookie)
        life = self._lives.get(key)
        if life is None:
            self._make_room()
            life = self._lives[key] = Life(signal=signal, number=0, status=signal.first)
        life.signal = signal
        if signal.status == life.status:
            return []
        if signal.status >= WARNING > life.status:
            self._number += 1
            life.number, life.since = self._number, now
        life.before, life.status, life.changed_at = life.status, signal.status, now
        life.muted_by = ""
        life.due = now + self._wait(life, now)
        told = life.due <= now and self._tell(life, now)
        if told or max(life.before, life.status) >= WARNING:
            return [self._alert(life, now, "changed", told=told)]
        return []  # a rule's first look, say

    def tick(self, now: float) -> list[Alert]:
        """What time alone brings: delays that are over, reminders, ends of silences and of flapping."""
        out = []
        for life in self._lives.values():
            if life.flapping and now - life.changed_at >= FLAPPING_SECONDS:
                life.flapping = False
                life.raised.clear()
                # whatever it has come to since
                life.due = now
            if life.due is not None:
                if now >= life.due and self._tell(life, now):
                    out.append(self._alert(life, now, "told", told=True))
            elif life.status >= WARNING:
                if life.muted_by:
                    if self._tell(life, now):
                        out.append(self._alert(life, now, "told", told=True))
                elif self._reminds(life, now):
                    life.told_at = now
                    out.append(self._alert(life, now, "reminder", told=True))
        return out

    def forget(self, netns_cookies: Iterable[int], now: float) -> list[Alert]:
        """Namespaces that are gone: their alerts are over."""
        gone = set(netns_cookies)
        out = []
        for key in [key for key in self._lives if key[1] in gone]:
            life = self._lives.pop(key)
            if life.status >= WARNING:
                told = life.told_status is not None and life.told_status >= WARNING and not life.signal.telling.no_clear
                life.before, life.status = life.status, CLEAR
                life.signal = replace(life.signal, value=None, streams=())
                out.append(replace(self._alert(life, now, "changed", told=told), gone=True))
        return out

    def _make_room(self) -> None:
        if len(self._lives) >= MOST_LIVES:
            quiet = (key for key, life in self._lives.items() if life.status < WARNING)
            del self._lives[next(quiet, next(iter(self._lives)))]

    def _wait(self, life: Life, now: float) -> float:
        delay = life.signal.telling.delay
        if now > life.delay_until:
            life.up, life.down = delay.up, delay.down
        else:
            life.up = min(int(life.up * delay.multiplier), delay.maximum)
            life.down = min(int(life.down * delay.multiplier), delay.maximum)
        wait = life.up if life.status > life.before else life.down
        life.delay_until = now + wait
        return wait

    def _tell(self, life: Life, now: float) -> bool:
        """Whether people are told of the present status now; its wait is over then in any case."""
        life.due = None
        telling = life.signal.telling
        if life.status < CLEAR:
            return False
        if telling.no_clear:
            if life.status <= CLEAR:
                return False
        elif life.told_status == life.status or (life.status == CLEAR and life.told_status is None):
            life.muted_by = ""
            return False
        life.muted_by = self._mute(life, now)
        if life.muted_by:
            return False
        if life.status >= WARNING:
            lately = [each for each in life.raised if now - each < FLAPPING_SECONDS]
            life.raised = [*lately[-FLAPS:], now]
            life.flapping = len(life.raised) >= FLAPS
        life.told_status, life.told_at = life.status, now
        return True

    def _mute(self, life: Life, now: float) -> str:
        signal = life.signal
        if signal.telling.to == _SILENT:
            return "to: silent"
        if life.flapping:
            return "flapping"
        if life.status < WARNING:
            # the end of what was told is told
            return ""
        for silence in self._silences:
            if silence.covers(signal.rule, signal.netns, signal.netns_name, now):
                return f"silence: {silence.name}"
        shares = self._shares(signal.netns_cookie, signal.window) if signal.telling.counts_expected else None
        if shares is not None and shares.resets and shares.expected >= EXPECTED_SHARE * shares.resets:
            return "expected"
        return ""

    def _reminds(self, life: Life, now: float) -> bool:
        telling = life.signal.telling
        every = telling.repeat_warning if life.status == WARNING else telling.repeat_critical
        return bool(every) and life.told_status == life.status and now - life.told_at >= every and not life.flapping

    def _alert(
        self,
        life: Life,
        now: float,
        event: Literal["changed", "told", "reminder"],
        *,
        told: bool = False,
        shares: bool = True,
    ) -> Alert:
        signal = life.signal
        return Alert(
            id=f"a{life.number}",
            rule=signal.rule,
            time_ns=round(now * 1e9),
            netns=signal.netns,
            netns_cookie=signal.netns_cookie,
            netns_name=signal.netns_name,
            event=event,
            old_status=NAMES[life.before if event == "changed" else life.status],
            new_status=NAMES[life.status],
            state=_state(life),
            told=told,
            muted_by="" if told else life.muted_by,
            to=signal.telling.to,
            flapping=life.flapping,
            since_ns=round(life.since * 1e9),
            value=signal.value,
            threshold=signal.threshold,
            usual=signal.usual,
            units=signal.units,
            window=signal.window,
            summary=signal.summary,
            streams=signal.streams,
            shares=self._shares(signal.netns_cookie, signal.window) if shares else None,
        )


def _state(life: Life) -> Literal["pending", "firing", "resolved", "unknown"]:
    if life.status < CLEAR:
        return "unknown"
    if life.status < WARNING:
        return "resolved"
    return "firing" if life.told_status == life.status else "pending"
