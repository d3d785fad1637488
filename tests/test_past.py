"""What is made of any store: surges with shares of what goes beyond the usual, and what is not known."""

import platform
from array import array
from collections.abc import Callable, Sequence

import pytest

from whyreset import past as module
from whyreset.past import past
from whyreset.sources.base import SourceError
from whyreset.stored import COUNTERS, Past, Series

START = 1_700_000_000


class Kept:
    """A store in memory: a rate for each counter by the second since START."""

    name = "kept"
    where = "memory"

    def __init__(
        self, rates: dict[str, Callable[[int], float]], *, seconds: int, step: int = 1, host: str = ""
    ) -> None:
        self._rates = rates
        self.step = step
        self.host = host or platform.node()
        self.counters = frozenset(rates)
        self.kept: tuple[float | None, float | None] = (START, START + seconds)
        self.gaps: tuple[tuple[float, float], ...] = ()
        self.restarts: tuple[float, ...] = ()

    def open(self, since: int, until: int) -> None:
        """It is open."""

    def read(self, counters: Sequence[str], since: int, until: int) -> Series:
        """The rates of these."""
        assert since % self.step == START % self.step
        first, last = self.kept
        assert first is not None
        assert last is not None
        steps = range(since, until, self.step)
        counts = {
            name: array("d", (self._rates[name](at - START) * self.step if first <= at < last else 0 for at in steps))
            for name in counters
            if name in self._rates
        }
        return Series(start=since, step=self.step, counts=counts, gaps=self.gaps, restarts=self.restarts)

    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()


def during(begin: int, end: int, rate: float, usual: float = 0) -> Callable[[int], float]:
    """A rate in these seconds, and what is usual else."""
    return lambda second: rate if begin <= second < end else usual


def told(store: Kept, *, journal: str = "none") -> Past:
    """All of what it holds."""
    first, last = store.kept
    assert first is not None
    assert last is not None
    return past(store, first, last, default=0, journal=journal)


def test_shares_are_of_what_goes_beyond_the_usual() -> None:
    """A host that closes with data unread all day has a surge of something else."""
    rates = {"OutRsts": during(400, 420, 500, 50), "TCPAbortOnClose": lambda second: 50.0}
    [surge] = told(Kept(rates, seconds=500)).surges
    assert (surge.begin, surge.end) == (START + 400, START + 420)
    assert surge.count == 22 * 50 + 20 * 450
    [rest] = surge.families
    assert rest.family == "unknown"
    assert rest.count == pytest.approx(9000, rel=0.02)


def test_what_is_usual_is_of_the_time_that_is_stored() -> None:
    """A store that began half a minute before knows what was usual then."""
    rates = {
        "OutRsts": during(30, 60, 40),
        "PassiveOpens": during(30, 60, 0, 40),
        **dict.fromkeys(("ActiveOpens",), during(0, 0, 0)),
    }
    [surge] = told(Kept(rates, seconds=120)).surges
    assert any("connections accepted fell from 40/s" in hint for hint in surge.hints)


@pytest.mark.parametrize("step", [15, 600])
def test_a_coarse_store_tells_less_and_says_so(step: int) -> None:
    """Times are those of its steps."""
    store = Kept({"OutRsts": during(step * 50, step * 51, 100)}, seconds=step * 100, step=step)
    found = told(store)
    [surge] = found.surges
    assert (surge.begin, surge.end, surge.count) == (START + step * 50, START + step * 51, 100 * step)
    assert any(f"every {step} s" in each.why for each in found.unknown)


def test_many_surges_are_cut_and_counted() -> None:
    """Those with most resets are kept, in the order of time."""
    surges = module.MOST + 5

    def rate(second: int) -> float:
        number, within = divmod(second - 60, 60)
        return 50 + number if 0 <= number < surges and within < 4 else 0

    found = told(Kept({"OutRsts": rate}, seconds=60 * (surges + 3)))
    assert len(found.surges) == module.MOST
    assert (found.more, found.more_resets) == (5, sum(4 * (50 + number) for number in range(5)))
    assert [each.begin for each in found.surges] == sorted(each.begin for each in found.surges)
    assert found.surges[0].begin == START + 60 + 5 * 60


def test_the_journal_of_another_host_is_not_joined() -> None:
    """Unless it is named."""
    [unread] = [
        each
        for each in told(Kept({"OutRsts": during(0, 0, 0)}, seconds=60, host="web9")).unknown
        if each.source == "journal"
    ]
    # the helper names one
    assert "the journal holds nothing" in unread.why
    found = told(Kept({"OutRsts": during(0, 0, 0)}, seconds=60, host="web9"), journal="")
    assert any("the counters are of web9, and the journal here is of" in each.why for each in found.unknown)


def test_gaps_and_restarts_are_noted() -> None:
    """What is not stored at the beginning, in between, and when counters began anew."""
    store = Kept({"OutRsts": during(0, 0, 0)}, seconds=600)
    store.gaps = ((START, START + 100), (START + 300, START + 350), (START + 590, START + 600))
    store.restarts = (START + 350,)
    notes = " ".join(told(store).notes)
    assert "nothing is stored from before" in notes
    assert "for 50 s of that time nothing was stored" in notes
    assert "nothing is stored from after" in notes
    assert "the counters began anew" in notes


def test_a_time_that_is_not_stored_is_refused() -> None:
    """With what there is."""
    store = Kept({"OutRsts": during(0, 0, 0)}, seconds=60)
    with pytest.raises(SourceError, match=r"nothing of that time is stored in memory; it has from 20"):
        past(store, START + 100, START + 200, default=0, journal="none")


def test_counters_that_are_not_there_are_told() -> None:
    """In the order of their weight."""
    found = told(Kept({"OutRsts": during(0, 0, 0)}, seconds=60))
    assert found.counters == ("OutRsts",)
    assert found.lacking == COUNTERS[1:]
