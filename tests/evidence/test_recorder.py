"""The flight recorder: what happened before it was asked, within its bounds."""

from __future__ import annotations

from tests.core.packets import NOW, SECOND
from tests.evidence.frames import frame
from tests.evidence.test_join import NETNS, reset, rst, syn
from whyreset.core.tape import Tape
from whyreset.evidence.frames import Frame
from whyreset.evidence.recorder import RESETS_MAX, Recorder


def record(recorder: Recorder, *frames: Frame) -> None:
    """As a source would hand them on."""
    tape: Tape = recorder._tape
    for each in frames:
        tape.put(each.time_ns, each.place, each.interface, each.direction, each.link_type, each.length, each.data)


def test_it_gives_back_what_was_before() -> None:
    """Packets in the order of their time, resets and triggers with their explanations; as often as it is asked."""
    recorder = Recorder({0: NETNS})
    record(recorder, rst(time_ns=NOW + 1), syn(time_ns=NOW), syn(time_ns=NOW + 5 * SECOND))
    recorder.see([reset()])
    for _ in range(2):
        before, found, after = recorder.play()
        assert (before.provoked, found.reset, after.reset, after.provoked) == (reset(), reset(), None, None)
    assert [each.frame.time_ns for each in recorder.play(NOW + SECOND)] == [NOW + 5 * SECOND]


def test_long_ago_is_explained_too() -> None:
    """Each reset by what was said in its time, though ports come again."""
    recorder = Recorder({0: NETNS})
    for number in range(100):
        at = NOW + number * SECOND
        record(recorder, rst(time_ns=at))
        recorder.see([reset(number, time_ns=at, last_ns=at)])
    assert [each.reset.number if each.reset else None for each in recorder.play()] == list(range(100))


def test_it_forgets_the_oldest() -> None:
    """Packets by memory, explanations by number; what was overwritten is counted."""
    recorder = Recorder({0: NETNS}, size=4096)
    record(recorder, *(frame("S", time_ns=NOW + number) for number in range(1000)))
    recorder.see(reset(number) for number in range(RESETS_MAX + 10))
    assert recorder.count + recorder.overwritten == 1000
    assert recorder.count <= 4096 // 32
    assert len(recorder._resets) == RESETS_MAX
    assert [each.frame.time_ns for each in recorder.play()][-1] == NOW + 999
