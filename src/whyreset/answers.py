"""What a watch answers to a question: lives of listeners and processes, resets of late, from what it has in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from whyreset.core.lives import HELD_BYTES
from whyreset.model import Life, Listener
from whyreset.outputs.sentences import port_text, say
from whyreset.owners.recent import Entry, Recents
from whyreset.owners.sockets import Owners
from whyreset.questions import Answer, Question, Recent


class Answerer:
    """Answers from a watch's memory; nothing is read from elsewhere but /proc of processes that live.

    Args:
        netns_name: the name of a namespace by its inode number.
        since_ns: since when there is a memory, in nanoseconds since the epoch.
    """

    def __init__(self, owners: Owners, recents: Recents, netns_name: Callable[[int], str], *, since_ns: int) -> None:
        self._owners = owners
        self._recents = recents
        self._netns_name = netns_name
        self._since_ns = since_ns

    def answer(self, question: Question, most: int, *, now_ns: int, epoch_ns: int) -> Answer:
        """What is known of a port and of a process.

        Args:
            most: entries of each kind; what is beyond is counted.
            now_ns: CLOCK_BOOTTIME.
            epoch_ns: what to add to that for nanoseconds since the epoch.
        """
        listeners: dict[int, Listener] = {}
        entries: dict[int, Entry] = {}
        lives = self._owners.lives
        for listener in (*self._ports(question), *(lives.of_process(question.pid) if question.pid else ())):
            listeners[id(listener)] = listener
        for entry in self._resets(question):
            entries[id(entry)] = entry
        processes = self._owners.processes.with_pid(question.pid) if question.pid else []
        # those that listen now go first: what is known of them is their owner and their beginning
        ordered = sorted(listeners.values(), key=lambda each: (bool(each.until_ns), -each.until_ns))
        living = [each for each in ordered if not each.until_ns]
        former = [each for each in ordered if each.until_ns]
        left_out = sum(max(len(each) - most, 0) for each in (living, former, processes, entries))
        return Answer(
            pid=os.getpid(),
            since_ns=self._since_ns,
            epoch_ns=epoch_ns,
            lives=tuple(self._life(each, now_ns) for each in (*living[:most], *former[:most])),
            processes=tuple(processes[:most]),
            resets=tuple(recent(entry) for entry in list(entries.values())[:most]),
            left_out=left_out,
            walk_bytes=HELD_BYTES,
        )

    def _ports(self, question: Question) -> list[Listener]:
        return self._owners.lives.of_port(question.port) if question.port else []

    def _resets(self, question: Question) -> Iterable[Entry]:
        if question.port:
            yield from self._recents.of_port(question.port)
        if question.pid:
            yield from self._recents.of_process(question.pid)

    def _life(self, listener: Listener, now_ns: int) -> Life:
        last = listener.closer if listener.closer not in (None, listener.owner) else None
        return Life(
            listener=listener,
            owner=self._owners.known(listener.owner, "listener", now_ns),
            # of a namespace that is gone the number may be another's by now
            netns_name=self._netns_name(listener.netns) if not listener.until_ns else "",
            last=self._owners.process(last, now_ns) if last else None,
        )


def recent(entry: Entry) -> Recent:
    """Resets of late as an answer has them."""
    return Recent(
        direction=entry.facts.direction,
        cause=entry.cause.name,
        family=entry.cause.family,
        certainty=entry.cause.certainty,
        count=entry.count,
        first_ns=entry.first_ns,
        last_ns=entry.last_ns,
        netns=entry.netns,
        netns_cookie=entry.netns_cookie,
        netns_name=entry.netns_name,
        port=entry.port,
        what=port_text(say(entry), entry.facts, entry.port),
        evidence=entry.evidence,
        local=entry.local,
        local_port=entry.local_port,
        remote=entry.remote,
        remote_port=entry.remote_port,
        owner=entry.owner,
        closer=entry.closer,
    )
