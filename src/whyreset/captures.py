"""Explains the resets of captures: files in, explained resets out, by the causes that `watch` has.

for reset in whyreset.explain("x.pcapng"):
    print(reset.seen.frame, reset.cause.name, *reset.evidence)
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from whyreset import causes
from whyreset.core.segments import Analyzer
from whyreset.evidence import notes
from whyreset.evidence.recollect import is_beside, recollect
from whyreset.model import Cause, Contact, Direction, Facts
from whyreset.observation import Conversations, Observation, Observations, Side, Step, Tally
from whyreset.observed import ObservedReset
from whyreset.payload import meaning
from whyreset.sources import captures as source
from whyreset.sources.captures import Damage
from whyreset.sources.files import BLOCK_BYTES, STDIN, Capture, CaptureError
from whyreset.words import amount, escape, span

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Like resets are counted together over so many packets; more often costs more, more seldom tells fewer of them apart.
#: By packets, so that a capture is told the same each time; by the clock only where a stream brings few.
GROUP_PACKETS = 1 << 20
GROUP_SECONDS = 2.0
#: Explanations that are kept for facts that come again.
_KEPT = 8192
#: Remotes whose first contacts are looked at.
_CONTACTS = 512
#: Causes and families that a file's note may name.
_KNOWN = frozenset({each.NAME for each in causes.CAUSES} | {each.FAMILY for each in causes.CAUSES})

#: RFC 8684 section 3.6.
_MPTCP = (
    "unspecified error",
    "MPTCP-specific error",
    "lack of resources",
    "administratively prohibited",
    "too much outstanding data",
    "unacceptable performance",
    "middlebox interference",
)


def explain(*paths: str, local: Sequence[str] = (), each: bool = True) -> Iterator[ObservedReset]:
    """The resets of captures with their causes, in the order of their time; a file after another.

    Args:
        paths: pcap and pcapng files, also compressed (gzip, zstd, xz, bzip2); "-" is standard input. Several are read
            in the order of their first packets, and connections are followed from one to the next.
        local: networks that are ours («192.0.2.0/24»): they say which resets were sent and which received.
        each: every reset by itself; else like ones are counted together.

    Raises sources.files.CaptureError where a file cannot be read, or not to its end: after the resets before that.
    """
    reader = Reader(paths, local=[ipaddress.ip_network(each, strict=False) for each in local], each=each)
    yield from reader
    if reader.damages:
        raise CaptureError(str(reader.damages[0]))


class Reader:
    """Reads captures once, from the first to the last.

    Args:
        paths: as `explain` has them.
        local: networks that are ours.
        each: every reset by itself.
        follow: number of a connection (`Observation.connection`) whose segments are kept for `steps`; 0 for none.
    """

    def __init__(
        self, paths: Sequence[str], *, local: Iterable[Network] = (), each: bool = True, follow: int = 0
    ) -> None:
        begins = [_first_ns(path) if len(paths) > 1 else None for path in paths]
        latest = max((each for each in begins if each is not None), default=0)
        order = sorted((latest + 1 if first is None else first, at) for at, first in enumerate(begins))
        self.paths = [paths[at] for _, at in order]
        #: Files that could not be read (to their end).
        self.damages: list[Damage] = []
        #: Pairs of files of which the second begins before the first ends: what both hold is counted twice.
        self.overlaps: list[tuple[str, str]] = []
        #: Called after each block with the bytes that were read so far, of all files as they are on disk.
        self.progress: Callable[[int], None] | None = None
        #: It was asked to stop; what was found by then is given out all the same.
        self.stopped = False
        self._waiting = False
        self._each = each
        self._taken_packets = 0
        self._taken = time.monotonic()
        self._begins = [begins[at] for _, at in order]
        self._analyzer = Analyzer(each=each, follow=follow)
        self._explainer = Explainer(self.paths, local)
        self._contacts: list[Contact] = []

    def __iter__(self) -> Iterator[ObservedReset]:
        done = 0
        for number, path in enumerate(self.paths):
            if number:
                self._note_overlap(number)
                self._analyzer.begin()
            size = 0
            reading = source.read([path], self._analyzer)
            while (told := self._next(reading)) is not None:
                if isinstance(told, Damage):
                    self.damages.append(told)
                    continue
                size = told
                if self.progress is not None:
                    self.progress(done + size)
                if self._each or self._is_time():
                    yield from self._explainer.run(self._analyzer.take())
            done += size
            if self.stopped:
                break
        self._analyzer.finish()
        yield from self._explainer.run(self._analyzer.take())

    def stop(self) -> None:
        """Ends the reading, from a signal's handler too: a wait for more of standard input ends at once."""
        self.stopped = True
        if self._waiting:
            raise _Stopped

    def size(self) -> int | None:
        """Bytes of all files on disk; None where one of them does not tell."""
        sizes = []
        for path in self.paths:
            try:
                capture = Capture(path)
            except CaptureError:
                continue
            sizes.append(capture.size)
            capture.close()
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def _next(self, reading: Iterator[Damage | int]) -> Damage | int | None:
        """What reading tells next; None at the end of the file, and when it was stopped."""
        try:
            self._waiting = True
            return None if self.stopped else next(reading, None)
        except _Stopped:
            return None
        finally:
            self._waiting = False

    def _is_time(self) -> bool:
        """Whether the groups that there are shall be taken."""
        packets, now = self._analyzer.packets_seen, time.monotonic()
        if packets < self._taken_packets + GROUP_PACKETS and now < self._taken + GROUP_SECONDS:
            return False
        self._taken_packets, self._taken = packets, now
        return True

    def _note_overlap(self, number: int) -> None:
        first, last = self._begins[number], self.totals().last_ns
        if first is not None and last is not None and first < last:
            self.overlaps.append((self.paths[number - 1], self.paths[number]))

    def totals(self) -> Conversations:
        """What was read so far."""
        return self._analyzer.summary()

    def contacts(self) -> list[Contact]:
        """Who tried which ports, as known at the end; times are nanoseconds since the epoch."""
        self._contacts = self._contacts or self._analyzer.contacts.take(_CONTACTS)
        return self._contacts

    def steps(self) -> tuple[list[Step], int]:
        """The segments of the connection that was followed, and how many of them are left out in the middle."""
        return self._analyzer.steps.all(), self._analyzer.steps.between


