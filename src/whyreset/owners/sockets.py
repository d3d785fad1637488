"""Whose socket it was: what the kernel program recorded, completed by listeners' lives and by processes.

`via` says how the owner is known, from best to least: "connect" (it opened the connection), "reader" (it reads from
it), "open file" (it holds the descriptor), "closer" (it closed the accepted socket), "accept" (it accepted the
connection, and may have passed it on), "listener" (only the process that listened is known; a pre-forked child may have
accepted), "one of the listeners" (the same, and others listened on that very port and address), "former listener" (it
listened on this port before).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable

from whyreset.model import Facts, Life, Listener, ListenerEnd, Owner, Process, ProcessEnd, Record
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes

Key = tuple[int, int]

#: Who accepted is known, who uses the connection may be another: it was passed on.
_ACCEPTED = "accept"
#: Processes found by the walk over open files that wait to be read.
_UNREAD = 65536
#: Listeners, and ends of processes, that wait to be told as news; of more the latest.
_NEWS = 4096


class Owners:
    """Everything known of processes and listeners."""

    def __init__(self, processes: Processes, lives: Lives) -> None:
        self.processes = processes
        self.lives = lives
        self._unread: deque[Key] = deque(maxlen=_UNREAD)
        self._holders: dict[int, Key] = {}
        #: What is new since it was asked for last: listeners that began or ended, processes that ended.
        self._changed: deque[Listener] = deque(maxlen=_NEWS)
        self._ended: deque[Key] = deque(maxlen=_NEWS)

    def learn(self, events: Iterable[Process | ProcessEnd | Listener | ListenerEnd]) -> None:
        """Takes what the kernel program told, in its order."""
        for event in events:
            if isinstance(event, Process):
                self.processes.seen(event)
            elif isinstance(event, ProcessEnd):
                self.processes.ended(event)
                self._ended.append((event.pid, event.start_ns))
            elif isinstance(event, Listener):
                self._note(self.lives.opened(event))
            else:
                self._closed(event)

    def hold(self, held: Iterable[tuple[Process, int, Listener | None]], wanted: Container[int] = ()) -> None:
        """Takes the walk over open files.

        Args:
            held: who holds which socket.
            wanted: cookies of sockets whose holder is asked for next; the youngest counts, since a process that
                serves a connection is the child of the one that accepted it.
        """
        self._holders.clear()
        for process, cookie, listener in held:
            key = (process.pid, process.start_ns)
            if cookie in wanted:
                self._holders[cookie] = max(self._holders.get(cookie, key), key, key=lambda each: each[1])
            if self.processes.note(process):
                self._unread.append(key)
            if listener is not None:
                self._note(self.lives.opened(listener))

    def news(self, now_ns: int, most: int = 256) -> tuple[tuple[Life, ...], tuple[Process, ...]]:
        """What is new since it was asked last: listeners that began or ended, and known processes that ended.

        Args:
            now_ns: CLOCK_BOOTTIME.
            most: of each; the rest is told the next time.
        """
        lives = [self._changed.popleft() for _ in range(min(most, len(self._changed)))]
        ends = [self._ended.popleft() for _ in range(min(most, len(self._ended)))]
        found = [self.processes.known(key) for key in ends]
        return tuple(self._life(each, now_ns) for each in lives), tuple(each for each in found if each is not None)

    def listening(self, socket_cookie: int, now_ns: int) -> Owner | None:
        """Who listens on that socket.

        Args:
            socket_cookie: the listener's.
            now_ns: CLOCK_BOOTTIME.
        """
        listener = self.lives.of_socket(socket_cookie)
        return self.known(listener.owner, "listener", now_ns) if listener else None

    def _life(self, listener: Listener, now_ns: int) -> Life:
        other = listener.closer not in (None, listener.owner)
        return Life(
            listener=listener,
            owner=self.known(listener.owner, "listener", now_ns),
            last=self.process(listener.closer, now_ns) if other and listener.closer else None,
        )

    def _note(self, listener: Listener | None) -> None:
        if listener is not None:
            self._changed.append(listener)

    @property
    def behind(self) -> bool:
        """Whether there is something to catch up on."""
        return bool(self._unread)

    def catch_up(self, now_ns: int, most: int = 20) -> None:
        """Reads so many of the processes that were only noted, so that they are known before they are gone.

        Args:
            now_ns: CLOCK_BOOTTIME.
            most: some 50 us each.
        """
        for _ in range(min(most, len(self._unread))):
            self.processes.refresh(self._unread.popleft(), now_ns)

    def _closed(self, end: ListenerEnd) -> None:
        self._note(self.lives.closed(end))
        if end.exit_code is not None:
            # a task that closes its sockets while exiting is as good as gone, also where its exit was not told
            self.processes.ended(
                ProcessEnd(
                    pid=end.closer[0],
                    start_ns=end.closer[1],
                    exit_code=end.exit_code,
                    out_of_memory=end.out_of_memory,
                    time_ns=end.time_ns,
                )
            )

    def owner(self, record: Record, facts: Facts) -> tuple[Owner | None, Listener | None]:
        """Who owned the socket that the reset belongs to, and the listener it came from or that was there before."""
        if record.owner is not None and record.owner_via != _ACCEPTED:
            return self.known(record.owner, record.owner_via, record.time_ns), None
        # a socket of the kernel's own (Multipath TCP's, say) hangs on no file: who closes it is who used it
        if record.closer is not None and facts.in_closer and (facts.released or facts.kernel_socket):
            owner = self.known(record.closer, "closer", record.time_ns)
            if not _is_kernel_thread(owner.process):  # those only clear away what others left behind
                return owner, None
        if holder := self._holders.get(record.socket_cookie):
            return self.known(holder, "open file", record.time_ns), None
        if record.owner is not None:
            return self.known(record.owner, record.owner_via, record.time_ns), None
        if facts.active_open:
            return None, None
        opened_ns = record.opened_ns or record.time_ns
        place = (record.netns_cookie, record.local_port)
        if facts.state or facts.ended:
            cookie = record.listener_cookie
            listener = self.lives.at(
                *place, time_ns=opened_ns, address=record.local, family=record.family, cookie=cookie
            )
            if listener is not None:
                shared = not cookie and self.lives.shared(listener, time_ns=opened_ns)
                via = "one of the listeners" if shared else "listener"
                return self.known(listener.owner, via, record.time_ns), listener
        if not facts.state:
            former = self.lives.former(*place, time_ns=record.time_ns, address=record.local, family=record.family)
            if former is not None:
                return self.known(former.owner, "former listener", record.time_ns), former
        return None, None

    def process(self, key: Key, now_ns: int) -> Process:
        """What is known of a process; its name may have changed by exec since.

        Args:
            key: pid and start.
            now_ns: CLOCK_BOOTTIME.
        """
        return self.processes.refresh(key, now_ns) or Process(pid=key[0], start_ns=key[1])

    def known(self, key: Key, via: str, now_ns: int) -> Owner:
        """What is known of a process, as an owner; `via` and `now_ns` as elsewhere here."""
        process = self.process(key, now_ns)
        return Owner(process=process, via=via, alive=self.processes.alive(key))


def _is_kernel_thread(process: Process) -> bool:
    """Kernel threads are the children of kthreadd, which is the second process of all."""
    return process.parent_pid == 2 and not process.exe
