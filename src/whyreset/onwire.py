"""The wire beside the kernel: packets of one or more namespaces, joined with what the kernel told, and what is left.

What went past the TCP stack is told only after the firewall's rules were read, since a rule's counter that moved
explains it. Nothing is concluded for seconds in which a ring lost something, or the kernel counted what nobody traced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from whyreset.core.merge import Merge
from whyreset.core.sightings import Sightings
from whyreset.core.taps import Sink
from whyreset.hands import OWN_HANDS, Hands
from whyreset.model import Group, Missing, Record, Surroundings
from whyreset.sources.base import SourceError
from whyreset.sources.conntrack import Translations
from whyreset.sources.firewall import Firewall, Rule, Rules
from whyreset.sources.packets import RESETS, Packets, Wanted

#: After a loss nothing is concluded for so long: what waits to be judged is younger.
_DOUBT_NS = 3_000_000_000
#: Firewalls are asked again after so long at the earliest; until then what was found holds for the same ports.
_ASK_NS = 2_000_000_000
#: Readings that are kept: what is judged is younger.
_KEPT_NS = 10_000_000_000
#: Namespaces whose packets are read, and blocks of 128 KiB that their rings have: all together, and each.
MOST_NAMESPACES, _ALL_BLOCKS, _LEAST_BLOCKS, _MOST_BLOCKS = 16, 64, 4, 32
_MOST_WAITING = 512
_MOST_ANSWERS = 1024
_TOLD_RULES = 3
_LAST_SECONDS = 2.0


class _Place(Struct):
    """One namespace whose packets are read."""

    #: Of the namespace, as long as it is held.
    path: str
    source: Packets
    sink: Sink
    firewall: Firewall
    translations: Translations
    #: The newest last.
    readings: list[Rules] = []
    waiting: list[Group] = []
    asked_ns: int = 0
    #: What was found for an address and a port, and until when that holds.
    found: dict[tuple[str, int | None], tuple[int, Group]] = {}
    #: Nobody uses the namespace any more, so that it was let go.
    ended: bool = False

    def close(self) -> None:
        """Lets go of everything."""
        self.firewall.close()
        self.translations.close()
        self.source.close()


class OnWire:
    """Watches the wire.

    Args:
        paths: of the namespaces («/proc/911/ns/net»), "" for our own.
        ring_blocks: size of each ring; None for the built-in one.
        hands: opens sockets and enters namespaces.
        snap_bytes, wanted: what is kept of a packet, and which ones pass (`sources.packets.Packets`).
        beside: who else takes the packets of each namespace, in the order of `paths`.
    """

    name = "packets"

    def __init__(
        self,
        paths: Sequence[str] = ("",),
        *,
        ring_blocks: int | None = None,
        hands: Hands = OWN_HANDS,
        snap_bytes: int = 256,
        wanted: Wanted = RESETS,
        beside: Sequence[Sink] = (),
    ) -> None:
        self.merge = Merge()
        self._hands = hands
        self._snap_bytes, self._wanted = snap_bytes, wanted
        self._paths = list(dict.fromkeys(paths))
        self._blocks = ring_blocks or min(max(_ALL_BLOCKS // max(len(self._paths), 1), _LEAST_BLOCKS), _MOST_BLOCKS)
        self._beside = [[each] for each in beside] or [[] for _ in self._paths]
        self._places: list[_Place] = []
        self._doubt_until_ns = 0
        self._blind = self._crowded = 0
        #: Resets that left here in the name of others, without having come in.
        self.foreign = 0

    @property
    def sources(self) -> tuple[Packets, ...]:
        """What reads each namespace."""
        return tuple(place.source for place in self._places)

    def can_run(self) -> Missing | None:
        sources = (Packets(path=path, opener=self._hands.open_packets) for path in self._paths)
        return next((missing for source in sources if (missing := source.can_run())), None)

    def start(self) -> None:
        if (asked := len(self._paths)) > MOST_NAMESPACES:
            raise SourceError(
                f"packets are read in {MOST_NAMESPACES} network namespaces at the most, and {asked} were asked for:"
                " name fewer with --netns"
            )
        try:
            for path in self._paths:
                self._places.append(self._place(path))
            for place in self._places:
                place.firewall.ask()
        except BaseException:
            self.close()
            raise

    def _place(self, given: str) -> _Place:
        path = self._hands.hold(given)
        source = Packets(
            path=path,
            snap_bytes=self._snap_bytes,
            wanted=self._wanted,
            blocks=self._blocks,
            opener=self._hands.open_packets,
        )
        try:
            source.start()
        except BaseException:
            self._hands.let_go(path)
            raise
        translations = self._hands.translations(path)
        ring = self.merge.ring(source.cookie, source.netns, _namer(source), translations.before)
        return _Place(
            path=path,
            source=source,
            sink=Sightings(self.merge, ring),
            firewall=Firewall(path, self._hands.tools),
            translations=translations,
        )

    def close(self) -> None:
        for place in self._places:
            self._end(place)
        self._places = []

    def drain(self, now_ns: int) -> None:
        """Takes what has come. Before the kernel's records are read, so that these find it."""
        self.merge.begin(now_ns)
        for place, beside in zip(self._places, self._beside, strict=True):
            place.source.drain([place.sink, *beside])

    def judge(self, now_ns: int, epoch_ns: int, *, blind: int, everything: bool = False) -> None:
        """Judges what has waited long enough; once a second, after the kernel's counters were read.

        Args:
            now_ns: CLOCK_BOOTTIME.
            epoch_ns: what to add for the time of day.
            blind: how many resets the kernel lost, or counted without a trace, so far, in these namespaces. What
                another one lost has come in where it left.
            everything: also what is younger.
        """
        dropped = sum(place.source.count_dropped() for place in self._places)
        if dropped or blind != self._blind:
            self._doubt_until_ns = now_ns + _DOUBT_NS
            self._blind = blind
        self.merge.judge(now_ns, epoch_ns, now_ns < self._doubt_until_ns, everything)
        for place in self._places:
            if not place.ended and not self._hands.is_used(place.path):
                self._crowded += sum(group.count for group in place.waiting)
                place.waiting = []
                self._end(place)
        for group in self.merge.take():
            place = next(each for each in self._places if each.source.cookie == group.netns_cookie)
            if len(place.waiting) < _MOST_WAITING and not place.ended:
                place.waiting.append(group)
            else:
                self._crowded += group.count

    def _end(self, place: _Place) -> None:
        """Lets go: holding it would keep it, and its devices, for as long as we run."""
        if not place.ended:
            place.ended = True
            place.close()
            self._hands.let_go(place.path)

    def take(self, *, last: bool = False) -> list[Group]:
        """What went past the stack and is known as far as it can be.

        Args:
            last: waits for the firewall, but not long.
        """
        out: list[Group] = []
        for place in self._places:
            if place.ended:
                continue
            now_ns = time.monotonic_ns()
            out += self._known(place, now_ns)
            if place.waiting and (last or now_ns - place.asked_ns > _ASK_NS):
                place.asked_ns = now_ns
                place.firewall.ask()
            rules = place.firewall.answer()
            if last and place.waiting:
                rules = rules or _await(place.firewall)
            if rules is not None:
                out += self._explain(place, rules)
        return out

    @property
    def cookies(self) -> tuple[int, ...]:
        """Of the namespaces whose packets are read."""
        return tuple(place.source.cookie for place in self._places)

    def off_wire(self, cookie: int) -> int | None:
        """How many resets of that namespace never left it; None where its packets are not read."""
        return self.merge.off_wire_of(cookie)

    @property
    def off_wire_in_all(self) -> int:
        """The same over all namespaces whose packets are read."""
        return sum(self.merge.off_wire_of(place.source.cookie) or 0 for place in self._places)

    def losses(self) -> dict[str, tuple[int, str]]:
        """What was lost so far, by name: how much, and what that means for the user."""
        found = {
            "wire-undecided": (
                self.merge.undecided + self._crowded,
                "resets that could not be held against the wire, or against the kernel: something was lost then",
            ),
            "wire-never-left": (
                self.off_wire_in_all,
                "resets that the kernel counted never left: an output filter, no route, or an unresolved neighbour",
            ),
            "wire-foreign": (
                self.foreign,
                "resets that left this host in the name of others without having come in",
            ),
        }
        for place in self._places:
            for name, (count, text) in place.source.losses().items():
                found[name] = (found.get(name, (0, ""))[0] + count, text)
        return found

    def _known(self, place: _Place, now_ns: int) -> list[Group]:
        """Groups like those that were explained a moment ago."""
        out, waiting = [], []
        for group in place.waiting:
            until_ns, like = place.found.get(_key(group), (0, group))
            if now_ns < until_ns:
                out.append(_like(group, like))
            else:
                waiting.append(group)
        place.waiting = waiting
        return out

    def _explain(self, place: _Place, rules: Rules) -> list[Group]:
        """Holds what waits against the rules: a counter that moved since the last reading before the first reset."""
        out: list[Group] = []
        if place.waiting:
            ours = [each.source.inode for each in self._places]
            sockets, unread = self._hands.raw_sockets(place.path, ours)
            if len(place.found) > _MOST_ANSWERS:
                place.found.clear()
            for group in place.waiting:
                since = _before(place.readings, group.first_ns)
                fit = [rule for rule in rules.rules if rule.fits(group.port, _version(group))]
                grown = sum(_growth(rule, since) for rule in fit)
                moved = [rule for rule in fit if _growth(rule, since)]
                told = moved if moved and grown >= group.count else [rule for rule in fit if _silent(rule, since)]
                around = Surroundings(
                    rules=tuple(rule.text for rule in told[:_TOLD_RULES]) or rules.unread,
                    sockets=sockets,
                    unread=unread,
                )
                if told is not moved and not self._is_ours(place, group):
                    self.foreign += group.count
                    continue
                reject: Literal["", "moved", "uncounted", "unread"] = "unread" if rules.unread else ""
                if told:
                    reject = "moved" if told is moved else "uncounted"
                group = _numbered(replace(group, facts=replace(group.facts, reject=reject), surroundings=around))
                place.found[_key(group)] = (time.monotonic_ns() + _ASK_NS, group)
                out.append(group)
            place.waiting = []
        older = _before(place.readings, rules.time_ns - _KEPT_NS)
        place.readings = [each for each in place.readings if older is None or each.time_ns >= older.time_ns]
        place.readings.append(rules)
        return out

    def _is_ours(self, place: _Place, group: Group) -> bool:
        """Whether its source is an address of the namespace itself."""
        if not group.samples:
            return False
        return bool(self._hands.is_local(place.path, group.samples[0].local))


