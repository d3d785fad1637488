"""self-inflicted: bursts that this host makes itself. Rules and cases stand in self_inflicted.md."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, add_sources, subject_of, times
from whyreset.findings.ports import CUT, Restart
from whyreset.findings.services import OfServices, Services
from whyreset.model import Reset, Step, Subject
from whyreset.words import clock, program, service, span

#: Restarts that are remembered; namespaces, and ports and clients of each.
RESTARTS, NAMESPACES, PORTS_EACH, CLIENTS = 128, 256, 128, 256
#: After a boot peers go on with connections from before it, and services are not up yet, for so long.
BOOT_NS = 600 * SECOND_NS
#: So many services that are restarted within that time are work on the host, not on one service.
SERVICES, TOGETHER_NS = 4, 120 * SECOND_NS
#: Restarts so long before and after packages changed belong to that.
BEFORE_NS, AFTER_NS = 120 * SECOND_NS, 300 * SECOND_NS
#: A service that was away for longer was down.
BACK_NS = 60 * SECOND_NS
#: Over when no further service was restarted for so long.
QUIET_NS = 60 * SECOND_NS
_AROUND_NS = 2 * SECOND_NS


class _Boot(Struct, kw_only=True):
    """What comes to one namespace after a boot."""

    subject: Subject
    first_ns: int
    last_ns: int
    #: Segments of connections that nobody here knows.
    unknown: int = 0
    #: SYNs for ports on which nobody listened yet, and when somebody did.
    early: Counter[int] = field(default_factory=Counter)
    listening_ns: dict[int, int] = field(default_factory=dict)
    clients: Counter[str] = field(default_factory=Counter)
    resets: list[int] = field(default_factory=list)


class SelfInflicted(OfServices):
    """Finds what a boot, an upgrade and work on many services cost."""

    NAME = "self-inflicted"

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._restarts: deque[Restart] = deque(maxlen=RESTARTS)
        self._boots: Table[int, _Boot] = Table(NAMESPACES)
        self._booted_ns = 0
        self._packages_ns = 0

    def see(self, batch: Batch) -> None:
        """Restarts, the host's uptime, and resets while it is short."""
        self._services.see(batch)
        for restart in self._services.restarts:
            if restart.in_order and restart.again_ns - restart.ended_ns <= BACK_NS:
                self._restarts.append(restart)
        if batch.host is not None:
            self._booted_ns = batch.now_ns - round(batch.host.uptime * SECOND_NS) if batch.host.uptime else 0
            self._packages_ns = batch.host.packages_changed_ns
        if not self._booted_ns or batch.now_ns - self._booted_ns > BOOT_NS:
            return
        for reset in batch.resets:
            if reset.facts.direction == "sent" and reset.owner is None:
                self._after_boot(reset)
        for life in batch.lives:
            boot = self._boots.get(life.listener.netns_cookie)
            if boot is not None and life.listener.port in boot.early and not life.listener.until_ns:
                boot.listening_ns.setdefault(life.listener.port, life.listener.since_ns + batch.epoch_ns)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each namespace after a boot, and one for services that were restarted together."""
        for cookie, boot in self._boots.items():
            early = sum(boot.early[port] for port in boot.listening_ns)
            if (boot.unknown or early) and now_ns - self._booted_ns <= BOOT_NS + QUIET_NS:
                yield _of_boot(cookie, boot, self._booted_ns, early, over=now_ns - boot.last_ns > QUIET_NS)
        recent = self._recent(now_ns)
        if recent and now_ns - recent[-1].again_ns <= QUIET_NS:
            with_packages = any(self._is_upgrade(each) for each in recent)
            if with_packages or len({_of(each) for each in recent}) >= SERVICES:
                yield _of_services(recent, self._packages_ns if with_packages else 0)

    def _recent(self, now_ns: int) -> list[Restart]:
        """Those of the last while that belong together: to packages that changed, or to one another."""
        upgrade = [each for each in self._restarts if self._is_upgrade(each) and now_ns - each.again_ns <= AFTER_NS]
        return upgrade or [each for each in self._restarts if now_ns - each.again_ns <= TOGETHER_NS]

    def _is_upgrade(self, restart: Restart) -> bool:
        return -BEFORE_NS <= restart.ended_ns - self._packages_ns <= AFTER_NS if self._packages_ns else False

    def _after_boot(self, reset: Reset) -> None:
        sample = reset.sample
        is_early = reset.cause.name == "closed-port" and reset.port is not None
        if not is_early and not (reset.cause.family == "half-open" and not reset.facts.ended):
            return
        subject = subject_of(reset)
        boot = self._boots.touch(
            sample.netns_cookie, lambda: _Boot(subject=subject, first_ns=reset.time_ns, last_ns=reset.last_ns)
        )
        boot.last_ns = max(boot.last_ns, reset.last_ns)
        if reset.port is not None and is_early:
            if reset.port in boot.early or len(boot.early) < PORTS_EACH:
                boot.early[reset.port] += reset.count
        else:
            boot.unknown += reset.count
        add_sources(boot.clients, reset, CLIENTS)
        if len(boot.resets) < 3:
            boot.resets.append(reset.number)


def _of(restart: Restart) -> str:
    process = restart.after.owner.process
    return service(process) or program(process)


def _of_boot(cookie: int, boot: _Boot, booted_ns: int, early: int, *, over: bool) -> Draft:
    until_ns = booted_ns + BOOT_NS
    what = []
    if boot.unknown:
        what.append(f"{times(boot.unknown, 'segment')} of connections that it does not know any more")
    if early:
        ports = ", ".join(f":{port}" for port in sorted(boot.listening_ns)[:4])
        what.append(f"{times(early, 'connection')} to {ports} before anybody listened there")
    return Draft(
        key=("boot", cookie, booted_ns // BOOT_NS),
        subject=boot.subject,
        since_ns=max(booted_ns, boot.first_ns),
        last_ns=boot.last_ns,
        count=boot.unknown + early,
        confidence="likely",
        severity="notice",
        sentence=f"This host booted at {clock(booted_ns)}: it refused {' and '.join(what)}",
        evidence=(
            f"{times(len(boot.clients), 'peer')} concerned, the first {span(boot.first_ns - booted_ns)} after the boot",
            *(
                f"somebody listens on :{port} since {clock(time_ns)}; {times(boot.early[port], 'SYN')} came before"
                for port, time_ns in list(boot.listening_ns.items())[:4]
            ),
        ),
        steps=(Step("last -x reboot shutdown | head", "when and why it was booted"),),
        resets=tuple(boot.resets),
        claims=(
            Claims(causes=frozenset({"half-open"}), netns_cookie=cookie, since_ns=booted_ns, until_ns=until_ns),
            *(
                Claims(
                    causes=frozenset({"closed-port"}),
                    netns_cookie=cookie,
                    ports=frozenset({port}),
                    since_ns=booted_ns,
                    until_ns=time_ns,
                )
                for port, time_ns in boot.listening_ns.items()
            ),
        ),
        stage=f"{bool(boot.unknown)} {bool(early)}",
        over=over,
    )


def _of_services(restarts: list[Restart], packages_ns: int) -> Draft:
    first_ns = min(each.ended_ns for each in restarts)
    last = max(restarts, key=lambda each: each.again_ns)
    names = list(dict.fromkeys(_of(each) for each in restarts))
    # one that listens on several addresses was restarted once
    by_place = {(_of(each), each.after.listener.port): each for each in restarts}
    named = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    listener = last.after.listener
    why = "around a change of its packages" if packages_ns else "together"
    return Draft(
        key=("services",),
        subject=Subject(netns=listener.netns, netns_cookie=listener.netns_cookie, netns_name=last.after.netns_name),
        since_ns=first_ns,
        last_ns=last.again_ns,
        count=len(names),
        confidence="likely",
        severity="notice",
        sentence=(
            f"{times(len(names), 'service')} of this host restarted {why}, within {span(last.again_ns - first_ns)}: "
            f"{named}"
        ),
        evidence=(
            *(
                f"{_of(each)} on :{each.after.listener.port}: ended in order {clock(each.ended_ns)}, back after "
                f"{span(each.again_ns - each.ended_ns)}"
                for each in list(by_place.values())[-4:]
            ),
            *([f"the list of installed packages changed at {clock(packages_ns)}"] if packages_ns else []),
        ),
        steps=(
            Step("tail -n 40 /var/log/apt/history.log /var/log/dnf.log 2>/dev/null", "what was installed or upgraded"),
            Step(f"journalctl --since @{first_ns // SECOND_NS - 60} -t systemd | head -n 100", "what was restarted"),
        ),
        claims=tuple(
            Claims(
                causes=frozenset({"closed-port", *CUT}),
                netns_cookie=each.after.listener.netns_cookie,
                ports=frozenset({each.after.listener.port}),
                since_ns=each.ended_ns - _AROUND_NS,
                until_ns=each.again_ns + _AROUND_NS,
            )
            for each in restarts[-32:]
        ),
        stage=why,
    )