class _Stopped(Exception):
    """Reading was interrupted."""


def _first_ns(path: str) -> int | None:
    """When a capture begins; None where that is not known."""
    if path == STDIN:
        return None
    try:
        capture = Capture(path)
    except CaptureError:
        return None
    try:
        analyzer = Analyzer()
        for block in capture.blocks():
            analyzer.feed(block.data)
            if (first := analyzer.summary().first_ns) is not None or block.read_bytes > BLOCK_BYTES:
                return first
    except CaptureError:
        pass
    finally:
        capture.close()
    return None


class Explainer:
    """Explains what the core found in captures.

    Args:
        files: their names, in the order in which they are fed to the core.
        local: networks that are ours; they say which resets are sent and which received.
        is_ours: says the same of an address; it is asked instead, once for each until `forget_ours`.
    """

    def __init__(
        self,
        files: Sequence[str],
        local: Iterable[Network] = (),
        *,
        is_ours: Callable[[str], bool] | None = None,
    ) -> None:
        self._files = files
        self._local = tuple(local)
        self._asked = is_ours
        self._explained: OrderedDict[Facts, Cause] = OrderedDict()
        self._ours: dict[str, bool] = {}

    def forget_ours(self) -> None:
        """Addresses may have changed."""
        self._ours.clear()

    def run(self, found: Iterable[Observations]) -> Iterator[ObservedReset]:
        """Each with its explanation, in the same order."""
        return map(self.explain, found)

    def explain(self, group: Observations) -> ObservedReset:
        """One reset, or a group of like ones, with its explanation."""
        seen = group.sample
        note = notes.decode(seen.note) if seen.note else None
        facts = Facts(direction=self._direction(group, note), traits=seen.traits)
        cause = self._cause(facts)
        port = int(group.ports.top[0][0]) if group.ports.exact and group.ports.distinct == 1 else None
        words = _Words(seen, port)
        says = meaning(seen.payload, seen.length)
        evidence = [sentence.format_map(words) for sentence in cause.evidence]
        if says:
            evidence.append(f"it says: «{escape(says)}»")
        if seen.traits.state_lost:
            evidence.append("state lost: an open connection was forgotten for want of room, and this may be it")
        recorded = None
        if note is not None:
            heard = recollect(note, seen, cause, evidence, _KNOWN)
            cause, evidence, recorded = heard.cause, list(heard.evidence), heard.recorded
        return ObservedReset(
            seen=seen,
            count=group.count,
            facts=facts,
            cause=cause,
            evidence=tuple(evidence),
            time_ns=group.first_ns,
            last_ns=group.last_ns,
            file=self._files[seen.file] if seen.file < len(self._files) else "",
            port=port,
            says=says,
            senders=group.senders,
            receivers=group.receivers,
            ports=group.ports,
            recorded=recorded,
        )

    def _cause(self, facts: Facts) -> Cause:
        # who is ours changes no cause
        key = replace(facts, direction="observed")
        cause = self._explained.get(key)
        if cause is None:
            cause = self._explained[key] = causes.explain(key)
            if len(self._explained) > _KEPT:
                self._explained.popitem(last=False)
        return cause

    def _direction(self, group: Observations, note: notes.Note | None) -> Direction:
        if not self._local and self._asked is None:
            return note.direction if note is not None and is_beside(note, group.sample) else "observed"
        if self._are_ours(group.senders):
            return "sent"
        return "received" if self._are_ours(group.receivers) else "observed"

    def _are_ours(self, addresses: Tally) -> bool:
        """All of a group; of those that are not listed nothing can be said."""
        return len(addresses.top) == addresses.distinct and all(self._is_ours(each) for each, _ in addresses.top)

    def _is_ours(self, address: str) -> bool:
        known = self._ours.get(address)
        if known is None:
            if len(self._ours) >= _KEPT:
                self._ours.clear()
            if self._asked is not None:
                known = self._asked(address)
            else:
                number = ipaddress.ip_address(address)
                known = any(number in network for network in self._local)
            self._ours[address] = known
        return known


