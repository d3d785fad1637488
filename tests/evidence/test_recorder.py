"""The flight recorder: what happened before it was asked, within its bounds."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("step", [-7200 * SECOND, -2 * SECOND, 2 * SECOND, 7200 * SECOND])
def test_setting_the_clock_parts_nothing(step: int) -> None:
    """Before and after it each packet has its explanation, none is lost, and the order is that in which they came."""
    recorder, offset = Recorder({0: NETNS}), NOW
    stamped = []
    for tick in range(1, 20):
        if tick == 10:
            offset += step
        at = tick * SECOND
        recorder.read_clocks(offset + at, at)
        stamped.append(offset + at - SECOND // 10)
        record(recorder, rst(time_ns=stamped[-1], dport=tick))
        recorder.see([reset(tick, time_ns=stamped[-1], last_ns=stamped[-1], sample={"remote_port": tick})])
    played = list(recorder.play_steady(0, 1 << 62))
    assert [each.frame.time_ns for each in played] == stamped
    assert [each.reset.number if each.reset else None for each in played] == list(range(1, 20))
    late = [each.frame.time_ns for each in recorder.play(offset + 15 * SECOND, offset + 18 * SECOND)]
    assert late == stamped[15:18]


def test_what_is_overwritten_while_it_is_played_is_counted() -> None:
    """Never less than were lost; what is still there comes."""
    recorder = Recorder({0: NETNS}, size=1 << 18)
    record(recorder, *(frame("S", time_ns=NOW + number * SECOND) for number in range(2500)))
    playing = recorder.play()
    begun = recorder.overwritten
    assert next(playing).frame.time_ns == NOW + begun * SECOND
    record(recorder, *(frame("S", time_ns=NOW + number * SECOND) for number in range(2500, 4000)))
    rest = [(each.frame.time_ns - NOW) // SECOND for each in playing]
    lost = 2500 - begun - 1 - len([each for each in rest if each < 2500])
    assert 0 < lost <= recorder.missed <= 1500
    assert rest == sorted(rest)
