"""What happens on a host, told line by line, played to the findings.

    0      listen 8080 api unit=api.service        a process begins to listen; address=ADDRESS
    3      exit api SIGSEGV                        it ends: SIGxxx, a status, «oom»; its listeners go with it
    3      close 8080                              its listener is closed, the process goes on
    3.2    sent closed-port 8080 x43 from 198.51.100.1..43
    4      received closed-port 5432 from 192.0.2.9 by=app state=SYN_SENT
    5      count ListenOverflows=12                counters that moved in this second
    6      contact 203.0.113.5 {7000+i} syn to=192.0.2.3    a first segment, by technique (model.Contact), was reset
    6      raw raw socket of nmap[4711]           who holds raw sockets, as it is found when it is looked
    6      accept 203.0.113.5 443                 a connection from there was accepted, and has closed
    5      established 6379=8                      connections of a port, counted
    5      place 8080=6/5:4/0 somaxconn=4096       a look there: queue/limit:dropped/half-open by port; settings
    5      place unread                            it could not be looked into
    6      attempt 5432 x2 7s from 192.0.2.9 by=app    SYNs that nobody answered, each tried for so long
    0..60/5 sent closed-port {9000+i} from 203.0.113.5     the same every 5 s; i counts from 0

A line is a time in seconds («1m», «2h» too), a verb and its words. Of `sent` and `received`: cause, port («-» for
none), xCOUNT, `from` addresses (A..N goes up in the last part), and KEY=VALUE: `by` (the owner), `closer`, `certainty`,
`age` (seconds since it was opened), `exit` (the closer's signal), and figures of the connection; the rest are facts.
Who listened on a closed port before owns what is refused there, as in the pipeline.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from tests.core import fake_ring
from tests.outputs.values import count, reset
from whyreset import causes
from whyreset.findings.base import Batch
from whyreset.findings.judge import Judge
from whyreset.model import (
    Attempt,
    Cause,
    Finding,
    Host,
    Life,
    Listener,
    Owner,
    Place,
    Process,
    Queue,
    Remotes,
    Reset,
    Stop,
)

SECOND = 1_000_000_000
#: When stories begin: nanoseconds since the epoch; CLOCK_BOOTTIME was 1,000 s then.
EPOCH = 1_795_330_800 * SECOND
BOOT = EPOCH - 1000 * SECOND
NETNS, COOKIE = 4026531840, 1
_FAMILY = {module.NAME: module.FAMILY for module in causes.CAUSES}
#: Causes and triggers of what tries a port, by technique.
_TRIES = {
    "connect": ("closed-port", "S", 20),
    "syn": ("closed-port", "S", 4),
    "fin": ("scan-probe", "F", 0),
    "null": ("scan-probe", "", 0),
    "xmas": ("scan-probe", "FPU", 0),
    "ack": ("stray-segment", "A", 0),
    "maimon": ("stray-segment", "FA", 0),
}
#: Keys of a reset that are no facts: words of the story, figures of its sample.
_WORDS = ("by", "closer", "certainty", "age", "exit")
_FIGURES = ("unread", "idle_ms", "ended_ms", "bytes_in", "bytes_out")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIGNALS = {"SIGSEGV": 11, "SIGKILL": 9, "SIGTERM": 15, "SIGABRT": 6}


class Story:
    """Plays a story to a judge.

    Args:
        text: its lines; what follows a # is a remark.
        judge: who is told.
    """

    def __init__(self, text: str, judge: Judge | None = None) -> None:
        self.judge = judge or Judge()
        self.findings: list[Finding] = []
        self.now_ns = EPOCH
        self._lines = sorted(_lines(text), key=lambda line: line[0])
        self._processes: dict[str, Process] = {}
        self._listeners: dict[int, list[Life]] = {}
        #: By name, as they ended.
        self._gone: dict[str, Process] = {}
        self._former: dict[int, Life] = {}
        self._number = 0
        self._core = fake_ring.Bench(size=1 << 16)

    def play(self, until: float | None = None) -> list[Finding]:
        """Plays it, judging once after each second in which something happens and at the end; returns all findings.

        Args:
            until: seconds; else two after its last line.
        """
        end = until if until is not None else (self._lines[-1][0] if self._lines else 0) + 2
        second = 0
        for time, words in self._lines:
            while second + 1 <= time and second < end:
                second = max(second + 1, min(int(time), second + 30))
                self._judge(second)
            self.now_ns = EPOCH + round(time * SECOND)
            self.judge.see(self._batch(words))
        while second < end:
            second += 1
            self._judge(second)
        return self.findings

    def _judge(self, second: float) -> None:
        self.now_ns = EPOCH + round(second * SECOND)
        self.judge.see(Batch(now_ns=self.now_ns, epoch_ns=BOOT))
        self.findings += self.judge.judge(self.now_ns)

    def _batch(self, words: list[str]) -> Batch:
        verb, *rest = words
        fields: dict[str, Any] = getattr(self, f"_{verb}")(*rest)
        return Batch(now_ns=self.now_ns, epoch_ns=BOOT, **fields)

    # ---- verbs ----

    def _listen(self, port: str, name: str, *more: str) -> dict[str, Any]:
        words = dict(each.split("=", 1) for each in more)
        address = words.pop("address", "0.0.0.0")
        backlog = int(words.pop("backlog", 128))
        process = self._process(name, **words)
        self._number += 1
        listener = Listener(
            netns_cookie=COOKIE,
            netns=NETNS,
            port=int(port),
            address=address,
            family=2,
            ipv6_only=False,
            socket_cookie=self._number,
            owner=(process.pid, process.start_ns),
            since_ns=self.now_ns - BOOT,
            backlog=backlog,
        )
        life = Life(listener=listener, owner=_owner(process))
        self._listeners.setdefault(int(port), []).append(life)
        return {"lives": (life,)}

    def _close(self, port: str, how: Process | None = None) -> dict[str, Any]:
        life = next(each for each in self._listeners[int(port)] if how is None or each.owner.process.pid == how.pid)
        self._listeners[int(port)].remove(life)
        owner = how or life.owner.process
        listener = Listener(
            **{
                **{name: getattr(life.listener, name) for name in Listener.__struct_fields__},
                "until_ns": self.now_ns - BOOT,
                "closer": life.listener.owner,
                "exit_code": how.exit_code if how else None,
                "out_of_memory": bool(how and how.out_of_memory),
            }
        )
        gone = self._former[int(port)] = Life(listener=listener, owner=_owner(owner))
        return {"lives": (gone,)}

    def _exit(self, name: str, how: str) -> dict[str, Any]:
        process = self._processes.pop(name)
        code = _SIGNALS["SIGKILL" if how == "oom" else how] if not how.isdigit() else int(how) << 8
        gone = Process(
            **{
                **{field: getattr(process, field) for field in Process.__struct_fields__},
                "exit_code": code,
                "out_of_memory": how == "oom",
                "ended_ns": self.now_ns - BOOT,
            }
        )
        self._gone[name] = gone
        ports = [port for port, lives in self._listeners.items() for life in lives if life.owner.process is process]
        lives = [life for port in ports for life in self._close(str(port), gone)["lives"]]
        return {"lives": tuple(lives), "ends": (gone,)}

    def _sent(self, *words: str) -> dict[str, Any]:
        return {"resets": (self._reset("sent", *words),)}

    def _received(self, *words: str) -> dict[str, Any]:
        return {"resets": (self._reset("received", *words),)}

    def _count(self, *words: str) -> dict[str, Any]:
        moved = {name: int(value) for name, value in (each.split("=") for each in words)}
        account = count(time_ns=self.now_ns, netns=NETNS, netns_cookie=COOKIE, moved=moved)
        return {"counts": (account,)}

    def _established(self, *words: str) -> dict[str, Any]:
        return {"established": {(COOKIE, int(port)): int(value) for port, value in (each.split("=") for each in words)}}

    def _place(self, *words: str) -> dict[str, Any]:
        pairs = dict(each.split("=") for each in words if "=" in each)
        queues = [self._queue(int(name), value) for name, value in pairs.items() if name.isdigit()]
        settings = {name: int(value) for name, value in pairs.items() if not name.isdigit()}
        unread = "no process is in it any more" if "unread" in words else ""
        place = Place(netns=NETNS, netns_cookie=COOKIE, settings=settings, queues=tuple(queues), unread=unread)
        return {"places": (place,)}

    def _queue(self, port: int, text: str) -> Queue:
        """«waiting/limit[:dropped[/half-open]]»."""
        queue, _, rest = text.partition(":")
        dropped, _, half_open = rest.partition("/")
        waiting, _, limit = queue.partition("/")
        [life] = self._listeners.get(port, [None])[:1]
        return Queue(
            port=port,
            address="0.0.0.0",
            socket_cookie=life.listener.socket_cookie if life else port,
            waiting=int(waiting),
            limit=int(limit),
            drops=int(dropped) if dropped else None,
            half_open=int(half_open) if half_open else None,
            owner=life.owner if life else None,
        )

    def _attempt(self, port: str, *words: str) -> dict[str, Any]:
        tried = next((_seconds(each) for each in words if re.fullmatch(r"[\d.]+s", each)), 0.0)
        number, [remote], keys = _words([each for each in words if not re.fullmatch(r"[\d.]+s", each)])
        process = self._processes.get(keys.get("by", ""))
        attempt = Attempt(
            netns=NETNS,
            netns_cookie=COOKIE,
            remote=remote,
            port=int(port),
            owner=(process.pid, process.start_ns) if process else None,
            process=process,
            count=number,
            shortest_ns=round(tried * SECOND),
            longest_ns=round(tried * SECOND),
            first_ns=self.now_ns - BOOT,
            last_ns=self.now_ns - BOOT,
        )
        return {"attempts": (attempt,)}

    def _host(self, *words: str) -> dict[str, Any]:
        """Gauges, limits as limits.NAME=VALUE, `uptime`, and `packages`: when they changed, in the story's seconds."""
        values = {name: float(value) for name, value in (each.split("=") for each in words)}
        limits = {name.removeprefix("limits."): value for name, value in values.items() if name.startswith("limits.")}
        uptime = values.pop("uptime", 86400.0)
        changed_ns = EPOCH + round(values.pop("packages") * SECOND) if "packages" in values else 0
        gauges = {name: value for name, value in values.items() if not name.startswith("limits.")}
        host = Host(netns=NETNS, uptime=uptime, packages_changed_ns=changed_ns, gauges=gauges, limits=limits)
        return {"host": host}

    def _contact(self, remote: str, port: str, technique: str, *more: str) -> dict[str, Any]:
        cause, flags, options = _TRIES[technique]
        keys = dict(each.split("=", 1) for each in more)
        self._core.write(
            fake_ring.reset(
                time_ns=self.now_ns - BOOT,
                local=keys.get("to", "2001:db8::2" if ":" in remote else "192.0.2.2"),
                local_port=int(port),
                remote=remote,
                trigger=flags,
                trigger_options=options,
                netns_cookie=COOKIE,
                netns_inode=NETNS,
            )
        )
        return {"resets": (self._reset("sent", cause, port, "from", remote, f"trigger={flags}"),), **self._contacts()}

    def _accept(self, remote: str, port: str) -> dict[str, Any]:
        now_ns = self.now_ns - BOOT
        self._core.write(
            fake_ring.close(time_ns=now_ns, opened_ns=now_ns, local_port=int(port), remote=remote, netns_cookie=COOKIE)
        )
        return self._contacts()

    def _contacts(self) -> dict[str, Any]:
        """What the compiled core makes of it."""
        self._core.drain(everything=True)
        self._core.recorder.flush()
        return {"contacts": tuple(self._core.recorder.contacts.take(64))}

    def _raw(self, *words: str) -> dict[str, Any]:
        return {"raw": {COOKIE: (" ".join(words),)}}

    # ---- values ----

    def _reset(self, direction: str, cause: str, port: str, *more: str) -> Reset:
        number, remotes, keys = _words(more)
        service = None if port == "-" else int(port)
        facts = {name: _value(text) for name, text in keys.items() if name not in (*_WORDS, *_FIGURES)}
        owner = self._known(keys["by"]) if "by" in keys else None
        former = self._former.get(service or 0) if cause == "closed-port" and direction == "sent" else None
        listening = self._listeners.get(service or 0) if not owner and cause != "closed-port" else None
        living = listening[0] if listening else None
        self._number += 1
        via = "former listener" if former else "listener"
        found = owner or (former or living).owner.process if (owner or former or living) else None  # type: ignore[union-attr]
        return reset(
            number=self._number,
            count=number,
            cause=Cause(
                name=cause,
                family=_FAMILY.get(cause, cause),
                certainty=keys.get("certainty", "certain"),  # type: ignore[arg-type]
            ),
            facts={"direction": direction, "trigger": None, "reason": "", **facts},
            sample={
                "netns": NETNS,
                "netns_cookie": COOKIE,
                "local_port": service or 0,
                "remote": next(iter(remotes), ""),
                "time_ns": self.now_ns - BOOT,
                "opened_ns": self.now_ns - BOOT - round(float(keys.get("age", 0)) * SECOND),
                "exit_code": _SIGNALS[keys["exit"]] if "exit" in keys else 0,
                **{name: int(keys[name]) for name in _FIGURES if name in keys},
            },
            port=service,
            time_ns=self.now_ns,
            last_ns=self.now_ns,
            remotes=Remotes(
                distinct=len(remotes), exact=True, top=tuple((each, number // len(remotes)) for each in remotes)
            ),
            owner=Owner(process=found, via=via, alive=not former) if found else None,
            stop=Stop(time_ns=former.listener.until_ns + BOOT, exit_code=former.listener.exit_code) if former else None,
            closer=self._known(keys["closer"]) if "closer" in keys else None,
        )

    def _known(self, name: str) -> Process:
        """A process that runs, or ran."""
        return self._processes.get(name) or self._gone[name]

    def _process(self, name: str, **fields: Any) -> Process:
        if name not in self._processes:
            pid = int(fields.pop("pid", 2214 + len(self._processes)))
            self._processes[name] = Process(
                **{"pid": pid, "start_ns": self.now_ns - BOOT, "comm": name, "exe": f"/usr/bin/{name}", **fields}
            )
        return self._processes[name]

    def _run(self, name: str, *more: str) -> dict[str, Any]:
        """A process that only runs."""
        self._process(name, **dict(each.split("=", 1) for each in more))
        return {}


def _owner(process: Process) -> Owner:
    return Owner(process=process, via="listener", alive=process.exit_code is None)


def _value(text: str) -> Any:
    return {"true": True, "false": False, "none": None}.get(text, text)


def _words(words: Iterable[str]) -> tuple[int, list[str], dict[str, str]]:
    number, remotes, keys = 0, ["198.51.100.7"], {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "from":
            remotes = [address for each in rest.pop(0).split(",") for address in _addresses(each)]
        elif re.fullmatch(r"x\d+", word):
            number = int(word[1:])
        else:
            name, _, value = word.partition("=")
            keys[name] = value
    return number or len(remotes), remotes, keys


def _addresses(text: str) -> Iterator[str]:
    first, _, last = text.partition("..")
    if not last:
        yield first
        return
    head, dot, tail = first.rpartition("." if "." in first else ":")
    base = 10 if dot == "." else 16
    for part in range(int(tail, base), int(last, base) + 1):
        yield f"{head}{dot}{part if base == 10 else format(part, 'x')}"


def _lines(text: str) -> Iterator[tuple[float, list[str]]]:
    for raw in text.splitlines():
        line = raw.partition("#")[0].split(maxsplit=1)
        if not line:
            continue
        when, rest = line
        times = re.fullmatch(r"([\d.]+[smh]?)(?:\.\.([\d.]+[smh]?)/([\d.]+[smh]?))?", when)
        assert times, f"no time: {raw}"
        first, last, step = (_seconds(each) if each else None for each in times.groups())
        assert first is not None
        moments = [first]
        if last is not None and step:
            moments = [first + step * number for number in range(int((last - first) / step) + 1)]
        for number, moment in enumerate(moments):
            yield moment, re.sub(r"\{([^}]*)\}", partial(_filled, number), rest).split()


def _filled(number: int, found: re.Match[str]) -> str:
    """«9000+i», «i»."""
    return str(sum(number if part.strip() == "i" else int(part) for part in found[1].split("+")))


def _seconds(text: str) -> float:
    return float(text.rstrip("smh")) * _UNITS[text[len(text.rstrip("smh")) :]]
