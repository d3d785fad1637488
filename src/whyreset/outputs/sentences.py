"""What people read about a reset: what happened, what it means, who, and from whom.

One table of plain words for all causes; slugs stay for programs. «client» stands for the other side and is exchanged
for «server» where this host had opened the connection. A sentence claims no more than its cause does, and where that
is not certain it says so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from msgspec import Struct

from whyreset.model import Cause, Facts, Process, Remotes, Reset
from whyreset.words import clock, describe_exit, escape, name, program, service


class Saying(Struct, frozen=True):
    """What happened and, in half a sentence, what that means."""

    what: str
    meaning: str
    #: Harmless, or a part of another reset: never trouble of its own.
    quiet: bool = False
    #: Good evidence, but no proof.
    likely: bool = False


_BOTH_LOSE = "what was on its way is lost"
_HALF_CLOSED = "one side had closed already"

#: Of what this host sent, by slug or family.
SAYINGS: dict[str, Saying] = {
    "closed-port": Saying("closed port", "nobody listens there, clients are refused"),
    "not-from-stack": Saying("reset past the TCP stack", "a firewall, a raw socket or a stack of its own sent it"),
    "firewall-reject": Saying("refused by a firewall", "a reject rule answered, no service was asked"),
    "abort": Saying("connection cut", "a program or the kernel gave it up"),
    "unread-data": Saying("closed with data unread", "the client's last data is lost"),
    "linger-zero": Saying("cut on purpose (SO_LINGER 0)", _BOTH_LOSE),
    "disconnect": Saying("dissolved by connect(AF_UNSPEC)", _BOTH_LOSE),
    "data-after-close": Saying("data after close", "what the client still sent is lost"),
    "linger2-expired": Saying("client did not close in time", "all that was sent to it had arrived"),
    "not-accepted": Saying("listener closed on waiting clients", "connected, never served"),
    "destroyed": Saying("killed from outside (ss -K)", _BOTH_LOSE),
    "keepalive-timeout": Saying("client is gone", "it left keepalive probes unanswered; no data is lost"),
    "in-flight": Saying("in flight", "follow-ups of connections that were cut already", quiet=True),
    "half-open": Saying("dead connection", "the client did not know that it was over"),
    "late-duplicate": Saying("late segments of closed connections", "harmless, they bring nothing new", quiet=True),
    "unsolicited-syn-ack": Saying("answer to a SYN never sent", "this address is forged, or a scan runs here"),
    "bad-handshake-ack": Saying("handshake with a wrong number", "it came too late, astray, or is made up"),
    "stray-segment": Saying("segment of no connection", "a probe, the echo of a flood, or a lost client"),
    "time-wait": Saying("segment of a closed connection", "nothing that was acknowledged is lost"),
    "time-wait-segment": Saying("segment of a closed connection", "the client had not closed it; nothing is lost"),
    "time-wait-reuse": Saying("old connection in the way", "harmless, tried again at once", quiet=True),
    "time-wait-assassination": Saying("late echo of a closed connection", "no data is lost", quiet=True),
    "listen-queue": Saying("refused by the listener", "its queue or the handshake was not in order"),
    "accept-queue-full": Saying("accept queue full", "the program accepts too slowly, clients are cut off"),
    "invalid-syn": Saying("second SYN within a handshake", "that attempt is lost, the client has to try again"),
    "memory": Saying("out of TCP memory", "closed connections lost their unsent data"),
    "out-of-memory": Saying("out of TCP memory", "closed connections lost their unsent data"),
    "too-many-orphans": Saying("too many orphaned sockets", "the kernel gave some up with unsent data"),
    "probe": Saying("port probe", "somebody looks for open ports"),
    "scan-probe": Saying("port probe", "somebody looks for open ports, with odd flags"),
    "protocol": Saying("segment against the protocol", "the connection was not opened"),
    "paws": Saying("answer with a wrong timestamp", "an old duplicate, or a device on the path makes them up"),
    "old-ack": Saying("handshake with an old number", "it fails or is delayed"),
    "unsent-ack": Saying("handshake with a number never sent", "it fails or is delayed"),
    "mptcp": Saying("Multipath TCP gave up a path", "or a whole connection; see the evidence"),
    "injected": Saying("forged reset", "neither end of the connection sent it"),
    "forged": Saying("forged reset", "neither end of the connection sent it"),
    "unknown": Saying("cause not known", "what was seen fits no rule"),
}

#: Of what was received, where its sender could not be watched.
RECEIVED: dict[str, Saying] = {
    "closed-port": Saying("refused", "nobody listens there, or a firewall rejects it"),
    "data-after-close": Saying("sent after the client had closed", "what was sent then is lost"),
    "unknown": Saying("cut off by the client", "only the other side knows why"),
}

#: Sayings of these claim nothing that a likely cause might not hold.
_SAFE = frozenset({"closed-port", "in-flight", "unknown", "stray-segment", "abort", "listen-queue", "protocol"})


class Explained(Protocol):
    """What was explained: a reset, or what is kept of it."""

    @property
    def cause(self) -> Cause: ...

    @property
    def facts(self) -> Facts: ...


def say(reset: Explained) -> Saying:
    """What happened and what it means."""
    return _say(reset.cause, reset.facts)


@lru_cache(maxsize=1024)
def _say(cause: Cause, facts: Facts) -> Saying:
    received = facts.direction == "received"
    table = RECEIVED if received and facts.twin_cause is None else SAYINGS
    saying = table.get(cause.name) or SAYINGS.get(cause.name) or Saying(escape(cause.name), "")
    what, meaning, quiet = saying.what, saying.meaning, saying.quiet
    if table is SAYINGS and not received:
        meaning, quiet = _harm(cause, facts, meaning, quiet)
    likely = cause.certainty == "likely" and cause.name not in _SAFE
    if facts.active_open != (received and facts.twin_cause is not None):
        what, meaning = what.replace("client", "server"), meaning.replace("client", "server")
    return Saying(what, meaning, quiet, likely)


def _harm(cause: Cause, facts: Facts, meaning: str, quiet: bool) -> tuple[str, bool]:
    """What a reset did depends on the state before, and on whether a program closed or died."""
    before = facts.state_before or facts.state
    if cause.name == "unread-data" and not facts.unread:
        meaning = "the connection ends without an orderly close"
    if meaning == _BOTH_LOSE and before not in ("", "ESTABLISHED"):
        lost = facts.data_unacked or facts.unread
        if before == "CLOSE_WAIT" and not lost:
            meaning, quiet = "harmless, the client had finished already", True
        else:
            meaning = _HALF_CLOSED + (", what was still unsent or unread is lost" if lost else "")
    if facts.exiting:
        meaning = f"its process ended; {meaning}"
    if cause.name == "half-open" and facts.ended == "abandoned":
        meaning = "it answers a connect that was given up before"
    if cause.name == "half-open" and facts.ended == "reset-received" and facts.segment == "new":
        meaning = "it was cut here by a reset that the client did not send"
    return meaning, quiet


def owner_text(reset: Reset) -> str:
    """Who; of the past also how it ended: «until 12:00:03 gunicorn[2214] (api.service), killed by SIGSEGV»."""
    owner, stop, closer = reset.owner, reset.stop, reset.closer
    if owner is None:
        return ""
    label = process_text(owner.process)
    # who closed a connection matters more than what became of its listener
    if stop is None or reset.facts.in_closer:
        label = {"one of the listeners": f"perhaps {label}", "former listener": f"before: {label}"}.get(
            owner.via, label
        )
        if not owner.alive:
            label += f", {describe_exit(owner.process) or 'gone'}"
        if closer is not None and program(closer) != program(owner.process):
            label += f", closed by {name(closer)}"
        return label
    how = describe_exit(Process(pid=0, exit_code=stop.exit_code, out_of_memory=stop.out_of_memory))
    until = f"until {clock(stop.time_ns)} "
    if stop.holder is None:
        return f"{until}{label}, {how or 'then closed'}"
    own = describe_exit(owner.process)
    return f"{until}{label}{f', {own}' if own else ''}; held last by {name(stop.holder)}{f', {how}' if how else ''}"


def process_text(process: Process) -> str:
    """A process and what it is part of: «nginx[911] (nginx.service)»."""
    return _with(name(process), service(process))


def kind_text(last: Reset, count: int, ended: str = "") -> str:
    """Owners that do one thing: «nginx (nginx.service), 8 processes, killed by SIGKILL».

    Args:
        last: a reset of one of them.
        count: how many they are.
        ended: how they ended, where all did alike.
    """
    owner, closer = last.owner, last.closer
    if owner is None:
        return ""
    text = f"{_with(program(owner.process), service(owner.process))}, {count} processes"
    if ended:
        text += f", {ended}"
    if closer is not None and program(closer) != program(owner.process):
        text += f", closed by {name(closer)}"
    return text


def _with(label: str, part: str) -> str:
    return f"{label} ({part})" if part else label


def port_text(saying: Saying, facts: Facts, port: int | None) -> str:
    """What happened, and at which port: «closed port 8080», «closed with data unread on port 443»."""
    if saying.what.endswith(" port"):
        text = f"{saying.what} {port}" if port is not None else f"{saying.what}s, many"
    else:
        text = f"{saying.what} {'to' if facts.active_open else 'on'} {'many ports' if port is None else f'port {port}'}"
    return text + (" (likely)" if saying.likely else "")


def told(reset: Reset) -> str:
    """What happened and what that means: «closed port 8080, nobody listens there, clients are refused»."""
    saying = say(reset)
    text = port_text(saying, reset.facts, reset.port)
    return f"{text}, {saying.meaning}" if saying.meaning else text


def remotes_text(remotes: Remotes | None, address: str) -> str:
    """«192.0.2.1», «192.0.2.1 and 3 more», «about 1,000 addresses».

    Args:
        remotes: None where only one address is known.
        address: that one.
    """
    if remotes is None or (remotes.exact and remotes.distinct == 1):
        return remotes.top[0][0] if remotes and remotes.top else address
    count = f"{'' if remotes.exact else 'about '}{remotes.distinct:,} addresses"
    # one among many is named only where it stands out: sources of many are often forged
    top, most = remotes.top[0] if remotes.top else ("", 0)
    total = sum(each for _, each in remotes.top)
    if not remotes.exact or not top:
        return count
    if remotes.distinct <= 4 or most * 2 >= total:
        return f"{top} and {remotes.distinct - 1} more"
    return count
