"""What is tried with each input, and what must hold of it."""

from __future__ import annotations

import msgspec

from whyreset.core.segments import SKIPPED, Analyzer

#: Bytes at the beginning of an input that say how the rest is read.
HEAD = 2


def one(data: bytes) -> None:
    """Reads an input: how the first bytes say, and all at once. Raises AssertionError where the two differ.

    The first byte has the size of blocks, the second the room for connections and whether each reset is told by itself.
    """
    if len(data) < HEAD:
        return
    step, each, capacity = data[0] + 1, bool(data[1] & 1), (data[1] >> 1) + 1
    capture = data[HEAD:]
    if told(capture, step, each, capacity) != told(capture, max(1, len(capture)), each, capacity):
        raise AssertionError(f"blocks of {step} bytes tell something else than the whole")


def told(capture: bytes, step: int, each: bool, capacity: int) -> bytes:
    """All that the core tells of a capture, which two files make: it, and it again."""
    analyzer = Analyzer(each=each, capacity=capacity)
    for again in (False, True):
        if again:
            analyzer.begin()
        for start in range(0, len(capture), step):
            if not analyzer.feed(capture[start : start + step]):
                break
        analyzer.end()
    analyzer.finish()
    found, totals = analyzer.take(), analyzer.summary()
    assert sum(group.count for group in found) == totals.resets
    assert totals.reset <= totals.connections <= totals.segments
    assert totals.reset <= totals.resets
    assert totals.complete <= totals.connections
    assert set(totals.skipped) <= set(SKIPPED)
    assert analyzer.consumed <= len(capture)
    return msgspec.json.encode((found, totals, analyzer.problem))
