"""The rungs of a sequence diagram, in words: what a terminal and an SVG both draw."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from whyreset.observation import Step
from whyreset.observed import ObservedReset
from whyreset.outputs.report.phrases import place
from whyreset.words import amount

#: More rungs than that are drawn as a gap between the first and the last ones.
RUNGS_MAX = 60
_NAMES = {"S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG", "E": "ECE", "C": "CWR"}


class Rung(Struct, frozen=True, kw_only=True):
    """One segment, or a gap where segments are left out."""

    #: Seconds since the first segment.
    seconds: float
    #: From left to right.
    rightward: bool
    #: «SYN seq 0», «PSH ACK seq 1 ack 1, 100 bytes».
    label: str
    frame: int
    reset: bool
    #: Of a reset: why; else "".
    why: str
    #: Of a gap: segments left out; else 0.
    left_out: int = 0


class Ladder(Struct, frozen=True, kw_only=True):
    """A whole diagram."""

    title: str
    #: «192.0.2.1:51234», who sent the SYN or was seen first.
    left: str
    right: str
    rungs: tuple[Rung, ...]


def ladder(steps: Sequence[Step], resets: Sequence[ObservedReset], left_out: int = 0) -> Ladder:
    """The diagram of a connection.

    Args:
        steps: its segments in their order.
        resets: those of the resets among them that are explained.
        left_out: segments that are missing in the middle of `steps`.
    """
    first = steps[0]
    why = {(each.seen.file, each.seen.frame): each for each in resets}
    left, right = _ends(steps, resets)
    bases: dict[tuple[str, int], int] = {}
    rungs = []
    for step in steps:
        segment = step.segment
        source = (step.src, step.sport)
        bases.setdefault(source, segment.seq)
        reset = why.get((segment.file, segment.frame))
        rungs.append(
            Rung(
                seconds=max(0, segment.time_ns - first.segment.time_ns) / 1e9,
                rightward=source == left,
                label=_label(step, bases, right if source == left else left),
                frame=segment.frame,
                reset="R" in segment.flags,
                why=_why(reset) if reset else "",
            )
        )
    name = resets[0].file if resets else ""
    return Ladder(
        title=f"connection {resets[0].seen.connection} of {name}" if resets else "",
        left=place(*left),
        right=place(*right),
        rungs=_shortened(rungs, left_out),
    )


def _ends(steps: Sequence[Step], resets: Sequence[ObservedReset]) -> tuple[tuple[str, int], tuple[str, int]]:
    """Who opened, to the left; and the other."""
    seen = resets[0].seen
    sender, receiver = (seen.src, seen.sport), (seen.dst, seen.dport)
    left = {"sender": sender, "receiver": receiver, None: (steps[0].src, steps[0].sport)}[seen.opener]
    return (sender, receiver) if left == sender else (receiver, sender)


def _label(step: Step, bases: dict[tuple[str, int], int], other: tuple[str, int]) -> str:
    """Numbers are counted from the first that each side was seen to send; of the other side where that is not known."""
    segment = step.segment
    flags = " ".join(_NAMES[flag] for flag in segment.flags) or "no flags"
    text = f"{flags} seq {_relative(segment.seq, bases[step.src, step.sport])}"
    if "A" in segment.flags:
        text += f" ack {_relative(segment.ack, bases.get(other))}"
    if segment.length:
        text += f", {amount(segment.length, 'byte')}"
    return text


def _relative(number: int, base: int | None) -> int:
    """The distance, as sequence numbers are compared (RFC 9293 section 3.4); the number itself without a base."""
    if base is None:
        return number
    distance = (number - base) & 0xFFFFFFFF
    return distance if distance < 1 << 31 else distance - (1 << 32)


def _why(reset: ObservedReset) -> str:
    sure = "" if reset.cause.certainty == "certain" else "?"
    return f"#{reset.seen.number} {reset.cause.name}{sure}"


def _shortened(rungs: list[Rung], left_out: int) -> tuple[Rung, ...]:
    """The first and the last, and one for what is between."""
    if len(rungs) <= RUNGS_MAX and not left_out:
        return tuple(rungs)
    first, last = (rungs[: RUNGS_MAX // 3], rungs[-(RUNGS_MAX * 2 // 3) :]) if len(rungs) > RUNGS_MAX else (rungs, [])
    between = len(rungs) - len(first) - len(last) + left_out
    gap = Rung(seconds=first[-1].seconds, rightward=True, label="", frame=0, reset=False, why="", left_out=between)
    return (*first, gap, *last)
