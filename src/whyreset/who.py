"""`whyreset who`: joins what the system shows now with what a running watch remembers and what logs still say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from whyreset.answers import recent as recent_of
from whyreset.before import Before, before
from whyreset.clock import boottime_ns, epoch_ns
from whyreset.core.lives import HELD_BYTES
from whyreset.model import Life, Missing, Owner, Process
from whyreset.outputs.desk import Asked, Replies
from whyreset.outputs.store import DEFAULT
from whyreset.outputs.store.files import StoreError
from whyreset.owners.namespaces import Namespaces
from whyreset.owners.processes import Processes
from whyreset.owners.procfs import TICK_NS
from whyreset.questions import Answer, Connections, Former, Found, Question, Recent, Standing, Trace
from whyreset.sources.view import Seen, View, look
from whyreset.words import describe_exit

if TYPE_CHECKING:
    from whyreset.owners import logs

#: Entries of each list; what is beyond is counted.
MOST = 32
#: A watch looks in ten times a second.
_PATIENCE_SECONDS = 1.0
_PEERS = 3
_MAPPED = "::ffff:"

Key = tuple[int, int]
#: What connections of one entry have in common: netns_cookie, outgoing, port, accepted, held, holder.
_Alike = tuple[int, bool, int, bool, bool, Key | None]
_T = TypeVar("_T")


def who(question: Question, store: str = DEFAULT) -> Found:
    """All that can be known now. A number that can be both is a port, or, where nothing is known of that, a process.

    Args:
        question: what is asked.
        store: an agent's history, where there is one.
    """
    if not (question.port and question.pid):
        return _ask(question, store)
    port = _ask(replace(question, pid=0), store)
    if port.known:
        return port
    process = _ask(replace(question, port=0), store)
    if any((process.listeners, process.former, process.connections, process.resets, process.traces)):
        return replace(process, question=question)
    return replace(port, namesake=next(iter(process.processes), None))


def _ask(question: Question, store: str) -> Found:
    """Asks running watches, and looks; about a port or a process, not both."""
    with Asked(question) as asked:
        # a watch has the kernel program at hand: to load it takes longer than to be answered
        replies = asked.replies(_PATIENCE_SECONDS, HELD_BYTES)
    view = look(question, replies.walk)
    now_ns = time.time_ns()
    kept: Before | None = None
    missing: tuple[Missing, ...] = ()
    try:
        # a watch forgets; of what it still knows, the history need not tell again
        known = [each.since_ns for each in replies.answers if each.resets]
        kept = before(question, store, min(known, default=now_ns))
    except StoreError as error:
        missing = (Missing(source="history", why=str(error), lost="what an agent has kept"),)
    return _Joiner(question, view, replies, kept).found(now_ns, missing)


class _Joiner:
    """Joins what one look and the watches' answers show."""

    def __init__(self, question: Question, view: View, replies: Replies, kept: Before | None) -> None:
        self._question = question
        self._view = view
        self._replies = replies
        self._kept = kept
        #: The one that has watched longest knows most.
        self._answer: Answer | None = min(replies.answers, key=lambda each: each.since_ns, default=None)
        #: Those of which a watch told a name, by cookie.
        self._names = dict(_names(self._answer)) if self._answer else {}
        self._processes = Processes()
        self._namespaces = Namespaces()
        self._now_ns = boottime_ns()
        self._to_epoch_ns = epoch_ns()
        self._left_out = self._answer.left_out if self._answer else 0

    def found(self, time_ns: int, missing: Iterable[Missing]) -> Found:
        """The whole.

        Args:
            time_ns: now, in nanoseconds since the epoch.
            missing: what is known to be beside what is found to be.
        """
        question, answer = self._question, self._answer
        listeners, former = self._listeners(), self._former()
        served = {(each.netns_cookie, each.port) for each in listeners}
        served |= {(each.netns_cookie, each.port) for each in former}
        processes = self._asked_processes()
        gone = question.pid and not any(each.alive for each in processes)
        traces = self._traces(question.pid) if gone else []
        sources = ["sockets"]
        sources += ["watch"] if answer else []
        sources += ["history"] if self._kept else []
        sources += sorted({each.log for each in traces})
        return Found(
            question=question,
            time_ns=time_ns,
            home_cookie=self._view.home,
            sources=tuple(sources),
            listeners=tuple(listeners),
            former=tuple(former),
            connections=tuple(self._connections(served)),
            processes=tuple(processes),
            resets=tuple(each for each in self._resets() if self._wants(each)),
            traces=tuple(Trace(time_ns=each.time_ns, log=each.log, text=each.text) for each in traces),
            missing=(
                *self._view.missing,
                *self._missing_address((*listeners, *former)),
                *self._missing_watch(),
                *missing,
            ),
            watched_ns=answer.since_ns if answer else 0,
            kept_ns=self._kept.begins_ns if self._kept else 0,
            left_out=self._left_out,
        )

    # ---- now ----

    def _listeners(self) -> list[Standing]:
        lives = {life.listener.socket_cookie: life for life in self._lives() if not life.listener.until_ns}
        found = [each for each in self._view.seen if each.socket.state == "LISTEN" and self._listens(each)]
        # our own namespace first
        found.sort(
            key=lambda each: (each.socket.netns_cookie != self._view.home, each.socket.netns, each.socket.local_port)
        )
        return [self._standing(each, lives.get(each.socket.cookie)) for each in self._most(found)]

    def _listens(self, seen: Seen) -> bool:
        here = seen.socket
        if self._question.pid:
            return True
        if here.local_port != self._question.port or self._view.local.get(here.netns_cookie) is False:
            return False
        return self._question.serves(_plain(here.local), here.family, ipv6_only=here.ipv6_only)

    def _standing(self, seen: Seen, life: Life | None) -> Standing:
        here = seen.socket
        owner = None
        if life is not None and life.owner.alive and _tick(_key(life.owner.process)) in map(_tick, seen.holders):
            owner = life.owner
        elif seen.holders:
            # the others inherited it from the eldest
            owner = self._owner(min(seen.holders, key=_start), "open file")
        return Standing(
            netns=here.netns,
            netns_cookie=here.netns_cookie,
            netns_name=self._name(here.netns, here.netns_cookie),
            address=_plain(here.local),
            port=here.local_port,
            family=here.family,
            owner=owner,
            holders=max(len(seen.holders) - 1, 0),
            since_ns=self._epoch(life.listener.since_ns) if life else 0,
            queue=here.queue,
        )

    def _connections(self, listening: set[tuple[int, int]]) -> list[Connections]:
        """Sockets that do not listen, put together by their ports' role, owner and namespace; the largest first."""
        groups: dict[_Alike, list[Seen]] = {}
        for seen in self._view.seen:
            here = seen.socket
            if here.state == "LISTEN" or not self._takes_part(seen):
                continue
            if self._question.port:
                outgoing = here.local_port != self._question.port
            else:
                outgoing = (here.netns_cookie, here.local_port) not in listening
            port = here.remote_port if outgoing and here.remote_port else here.local_port
            # a process that serves a connection is the child of the one that accepted it
            holder = seen.holders[0] if len(seen.holders) == 1 else max(seen.holders, key=_start, default=None)
            accepted = not outgoing and (here.netns_cookie, here.local_port) in listening
            held = holder is not None or bool(here.inode)
            groups.setdefault((here.netns_cookie, outgoing, port, accepted, held, holder), []).append(seen)
        largest = sorted(groups.items(), key=lambda item: -len(item[1]))
        return [self._group(key, those) for key, those in self._most(largest)]

    def _takes_part(self, seen: Seen) -> bool:
        here, question = seen.socket, self._question
        if not question.port or not question.address:
            return True
        ends = ((_plain(here.local), here.local_port), (_plain(here.remote), here.remote_port))
        return (question.address, question.port) in ends

    def _group(self, key: _Alike, those: list[Seen]) -> Connections:
        cookie, outgoing, port, accepted, held, holder = key
        netns = those[0].socket.netns
        remote_ports = {each.socket.remote_port for each in those}
        remotes = Counter(_plain(each.socket.remote) for each in those if each.socket.remote)
        return Connections(
            netns=netns,
            netns_cookie=cookie,
            netns_name=self._name(netns, cookie),
            outgoing=outgoing,
            port=port,
            accepted=accepted,
            remote_port=remote_ports.pop() if len(remote_ports) == 1 else 0,
            owner=self._owner(holder, "open file") if holder else None,
            held=held,
            count=len(those),
            states=dict(Counter(each.socket.state for each in those).most_common()),
            remotes=tuple(remotes.most_common(_PEERS)),
            distinct=len(remotes),
        )

    # ---- before ----

    def _lives(self) -> Iterable[Life]:
        return self._answer.lives if self._answer else ()

    def _former(self) -> list[Former]:
        found = []
        for life in self._lives():
            listener = life.listener
            served = self._question.serves(listener.address, listener.family, ipv6_only=listener.ipv6_only)
            if listener.until_ns and served and self._view.local.get(listener.netns_cookie) is not False:
                found.append(self._ended(life))
        known = {(each.netns_cookie, _key(each.owner.process)) for each in found}
        for each in self._kept.former if self._kept else ():
            served = self._question.serves(each.address, each.family)
            if served and (each.netns_cookie, _key(each.owner.process)) not in known:
                found.append(each)
        return sorted(found, key=lambda each: -each.until_ns)

    def _ended(self, life: Life) -> Former:
        listener = life.listener
        how = describe_exit(Process(pid=0, exit_code=listener.exit_code, out_of_memory=listener.out_of_memory))
        return Former(
            netns=listener.netns,
            netns_cookie=listener.netns_cookie,
            netns_name=self._name(listener.netns, listener.netns_cookie),
            address=listener.address,
            port=listener.port,
            family=listener.family,
            owner=life.owner,
            since_ns=self._epoch(listener.since_ns),
            until_ns=self._epoch(listener.until_ns),
            end=how or "closed its socket",
            last=life.last,
        )

    def _resets(self) -> Iterator[Recent]:
        """The latest first."""
        yield from self._answer.resets if self._answer else ()
        kept = self._kept.resets if self._kept else ()
        self._left_out += max(len(kept) - MOST, 0)
        yield from map(recent_of, kept[:MOST])

    def _wants(self, recent: Recent) -> bool:
        if not self._question.address:
            return True
        # a group's sample is one of its members: of another member's remote it says nothing
        ends = ((recent.local, recent.local_port), (recent.remote, recent.remote_port))
        return (self._question.address, self._question.port) in ends

    # ---- processes ----

    def _asked_processes(self) -> list[Owner]:
        pid = self._question.pid
        if not pid:
            return []
        living = self._processes.get((pid, 0))
        found = [Owner(process=living, via="pid", alive=self._processes.alive(_key(living)))] if living else []
        known = {_tick(_key(owner.process)) for owner in found}
        for process in self._answer.processes if self._answer else ():
            if _tick(_key(process)) not in known and not self._processes.alive(_key(process)):
                gone = replace(process, ended_ns=self._epoch(process.ended_ns))
                found.append(Owner(process=gone, via="watch", alive=False))
        return found

    def _traces(self, pid: int) -> list[logs.Line]:
        from whyreset.owners import logs  # seldom asked

        boot_ns = time.time_ns() - time.monotonic_ns()
        lines = [*logs.kernel_lines(pid, boot_ns=boot_ns), *logs.journal_lines(pid)]
        return sorted(lines, key=lambda line: line.time_ns)

    def _owner(self, key: Key, via: str) -> Owner | None:
        process = self._processes.get(key)
        return Owner(process=process, via=via, alive=self._processes.alive(key)) if process else None

    # ---- what is not known ----

    def _missing_watch(self) -> list[Missing]:
        lost = "who listened before, how that ended, and resets of late"
        if self._kept:
            lost = "who listened before and was not asked for after that"
        replies = self._replies
        if replies.answers:
            return []
        if replies.silent:
            why = "a watch runs and did not answer within a second"
        elif replies.strangers:
            why = "a watch runs as another user; ask as root, or as the same user"
        else:
            why = "no `whyreset watch` or `whyreset agent` runs here"
        return [Missing(source="watch", why=why, lost=lost)]

    def _missing_address(self, those: Iterable[Standing | Former]) -> list[Missing]:
        address = self._question.address
        local = self._view.local
        unsure = {each.netns for each in those if local.get(each.netns_cookie) is None and each.address != address}
        if not address or not unsure:
            return []
        where = ", ".join(str(netns) for netns in sorted(unsure)[:3]) + (", ..." if len(unsure) > 3 else "")
        why = f"network namespace {where} cannot be entered"
        return [Missing(source="namespaces", why=why, lost=f"whether {address} is an address of theirs")]

    # ---- small things ----

    def _most(self, all_of_them: list[_T]) -> list[_T]:
        self._left_out += max(len(all_of_them) - MOST, 0)
        return all_of_them[:MOST]

    def _name(self, netns: int, cookie: int) -> str:
        """Its name; none where another namespace has its inode number by now."""
        if known := self._names.get(cookie):
            return known
        if self._view.cookies.get(netns, cookie) not in (0, cookie):
            return ""
        return self._namespaces.name(netns, self._now_ns)

    def _epoch(self, boot_ns: int) -> int:
        return boot_ns + self._to_epoch_ns if boot_ns else 0


def _names(answer: Answer) -> Iterator[tuple[int, str]]:
    for life in answer.lives:
        if life.netns_name:
            yield life.listener.netns_cookie, life.netns_name
    for recent in answer.resets:
        if recent.netns_name:
            yield recent.netns_cookie, recent.netns_name


def _plain(address: str) -> str:
    """IPv4 over an IPv6 socket counts as IPv4 (RFC 4291 section 2.5.5.2)."""
    return address.removeprefix(_MAPPED) if address.startswith(_MAPPED) and "." in address else address


def _key(process: Process) -> Key:
    return process.pid, process.start_ns


def _start(key: Key) -> int:
    return key[1]


def _tick(key: Key) -> Key:
    """As exact as /proc knows it."""
    return key[0], key[1] // TICK_NS
