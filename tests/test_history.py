"""What is gathered of a history: what belongs together, what nobody watched, and how it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tests.outputs import values
from tests.outputs.store.histories import NOW, SECOND, History
from whyreset.before import before
from whyreset.filter import Filter
from whyreset.history import OPENING_NS, PORTS_MAX, gaps, gather, opening, rows, ticks
from whyreset.keeping import values_of
from whyreset.model import Reset, Stop, Tick
from whyreset.outputs import history as words
from whyreset.outputs.store.kinds import BY_TYPE
from whyreset.outputs.store.reader import Reader
from whyreset.outputs.store.values import Run
from whyreset.questions import Question

HOUR = 3600 * SECOND


def run(start: int, last: int, reason: str = "") -> Run:
    """An agent's time, in seconds."""
    return Run(start_ns=start * SECOND, last_ns=last * SECOND, version="test", reason=reason)


def spans(runs: list[Run], since: int = 0, until: int = 1000, *, running: bool = False) -> list[tuple[int, int, str]]:
    """When nobody watched, in seconds."""
    found = gaps(runs, since * SECOND, until * SECOND, running=running)
    return [(each.from_ns // SECOND, each.to_ns // SECOND, each.why) for each in found]


def test_between_agents_nobody_watched() -> None:
    """From the end of one to the beginning of the next, with how it ended; and after the last."""
    runs = [run(10, 100, "SIGTERM"), run(200, 300)]
    term, silent = "the agent had ended (SIGTERM)", "the agent had ended without a word"
    assert spans(runs) == [(100, 200, term), (300, 1000, silent)]
    assert spans(runs, running=True) == [(100, 200, term)]
    assert spans(runs, 150, 250) == [(150, 200, term)]
    assert spans(runs, 210, 290) == []
    assert spans([]) == []


def test_a_clock_that_was_set_back_makes_no_gap() -> None:
    """Runs that overlap by the time of day are one after the other all the same."""
    assert spans([run(100, 500, "SIGTERM"), run(50, 150)], running=True) == []
    assert spans([run(100, 500), run(200, 300), run(600, 700)], running=True) == [
        (500, 600, "the agent had ended without a word")
    ]


def worker(pid: int, **fields: Any) -> Reset:
    """Of one of nginx's processes."""
    return values.reset(owner=values.owner(pid=pid, unit="nginx.service", alive=False, exit_code=9), **fields)


def test_workers_of_one_service_are_one_row() -> None:
    """Told as a kind, with how they ended where all did alike."""
    (row,) = rows([worker(1), worker(2, count=3), worker(2)])
    assert (row.reset.count, row.owners, row.ended) == (5, 2, "killed by SIGKILL")


def test_ports_of_a_scan_are_one_row() -> None:
    """Where there are many; a few stay apart, and so does what has an owner."""
    few = rows([values.reset(port=port) for port in range(1, PORTS_MAX + 1)])
    assert len(few) == PORTS_MAX
    scan = [values.reset(port=port) for port in range(1, PORTS_MAX + 2)]
    owned, many = sorted(rows([*scan, worker(1, port=443)]), key=lambda row: row.reset.count)
    assert (owned.reset.port, owned.owners) == (443, 1)
    assert (many.reset.port, many.reset.count) == (None, PORTS_MAX + 1)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A history that goes on."""
    return History(tmp_path / "history.db")


def test_all_of_it_is_told(history: History) -> None:
    """Alerts, findings, rows, the account, notices, what is not watched and what is not known, in lines that fit."""
    history.take(
        values.reset(time_ns=NOW, last_ns=NOW, count=9),
        values.reset(time_ns=NOW, last_ns=NOW, facts={"direction": "received"}),
        values.alert(time_ns=NOW),
        values.count(time_ns=NOW, delta={"counted": 10, "seen": 9, "lost": 1}),
        values.notice(time_ns=NOW, count=7),
        values.notice(time_ns=NOW, count=5),
    )
    history.end()
    with Reader(str(history.path)) as reader:
        kept = gather(reader, NOW - HOUR, NOW + HOUR)
    said = words.text(kept, 80)
    assert max(map(len, said.splitlines())) <= 80
    for part in (
        "no agent runs now",
        "of before nothing is known",
        "the agent had ended (SIGTERM)",
        "warning: surge of TCP resets sent",
        "SENT 9\n",
        " 100 %       9  closed port 8080, nobody listens there",
        "RECEIVED 1\n",
        "Account: counted 10, seen 9, lost 1",
        "Note: 12 resets not told apart",
    ):
        assert part in said, said
    assert "2 min" not in said
    assert kept.begins_ns == NOW


def test_what_was_asked_for_is_told(history: History) -> None:
    """By port, cause, direction and namespace; the account is then left out, since it is of everything."""
    history.take(values.reset(count=9, time_ns=NOW, last_ns=NOW), values.count(time_ns=NOW, delta={"counted": 9}))
    history.end()
    with Reader(str(history.path)) as reader:
        for chosen, count in (
            (Filter(ports=frozenset({8080})), 9),
            (Filter(ports=frozenset({80})), 0),
            (Filter(causes=frozenset({"unread-data"})), 0),
            (Filter(direction="received"), 0),
            (Filter(netns=frozenset({"1"})), 0),
        ):
            kept = gather(reader, 0, NOW + HOUR, chosen)
            assert sum(row.reset.count for row in kept.rows) == count, chosen
            assert "Account" not in words.text(kept, 80)
            assert (
                sum(
                    reset.count
                    for tick in ticks(reader, 0, NOW + HOUR, chosen)
                    if isinstance(tick, Tick)
                    for reset in tick.resets
                )
                == count
            )


def test_lines_are_in_the_order_of_time(history: History) -> None:
    """Of all types; a run comes before what it brought."""
    history.take(values.reset(time_ns=NOW, last_ns=NOW), values.alert(time_ns=NOW + SECOND), seconds=11)
    history.take(values.reset(time_ns=NOW + 11 * SECOND, last_ns=NOW + 11 * SECOND), seconds=11)
    history.end()
    with Reader(str(history.path)) as reader:
        found = list(ticks(reader, 0, NOW + HOUR, Filter()))
    kinds = ["run" if isinstance(each, Run) else "reset" if each.resets else "alert" for each in found]
    assert kinds == ["run", "reset", "alert", "reset"]


def test_a_watch_begins_with_what_the_agent_saw(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence, while an agent runs; else, and where it may not be read, nothing is said."""
    history.take(values.reset(count=9, time_ns=NOW, last_ns=NOW), values.alert(time_ns=NOW))
    assert opening(str(history.path), NOW + SECOND, Filter()) == []  # our own lock is not another's
    monkeypatch.setattr(Reader, "writer", 911)
    (notice,) = opening(str(history.path), NOW + SECOND, Filter())
    assert notice.text == (
        "the agent saw in the last 1 min: 9 sent (100 % closed port 8080), 0 received, 1 alert; "
        "`whyreset history` tells more"
    )
    (notice,) = opening(str(history.path), NOW + 2 * OPENING_NS, Filter())
    assert "0 sent, 0 received;" in notice.text
    assert opening("/nowhere/history.db", NOW, Filter()) == []
    history.end()


def test_who_learns_who_listened_before(history: History) -> None:
    """From resets that came after the end of a listener; only of the port or process that was asked for."""
    stop = Stop(time_ns=NOW - SECOND, exit_code=11)
    ended = values.owner("former listener", alive=False, pid=2214, exit_code=11)
    history.take(
        values.reset(time_ns=NOW, last_ns=NOW, owner=ended, stop=stop),
        values.reset(time_ns=NOW, last_ns=NOW, port=443, sample={"local_port": 443}),
    )
    history.end()
    for question in (Question(port=8080), Question(pid=2214)):
        found = before(question, str(history.path), NOW + HOUR)
        assert found is not None
        assert [(each.owner.process.pid, each.until_ns, each.end) for each in found.former] == [
            (2214, NOW - SECOND, "killed by SIGSEGV")
        ]
        assert [(each.port, each.count) for each in found.resets] == [(8080, 1)]
    other = before(Question(port=9), str(history.path), NOW + HOUR)
    assert other is not None
    assert (other.resets, other.former) == ((), ())
    early = before(Question(port=8080), str(history.path), NOW - HOUR)
    assert early is not None
    assert early.resets == ()
    assert before(Question(port=8080), "/nowhere/history.db", NOW) is None


def test_every_type_of_line_is_kept() -> None:
    """Whatever a tick brings has a kind, so that nothing is forgotten when another type of line is added."""
    for name, hint in get_type_hints(Tick).items():
        types = [each for each in get_args(hint) if each not in (Ellipsis, type(None))]
        assert types, name
        assert all(each in BY_TYPE for each in types), f"{name} has no kind in outputs/store/kinds.py"
    tick = Tick(resets=(values.reset(),), notices=(values.notice(),))
    assert list(values_of(tick)) == [values.reset(), values.notice()]
