import math
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alerts.noise import overdispersed, poisson
from whyreset.alerts.surge import FLOOR, LEAST_SPREAD, UNLIKELY, WINDOWS, Baseline, Detector, Surge, limit


def found(detector: Detector, counts: list[int]) -> list[tuple[int, Surge]]:
    """Surges, each with the index of the count that showed it."""
    return [(index, surge) for index, count in enumerate(counts) if (surge := detector.step(count)) is not None]


def first(detector: Detector, counts: list[int]) -> int:
    """The index of the count that showed the first surge; 10,000 where none did."""
    return next((index for index, _ in found(detector, counts)), 10_000)


def on(detector: Detector) -> bool:
    """Whether a surge is on."""
    return detector.since is not None


def after(counts: list[int]) -> Detector:
    """A detector that has seen these."""
    detector = Detector()
    assert not found(detector, counts)
    return detector


QUIET = [0] * 90
RANDOM = Random(6)
BUSY = [poisson(RANDOM, 100) for _ in range(90)]


# ---- what Netdata was seen to miss ----


@pytest.mark.parametrize("rate", [50, 60, 80, 200, 2000])
def test_a_surge_on_a_quiet_host(rate: int) -> None:
    """50 to 83 a second Netdata catches by luck of its phase, 20 s of 2000 it tells nobody of; here: two seconds."""
    assert first(after(QUIET), [rate] * 30) <= 1


def test_45_a_second_for_a_minute() -> None:
    """Just below Netdata's ten times five."""
    assert first(after(QUIET), [45] * 60) <= 1


def test_a_ramp() -> None:
    """One more each second, up to 240: Netdata's idea of what is usual rises with it."""
    assert first(after(QUIET), list(range(1, 241))) < 15


