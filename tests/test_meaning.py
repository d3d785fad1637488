"""When the findings are asked, and what they ask for."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from tests.findings.story import BOOT, EPOCH, SECOND
from tests.outputs.values import owner, process, record, reset
from whyreset.meaning import Meaning
from whyreset.model import Cause, Life, Owner, Process, Reset, Stop


class Nothing:
    """Owners that have no news."""

    def news(self, now_ns: int, most: int = 256) -> tuple[tuple[Life, ...], tuple[Process, ...]]:
        return (), ()

    def listening(self, socket_cookie: int, now_ns: int) -> Owner | None:
        return None

    def process(self, key: tuple[int, int], now_ns: int) -> Process:
        return process()


REFUSED = reset(
    time_ns=EPOCH,
    last_ns=EPOCH,
    owner=owner("former listener", alive=False),
    stop=Stop(time_ns=EPOCH - SECOND, exit_code=11),
)


@pytest.fixture
def meaning() -> Meaning:
    """All findings, on a host where nothing has happened."""
    return Meaning(Nothing(), lambda _: "", lambda _netns, _name: True)


def see(meaning: Meaning, now_ns: int, *resets: Reset) -> None:
    """One visit."""
    meaning.see(resets, now_ns - BOOT, epoch_ns=BOOT)


def names(findings: Iterable[object]) -> list[str]:
    """What was told."""
    return [getattr(each, "name", "") for each in findings]


def test_what_is_new_is_judged_at_once(meaning: Meaning) -> None:
    """Nobody waits for the second to be over; without news nothing is done."""
    see(meaning, EPOCH)
    assert meaning.judge_early(EPOCH) == []
    see(meaning, EPOCH + 1, REFUSED)
    assert names(meaning.judge_early(EPOCH + 1)) == ["service-down"]
    assert meaning.judge_early(EPOCH + 10 * SECOND) == []


def test_judging_early_costs_little(meaning: Meaning, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a judgement that took 1 ms of a core the next early one waits for half a second."""
    spent = iter(range(0, 10**9, 1_000_000))
    monkeypatch.setattr("whyreset.meaning.time.thread_time_ns", lambda: next(spent))
    see(meaning, EPOCH, REFUSED)
    meaning.judge(EPOCH)
    see(meaning, EPOCH, REFUSED)
    assert meaning.judge_early(EPOCH + 499_000_000) == []
    assert meaning.waiting()  # a calm visit would not come back to it
    meaning.judge_early(EPOCH + 500_000_000)
    assert not meaning.waiting()


def test_a_service_that_is_gone_is_judged_at_once(meaning: Meaning, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever judging costs: its first refused client is not put off."""
    spent = iter(range(0, 10**12, 1_000_000_000))
    monkeypatch.setattr("whyreset.meaning.time.thread_time_ns", lambda: next(spent))
    meaning.judge(EPOCH)
    see(meaning, EPOCH, REFUSED)
    assert names(meaning.judge_early(EPOCH + 1)) == ["service-down"]


def test_what_is_known_of_ends_is_bounded(meaning: Meaning) -> None:
    """Services come and go for ever."""
    for number in range(1000):
        see(meaning, EPOCH, replace(REFUSED, stop=Stop(time_ns=EPOCH + 10 * number * SECOND)))
    assert len(meaning._stops) == 256


def test_connections_are_only_counted_where_clients_are_turned_away(meaning: Meaning) -> None:
    """At rest nothing is asked for."""
    assert meaning.looks() == set()
    turned_away = reset(
        count=20,
        cause=Cause(name="data-after-close", family="abort", certainty="certain"),
        sample=dict.fromkeys(("opened_ns", "time_ns"), record().time_ns),
        owner=owner("closer"),
        time_ns=EPOCH,
        last_ns=EPOCH + 2 * SECOND,
    )
    see(meaning, EPOCH, turned_away)
    assert meaning.looks() == {(3, 8080)}
