"""Whose socket it was: what the kernel program recorded, completed by listeners' lives and by processes.

`via` says how the owner is known, from best to least: "connect" (it opened the connection), "reader" (it reads from
it), "open file" (it holds the descriptor), "closer" (it closed the socket that it had accepted), "listener" (only the
process that listened is known; a pre-forked child may have accepted), "former listener" (it listened on this port
before).
"""

from __future__ import annotations

from collections.abc import Iterable

from whyreset.model import Facts, Listener, ListenerEnd, Owner, Process, ProcessEnd, Record
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes

Key = tuple[int, int]


class Owners:
    """Everything known of processes and listeners."""

    def __init__(self, processes: Processes, lives: Lives) -> None:
        self.processes = processes
        self.lives = lives

    def learn(self, events: Iterable[Process | ProcessEnd | Listener | ListenerEnd]) -> None:
        """Takes what the kernel program told, in its order."""
        for event in events:
            if isinstance(event, Process):
                self.processes.seen(event)
            elif isinstance(event, ProcessEnd):
                self.processes.ended(event)
            elif isinstance(event, Listener):
                self.lives.opened(event)
            else:
                self._closed(event)

    def hold(self, held: Iterable[tuple[Process, int, Listener | None]]) -> dict[int, list[Key]]:
        """Takes the walk over open files; returns the holders of each socket by its cookie."""
        holders: dict[int, list[Key]] = {}
        for process, cookie, listener in held:
            key = (process.pid, process.start_ns)
            holders.setdefault(cookie, []).append(key)
            if listener is not None:
                if self.processes.get(key) is None:
                    self.processes.seen(process)
                self.lives.opened(listener)
        return holders

    def _closed(self, end: ListenerEnd) -> None:
        self.lives.closed(end)
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
        if record.owner is not None:
            return self._owner(record.owner, record.owner_via), None
        if facts.kernel_socket:
            return None, None
        if record.closer is not None and facts.in_closer and facts.released:
            return self._owner(record.closer, "closer"), None
        if facts.active_open:
            return None, None
        opened_ns = record.opened_ns or record.time_ns
        place = (record.netns_cookie, record.local_port)
        if facts.state or facts.ended:
            listener = self.lives.at(*place, time_ns=opened_ns, address=record.local, family=record.family)
            if listener is not None:
                return self._owner(listener.owner, "listener"), listener
        if not facts.state:
            former = self.lives.former(*place, time_ns=record.time_ns, address=record.local, family=record.family)
            if former is not None:
                return self._owner(former.owner, "former listener"), former
        return None, None

    def process(self, key: Key | None) -> Process | None:
        return self.processes.get(key) if key is not None else None

    def _owner(self, key: Key, via: str) -> Owner:
        process = self.processes.get(key) or Process(pid=key[0], start_ns=key[1])
        return Owner(process=process, via=via, alive=self.processes.alive(key))