def test_a_slow_ramp() -> None:
    """One more every five seconds does not become what is usual either."""
    assert first(after(QUIET), [second // 5 for second in range(600)]) < 60


def test_a_spike_of_three_seconds() -> None:
    """Over before a rule that looks every ten seconds looks."""
    assert first(after(QUIET), [100, 100, 100, 0, 0]) <= 1


def test_a_surge_on_a_busy_host() -> None:
    """1,100 a second on top of 100; Netdata wants ten times as many."""
    assert first(after(BUSY), [poisson(RANDOM, 1200) for _ in range(30)]) == 0


def test_five_times_a_busy_base() -> None:
    """Within the first minutes there is little to hold it against; after an hour there is."""
    assert first(after(BUSY), [poisson(RANDOM, 500) for _ in range(30)]) <= 3
    hour = [poisson(RANDOM, 100) for _ in range(3600)]
    assert first(after(hour), [poisson(RANDOM, 500) for _ in range(30)]) == 0


@pytest.mark.parametrize("seconds", [6, 10, 20, 40])
def test_a_surge_within_the_first_minute(seconds: int) -> None:
    """Netdata says nothing in its first minute."""
    assert first(after(QUIET[:seconds]), [200] * 20) <= 1


def test_what_goes_on_is_not_cleared() -> None:
    """A constant 200 a second is not usual by going on, not even after an hour."""
    detector = after(QUIET)
    assert [index for index, _ in found(detector, [200] * 3600)] == [0]
    assert on(detector)


def test_a_surge_with_pauses_is_one() -> None:
    """Three seconds on and fifteen off go on as one surge."""
    detector = after(QUIET)
    assert len(found(detector, ([100] * 3 + [0] * 15) * 50)) == 1
    assert on(detector)


def test_it_ends_when_it_is_over() -> None:
    """Half a minute after, and the next one is found again."""
    detector = after(QUIET)
    found(detector, [200] * 100)
    assert on(detector)
    found(detector, [0] * 35)
    assert not on(detector)
    assert first(detector, [0] * 60 + [200] * 5) == 60


def test_what_is_over_is_not_found_again() -> None:
    """On a busy host the longest window still reaches back into the surge when that has ended."""
    counts = [poisson(RANDOM, 100) for _ in range(600)]
    surge = [poisson(RANDOM, 2000) for _ in range(20)]
    assert [index for index, _ in found(Detector(), counts + surge + counts)] == [600]


def test_a_surge_does_not_change_what_is_usual() -> None:
    """Neither it nor its approach is learned."""
    detector = after(QUIET * 4)
    found(detector, list(range(1, 100)) + [100] * 600 + [0] * 100)
    assert detector.baseline.mean < 0.05


# ---- what is no surge ----


@pytest.mark.parametrize("burst", [[25], [20, 20], [12] * 3, [2] * 64])
def test_a_handful_is_no_surge(burst: list[int]) -> None:
    """A browser that is closed, a web server that reloads."""
    assert not found(Detector(), QUIET + burst + QUIET)


def test_a_host_that_is_always_busy_has_no_surge() -> None:
    """Not even at the start, when nothing is known of it."""
    for mean in (5, 50, 500, 5000):
        assert not found(Detector(), [poisson(RANDOM, mean) for _ in range(600)])


def test_a_spread_load_has_no_surge() -> None:
    """Counts may vary as much as they always did."""
    assert not found(Detector(), [overdispersed(RANDOM, 60, 3) for _ in range(3600)])


def test_a_load_that_grows_within_the_hour_is_followed() -> None:
    """What is usual by day is not what is usual at night."""
    counts = [poisson(RANDOM, 20 + second / 60) for second in range(7200)]
    assert not found(Detector(), counts)


def test_bursts_that_recur_are_learned() -> None:
    """What comes every minute is usual; a limit that they came near rises."""
    detector = after(([30] + [0] * 59) * 120)
    assert detector.baseline.spread > LEAST_SPREAD * 4


# ---- the bound ----


@pytest.mark.parametrize(("mean", "spread"), [(2, 2), (20, 2), (20, 10), (500, 3)])
@pytest.mark.parametrize("seconds", [1, 8])
def test_the_limit_is_beyond_what_the_null_brings(
    mean: float, spread: float, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an exponent that can be tried, sums pass the limit less often than its bound says."""
    monkeypatch.setattr("whyreset.alerts.surge.UNLIKELY", 4.0)
    random, shape, tries = Random(1), mean / (spread - 1), 4000
    most = limit(mean * seconds, spread)
    sums = [sum(overdispersed(random, mean, shape) for _ in range(seconds)) for _ in range(tries)]
    assert sum(each >= most for each in sums) / tries <= math.exp(-4)


@given(st.floats(0.1, 1e6), st.floats(LEAST_SPREAD, 1e4))
def test_a_limit_is_always_there(mean: float, spread: float) -> None:
    """Above the mean, by at least what the bound asks of independent events."""
    most = limit(mean, spread)
    assert mean < most < mean + 10 * UNLIKELY * spread + 10 * (UNLIKELY * spread * mean) ** 0.5


@given(st.lists(st.integers(0, 10**9), max_size=300))
def test_no_counts_make_it_fail(counts: list[int]) -> None:
    """Whatever comes, there is a baseline and what it holds is finite."""
    detector = Detector()
    found(detector, counts)
    assert 0 <= detector.baseline.mean < 1e10
    assert detector.baseline.spread >= LEAST_SPREAD
    assert detector.baseline.allowed >= FLOOR


def test_what_a_surge_says() -> None:
    """The rate over the window that showed it, the most that would have been none, and what is usual."""
    ((_, surge),) = found(after(QUIET), [500])
    assert (surge.rate, surge.window) == (500, WINDOWS[0])
    assert surge.usual == 0
    assert 30 < surge.threshold < 60


# ---- restarts ----


def test_what_is_usual_survives_a_restart() -> None:
    """As a value that is written and read: the first second after it is judged as any other."""
    before = after([poisson(RANDOM, 100) for _ in range(3600)])
    saved = msgspec.json.decode(msgspec.json.encode(before.baseline), type=Baseline)
    assert saved == before.baseline
    assert not found(Detector(saved), [poisson(RANDOM, 100) for _ in range(300)])
    assert first(Detector(saved), [700] * 5) == 0


def test_what_was_counted_before_the_start_is_known() -> None:
    """A surge that is on already when watching begins is held against the mean since boot."""
    quiet = Baseline.from_before(1000, seconds=500_000)
    assert first(Detector(quiet), [200] * 5) <= 1
    busy = Baseline.from_before(100 * 500_000, seconds=500_000)
    assert not found(Detector(busy), [poisson(RANDOM, 100) for _ in range(300)])


# ---- what others stored, in steps of many seconds ----


@pytest.mark.parametrize("step", [5, 15, 60, 600])
def test_a_surge_of_half_a_minute_is_found_in_coarse_steps(step: int) -> None:
    """6000 resets on a quiet host show in the step that holds them, however long that is."""
    detector = Detector(step=step)
    assert not found(detector, [0] * 30)
    [(_, surge)] = found(detector, [200 * min(step, 30)] * max(30 // step, 1))
    assert surge.rate == pytest.approx(200 * min(step, 30) / step)


@pytest.mark.parametrize("step", [15, 60, 600])
def test_a_busy_host_is_no_surge_in_coarse_steps(step: int) -> None:
    """Its seconds come in clusters, and its load wanders by a fifth: a day of it raises nothing."""
    random = Random(step)
    counts = [
        sum(overdispersed(random, 30, 5) for _ in range(min(step, 30))) * step // min(step, 30) for _ in range(24 * 6)
    ]
    wandering = [round(count * (1 + 0.2 * math.sin(index / 10))) for index, count in enumerate(counts)]
    assert not found(Detector(step=step), wandering)


def test_a_coarse_surge_ends_and_another_is_found() -> None:
    """The end is seen in the step after it."""
    detector = Detector(step=600)
    quiet, surge = [3] * 20, [9000, 9000]
    assert [index for index, _ in found(detector, quiet + surge + quiet + surge)] == [20, 42]
    assert on(detector)