def _await(firewall: Firewall) -> Rules:
    """What it answers, if it does soon."""
    deadline = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < deadline:
        if (rules := firewall.answer()) is not None:
            return rules
        time.sleep(0.01)
    return Rules(time_ns=0, unread=("the firewall's rules could not be read in time",))


def _namer(source: Packets) -> Callable[[int], str]:
    return lambda index: source.interface(index, time.monotonic_ns())


def _key(group: Group) -> tuple[str, int | None]:
    return (group.samples[0].local if group.samples else "", group.port)


def _before(readings: Sequence[Rules], time_ns: int) -> Rules | None:
    """The newest reading that is older than that time."""
    return next((each for each in reversed(readings) if each.time_ns < time_ns), None)


def _silent(rule: Rule, since: Rules | None) -> bool:
    """Its counter does not tell whether it was the one: there is none, or it was not read before."""
    return rule.packets is None or (since is None and rule.packets > 0)


def _version(group: Group) -> int:
    return 6 if group.samples and ":" in group.samples[0].local else 4


def _growth(rule: Rule, since: Rules | None) -> int:
    """How often it matched since then."""
    if rule.packets is None or since is None:
        return 0
    before = next((each.packets for each in since.rules if each.key == rule.key), 0)
    # a rule that was loaded anew begins at 0
    return rule.packets - before if before is not None and rule.packets >= before else rule.packets


def _like(group: Group, like: Group) -> Group:
    return _numbered(replace(group, facts=like.facts, surroundings=like.surroundings))


def _numbered(group: Group) -> Group:
    """Its records have numbers of their own, which are no others'."""
    samples: tuple[Record, ...] = tuple(replace(each, number=-each.number) for each in group.samples)
    return replace(group, number=-group.number, last_number=-group.last_number, samples=samples)