class _Words(dict[str, str]):
    """What evidence may ask for (whyreset.causes.packets.SEEN_WORDS), made up when it does."""

    def __init__(self, seen: Observation, port: int | None) -> None:
        super().__init__()
        self._seen = seen
        self._port = port

    def __missing__(self, word: str) -> str:
        return _WORDS[word](self._seen) if word != "port" else _port(self._port)


def _port(port: int | None) -> str:
    return f"port {port}" if port is not None else "many ports"


def _delay(seen: Observation) -> str:
    return span(seen.time_ns - seen.trigger.time_ns) if seen.trigger else "some time"


def _idle(seen: Observation) -> str:
    return span(seen.time_ns - last) if (last := _last_ns(seen)) is not None else "some time"


def _next(seen: Observation) -> str:
    return span(seen.later.next_after_ns) if seen.later.next_after_ns is not None else "some time"


def _last_ns(seen: Observation) -> int | None:
    """When anything else was last heard on the connection, the trigger left out."""
    times = [side.last.time_ns for side in (seen.sender, seen.receiver) if side.last and side.last != seen.trigger]
    return max(times, default=None)


def _ttls(side: Side) -> str:
    if side.ttl_min is None:
        return "others"
    return str(side.ttl_min) if side.ttl_min == side.ttl_max else f"{side.ttl_min} to {side.ttl_max}"


def _mptcp(reason: int | None) -> str:
    if reason is None:
        return "it gives no reason"
    return _MPTCP[reason] if reason < len(_MPTCP) else f"reason {reason}, newer than this program"


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_WORDS: dict[str, Callable[[Observation], str]] = {
    "sender": lambda seen: _bracket(seen.src),
    "receiver": lambda seen: _bracket(seen.dst),
    "length": lambda seen: amount(seen.trigger.length, "byte") if seen.trigger else "some bytes",
    "delay": _delay,
    "idle": _idle,
    "outstanding": lambda seen: amount(seen.sender.outstanding, "byte"),
    "unacked": lambda seen: amount(seen.receiver.outstanding, "byte"),
    "probes": lambda seen: str(seen.sender.keepalives or "some"),
    "ttl": lambda seen: str(seen.ttl),
    "ttls": lambda seen: _ttls(seen.sender),
    "next": _next,
    "mptcp": lambda seen: _mptcp(seen.mptcp_reason),
}
