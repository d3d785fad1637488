"""The rows of the screen: resets that read alike are one, over all ticks. Bounded in number and in what each holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Reset
from whyreset.outputs import sentences
from whyreset.outputs.sentences import Saying
from whyreset.outputs.terminal.addresses import Addresses
from whyreset.outputs.terminal.rates import Seconds
from whyreset.words import describe_exit, program, service

#: Rows of one direction that are kept apart; others are counted in one more.
ROWS = 64
#: Ports of one remote, of what is otherwise alike, that have rows of their own; more are one row.
APART_PORTS = 3
#: The same for ports of several remotes, which need not belong together, and for namespaces.
APART_REMOTES, APART_NETNS = 15, 5
#: Stands for them in its key.
MANY = -1
#: Within such a row: ports that are counted apart.
COUNTED_PORTS = 128
#: Of a row: last resets and processes that are kept.
KEPT = 4
PROCESSES = 32
#: A row without resets is dropped after so long.
FORGET_NS = 900_000_000_000
#: A port with more than this share of what is joined keeps its row.
_STANDS_OUT = 0.5
#: What has paused for so long stands below what goes on.
PAUSED_NS = 20_000_000_000


class Key(Struct, frozen=True):
    """What resets of one row have in common; identical keys read alike."""

    saying: Saying
    #: How the owner is known, what it runs and is part of; empty without an owner.
    owner: tuple[str, str, str]
    netns: int
    #: This host had opened the connections.
    active: bool
    port: int
    #: Where many ports were joined since one remote asked for them all.
    remote: str = ""


class Row:
    """Resets that read alike."""

    def __init__(self, key: Key, second: int, now_ns: int) -> None:
        self.key = key
        self.seconds = Seconds(second)
        self.begun_ns = self.last_ns = now_ns
        self.total = 0
        #: the only one so far; None for several
        self.remote: str | None = ""
        self.ports: dict[int, int] = {}
        self.ports_crowded = False
        self.addresses = Addresses()
        #: owners, and how each had ended when its last reset came
        self.processes: dict[tuple[int, int], str] = {}
        self.kept: deque[Reset] = deque(maxlen=KEPT)

    def add(self, reset: Reset, second: int, now_ns: int) -> None:
        """One more group of resets."""
        self.count(reset.count, second, now_ns)
        self.kept.append(reset)
        self.addresses.add(reset.remotes, reset.sample.remote, reset.count, now_ns)
        self._count_port(reset.port, reset.count)
        self._meet(_remote(reset))
        if reset.owner is not None and len(self.processes) < PROCESSES:
            process = reset.owner.process
            self.processes[process.pid, process.start_ns] = describe_exit(process)

    def count(self, many: int, second: int, now_ns: int) -> None:
        """So many more, of which nothing else is known."""
        self.seconds.add(second, many)
        self.total += many
        self.last_ns = now_ns

    def join(self, other: Row, second: int) -> None:
        """Takes over what another row held."""
        self.seconds.join(other.seconds, second)
        self.total += other.total
        self.begun_ns = min(self.begun_ns, other.begun_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        for port, many in other.ports.items():
            self._count_port(port, many)
        self.ports_crowded |= other.ports_crowded
        self.addresses.add(other.addresses.remotes(), "", 0, other.last_ns)
        self._meet(other.remote)
        for process, ended in other.processes.items():
            if len(self.processes) < PROCESSES:
                self.processes[process] = ended
        self.kept = deque(sorted([*self.kept, *other.kept], key=lambda reset: reset.last_ns), maxlen=KEPT)

    def _meet(self, remote: str | None) -> None:
        self.remote = remote if self.remote in ("", remote) else None

    def _count_port(self, port: int | None, many: int) -> None:
        if port is None or (port not in self.ports and len(self.ports) >= COUNTED_PORTS):
            self.ports_crowded = True
        else:
            self.ports[port] = self.ports.get(port, 0) + many


class Side:
    """The rows of one direction, in the order in which they are shown.

    Args:
        join_twins: resets that were sent by this host too are one row.
        second, now_ns: of a clock that never goes back.
    """

    def __init__(self, *, join_twins: bool, second: int, now_ns: int) -> None:
        self._join_twins = join_twins
        self.seconds = Seconds(second)
        self.total = 0
        self.rows: dict[Key, Row] = {}
        #: counts what had no row of its own, or has lost it
        self.rest = Row(_REST, second, now_ns)
        #: counted by the kernel, but not seen one by one
        self.lost = Row(_LOST, second, now_ns)
        self._order: list[Row] = []

    def add(self, reset: Reset, second: int, now_ns: int) -> bool:
        """Counts a group of resets in its row; True where that is new."""
        self.seconds.add(second, reset.count)
        self.total += reset.count
        key = _TWINS if self._join_twins and reset.facts.twin_cause is not None else _key(reset)
        remote = _remote(reset) or ""
        by_remote, by_port = replace(key, port=MANY, remote=remote), replace(key, port=MANY)
        by_netns = replace(key, netns=MANY)
        wider = (key, by_remote, by_port, by_netns, replace(by_port, netns=MANY))
        key = next((each for each in wider if each in self.rows), key)
        row = self.rows.get(key)
        fresh = row is None
        if row is None:
            row = self._make(key, second, now_ns)
            if row is None:
                self.rest.count(reset.count, second, now_ns)
                return False
        row.add(reset, second, now_ns)
        if fresh:
            if remote:
                self._join(by_remote, APART_PORTS, second, now_ns)
            self._join(by_port, APART_REMOTES, second, now_ns)
            self._join(by_netns, APART_NETNS, second, now_ns)
        return fresh

    def add_lost(self, many: int, second: int, now_ns: int) -> None:
        """Counts resets of which only the number is known."""
        self.seconds.add(second, many)
        self.total += many
        self.lost.count(many, second, now_ns)

    def ordered(self, second: int, now_ns: int) -> list[Row]:
        """All rows, most important first; those that stand keep their places unless one is clearly more."""
        for key in [key for key, row in self.rows.items() if now_ns - row.last_ns > FORGET_NS]:
            self._drop(key)
        rows = [*self.rows.values(), *([self.lost] if self.lost.total else [])]
        known = set(map(id, rows))
        order = [row for row in self._order if id(row) in known]
        known = set(map(id, order))
        order += [row for row in rows if id(row) not in known]
        ranks = {id(row): (_rank(row, second, now_ns), row.seconds.recent(second)) for row in order}
        for index in range(1, len(order)):
            at, row = index, order[index]
            while at and _goes_before(ranks[id(row)], ranks[id(order[at - 1])]):
                order[at] = order[at - 1]
                at -= 1
            order[at] = row
        self._order = order
        return [*order, *([self.rest] if self.rest.seconds.recent(second) else [])]

    def _make(self, key: Key, second: int, now_ns: int) -> Row | None:
        if len(self.rows) >= ROWS:
            idle = min(self.rows.values(), key=lambda row: (row.seconds.recent(second), row.last_ns))
            if idle.seconds.recent(second):
                return None
            self._drop(idle.key)
        self.rows[key] = row = Row(key, second, now_ns)
        return row

    def _drop(self, key: Key) -> None:
        # what it counted stays in the totals; it was not in the last minute
        self.rest.total += self.rows.pop(key).total

    def _join(self, whole: Key, most: int, second: int, now_ns: int) -> None:
        """Rows that differ in the port (or namespace) alone become one where they are many: a scan is one thing."""
        alike = [
            row for key, row in self.rows.items() if _widened(key, whole) == whole and whole.remote in ("", row.remote)
        ]
        if len(alike) <= most:
            return
        limit = sum(row.total for row in alike) * _STANDS_OUT
        joined = self.rows.setdefault(whole, Row(whole, second, now_ns))
        for row in alike:
            if row is not joined and row.total <= limit:
                joined.join(self.rows.pop(row.key), second)


def _widened(key: Key, like: Key) -> Key:
    port = MANY if like.port == MANY else key.port
    return replace(key, port=port, netns=MANY if like.netns == MANY else key.netns, remote=like.remote)


def _remote(reset: Reset) -> str | None:
    """The one that a group went to or came from; None for several."""
    remotes = reset.remotes
    if remotes is None or (remotes.exact and remotes.distinct == 1):
        return reset.sample.remote or None
    return None


_NOBODY = ("", "", "")
_REST = Key(Saying("others", "too many kinds to tell apart, or long over", quiet=True), _NOBODY, 0, False, 0)
_TWINS = Key(
    Saying("other ends of resets sent here", "both ends are on this host", quiet=True),
    *(_NOBODY, 0, False, 0),
)
_LOST = Key(Saying("too fast to see each", "counted by the kernel alone"), _NOBODY, 0, False, 0)


def _key(reset: Reset) -> Key:
    saying = sentences.say(reset)
    if saying.quiet:
        # never trouble of its own: one row for all of a kind
        return Key(saying, _NOBODY, 0, False, 0)
    owner = reset.owner
    past = owner.via if owner and reset.stop and not reset.facts.in_closer else ""
    who = (past, program(owner.process), service(owner.process)) if owner else _NOBODY
    return Key(saying, who, reset.sample.netns, reset.facts.active_open, MANY if reset.port is None else reset.port)


def _rank(row: Row, second: int, now_ns: int) -> int:
    """Trouble that goes on, then what has paused, then what is harmless, then what is over."""
    if not row.seconds.recent(second):
        return 3
    if row.key.saying.quiet:
        return 2
    return 1 if now_ns - row.last_ns > PAUSED_NS else 0


def _goes_before(one: tuple[int, int], other: tuple[int, int]) -> bool:
    if one[0] != other[0]:
        return one[0] < other[0]
    return one[1] > 1.5 * other[1] + 2


def top_ports(ports: dict[int, int]) -> Iterable[int]:
    """Ports by how often they were seen."""
    return sorted(ports, key=lambda port: (-ports[port], port))
