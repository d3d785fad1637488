"""Where a watch writes: NDJSON, or lines for people."""

import io
import json

import pytest

from tests.outputs.values import EPOCH, count, notice, reset
from whyreset.model import Alert, FamilyShare, Missing, Tick
from whyreset.outputs.printers import JsonPrinter, PlainPrinter, Printer

TOTALS = dict.fromkeys(
    (
        "counted",
        "uncounted",
        "seen",
        "explained",
        "unknown",
        "lost",
        "unseen",
        "received",
        "received_lost",
        "past_stack",
    ),
    0,
)
MISSING = (Missing(source="packets", why="no right", lost="the wire's view"),)


class Out(io.StringIO):
    """Remembers how often it was written to and flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        """Write."""
        self.calls.append("write")
        return super().write(text)

    def flush(self) -> None:
        """Flush."""
        self.calls.append("flush")


ALERT = Alert(
    id="a1", rule="r", time_ns=EPOCH, event="changed", old_status="clear", new_status="warning", state="firing"
)


def watch(printer: Printer) -> None:
    """A short watch."""
    printer.start(EPOCH, version="0.1.0", sources=("kernel",), tier="reasons", missing=MISSING)
    printer.write(
        Tick(
            resets=(
                reset(),
                reset(number=2),
            ),
            counts=(count(counted=1),),
            notices=(notice(),),
            alerts=(ALERT,),
        )
    )
    printer.end(EPOCH, reason="SIGINT", totals=TOTALS)


def test_json_is_one_object_a_line_in_order() -> None:
    """Start, resets, counts, notices, alerts, end."""
    out = Out()
    watch(JsonPrinter(out))
    lines = out.getvalue().splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "start",
        "reset",
        "reset",
        "count",
        "notice",
        "alert",
        "end",
    ]
    assert out.getvalue().endswith("}\n")


@pytest.mark.parametrize("kind", [JsonPrinter, PlainPrinter])
def test_a_tick_is_written_and_flushed_once(kind: type[JsonPrinter | PlainPrinter]) -> None:
    """Whoever reads the pipe gets a tick whole and at once."""
    out = Out()
    kind(out).write(
        Tick(
            resets=(
                reset(),
                reset(number=2),
            ),
            counts=(count(counted=1),),
            notices=(notice(),),
        )
    )
    assert out.calls == ["write", "flush"]


@pytest.mark.parametrize("kind", [JsonPrinter, PlainPrinter])
def test_a_tick_without_news_writes_nothing(kind: type[JsonPrinter | PlainPrinter]) -> None:
    """Silence costs no system call."""
    out = Out()
    kind(out).write(Tick())
    assert out.calls == []


def test_plain_lines_begin_with_what_runs_and_what_is_not_seen() -> None:
    """And end with the account."""
    out = Out()
    watch(PlainPrinter(out))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("whyreset 0.1.0: ")
    assert lines[1] == "not seen: the wire's view (packets: no right)"
    assert lines[-1] == "account: nothing counted"


@pytest.mark.parametrize(
    ("delta", "told"), [({"lost": 1}, True), ({"received_lost": 1}, True), ({"counted": 1, "seen": 1}, False)]
)
def test_plain_lines_tell_an_account_only_when_something_of_it_is_lost(delta: dict[str, int], told: bool) -> None:
    """People see each reset; the account is for when one is missing."""
    out = Out()
    PlainPrinter(out).write(Tick(counts=(count(delta=delta),)))
    assert bool(out.getvalue()) is told


def test_plain_lines_tell_families_where_something_was_counted() -> None:
    """Where only counters are read they are all there is to tell."""
    out = io.StringIO()
    families = (FamilyShare(family="abort", count=3, certainty="likely", counters=("TCPAbortOnClose",)),)
    for counted in (0, 3):
        PlainPrinter(out).write(Tick(counts=(count(counted=3, delta={"counted": counted}, families=families),)))
    assert out.getvalue().count("about 3 abort") == 1


def test_json_tells_every_account() -> None:
    """Programs get each line."""
    out = Out()
    JsonPrinter(out).write(Tick(counts=(count(delta={}),)))
    assert json.loads(out.getvalue())["type"] == "count"


def test_json_holds_any_text() -> None:
    """Control characters, quotes and newlines of others stay inside their strings."""
    out = Out()
    JsonPrinter(out).write(
        Tick(
            resets=(
                reset(netns_name='a"\n\x1b\u2028'),
                reset(),
            )
        )
    )
    first, _ = out.getvalue().split("\n")[:2]
    assert json.loads(first)["netns_name"] == 'a"\n\x1b\u2028'
