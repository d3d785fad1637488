"""The summary of captures: what it says, that it is bounded, and that nothing that others wrote does harm in it."""

from __future__ import annotations

import csv
import html.parser
import io
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.outputs.report.seen import CLOSED, EPOCH, HOSTILE, one, reset, totals
from whyreset import causes
from whyreset.core.distinct import Addresses, Ports
from whyreset.model import Cause
from whyreset.observation import Tally, Traits, Tunnel
from whyreset.outputs.report import phrases, text
from whyreset.outputs.report.gather import PLACES_MAX, PROBERS_MAX, ROWS_MAX, SCAN_PLACES, Gathering
from whyreset.outputs.report.html import page
from whyreset.outputs.report.lines import reset_text
from whyreset.outputs.report.plots import over_time
from whyreset.outputs.report.table import COLUMNS, CsvPrinter
from whyreset.outputs.report.timeline import BINS, Timeline, total
from whyreset.outputs.report.top import Top


def gathered(*resets: Any) -> Gathering:
    """All of them taken in."""
    found = Gathering()
    for each in resets:
        found.add(each)
    return found


def scanned(places: int, scanner: str = "198.51.100.66") -> list[Any]:
    """A scanner that met so many closed ports."""
    return [
        reset({"dst": scanner, "sport": 1000 + number, "number": number + 1}, port=1000 + number)
        for number in range(places)
    ]


def test_summary_says_what_share_why_who_and_which_ports() -> None:
    """The first lines tell what a person asks first."""
    cut = Cause(name="abort", family="abort", certainty="likely", candidates=("linger-zero",), missing="more")
    found = gathered(*(reset({"number": number}) for number in (1, 2, 3)), reset({"number": 4}, cause=cut))
    lines = text.summary(["x.pcap"], totals(reset=4, resets=4), found, limit=10)
    assert lines[:3] == [
        "x.pcap: 42 s from 2026-11-22 05:43:15 UTC, 20 packets, 8 TCP connections",
        "4 resets; 4 of 8 connections were reset (50 %).",
        "Mostly closed-port: 192.0.2.2:8080 reset client 192.0.2.1; probably nobody listens there, or a firewall "
        "refuses.",
    ]
    assert "  75 %         3  closed-port?: nobody listens there, or a firewall refuses" in lines
    assert "                  192.0.2.2:8080 reset client 192.0.2.1; for example #4" in lines


def test_nothing_reset_is_said() -> None:
    """No resets is an answer."""
    lines = text.summary(["x.pcap"], totals(resets=0, reset=0), Gathering(), limit=10)
    assert lines[1:] == ["No TCP connection was reset."]


def test_losses_are_told() -> None:
    """What was passed over or forgotten, in words."""
    read = totals(skipped={"cut": 3, "new": 1}, evicted_open=7, hurried=2)
    lines = list(text.losses(read, {"cut": "too short"}))
    assert lines == [
        "3 packets were passed over: too short",
        "1 packets were passed over: new",
        "7 open connections were forgotten for want of room: resets on them say «state lost»",
        "2 resets came too fast to wait for what followed them, which may tell forged ones",
    ]


def test_rows_beyond_the_limit_are_counted() -> None:
    """What is not shown is added up, and how to see it is said."""
    kinds = [Cause(name=name, family=name, certainty="unknown") for name in ("abort", "unknown", "half-open")]
    found = gathered(*(reset(cause=kind) for kind in kinds for _ in range(2)))
    lines = text.summary(["x.pcap"], totals(), found, limit=1)
    assert any("in 2 more (--rows 3 shows them)" in line and "4" in line for line in lines)


def test_service_that_stands_out_has_a_line() -> None:
    """A service that stopped is seen beside a scan that has most of the closed ports."""
    stopped = [reset({"sport": 8081, "dst": "192.0.2.9"}) for _ in range(9)]
    lines = text.summary(["x.pcap"], totals(), gathered(*scanned(40), *stopped), limit=9)
    assert any("9 of them: 192.0.2.2:8081 reset client 192.0.2.9" in line for line in lines)


def test_scan_is_told_and_less_is_not() -> None:
    """25 different places without success are a scan, fewer are not; the same port again and again is none."""
    assert gathered(*scanned(SCAN_PLACES - 1)).scans() == []
    assert gathered(*(reset() for _ in range(1000))).scans() == []
    found = gathered(*scanned(SCAN_PLACES))
    assert phrases.scan(found.scans()[0]) == "198.51.100.66 tried 25 ports of 192.0.2.2 within 0 µs"
    assert phrases.verdict(found).startswith("Mostly a port scan: 198.51.100.66 tried 25 ports of 192.0.2.2")


def test_backscatter_is_no_scan() -> None:
    """Hosts of which each met one closed port are no scanners, however many they are."""
    resets = [reset({"src": f"198.51.100.{number}", "dst": f"192.0.2.{number}"}) for number in range(200)]
    assert gathered(*resets).scans() == []


def noted(ports: Iterable[int]) -> Tally:
    """The account of many ports, of which the core lists a few."""
    account = bytearray(8192)
    for port in ports:
        account[port >> 3] |= 1 << (port & 7)
    return Tally(distinct=len(set(ports)), exact=False, top=(("80", 9), ("81", 8)), sketch=bytes(account))


def test_group_of_many_ports_is_a_scan() -> None:
    """Where the core counted a scan together, its account is enough; what several groups hold counts once."""
    groups = [
        reset({"dst": "198.51.100.66"}, count=5000, ports=noted(ports), port=None)
        for ports in (range(5000), range(3000, 65_535), range(80, 90))
    ]
    scan = gathered(*groups, *scanned(30)).scans()[0]
    assert phrases.scan(scan).startswith("198.51.100.66 tried 65,535 ports of 192.0.2.2")


def test_ports_are_named_where_they_stand_out() -> None:
    """Few are listed, of many those that have a share of the resets; a scan's are only counted."""
    ports = Top(Ports)
    for name in ("443", "80", "22"):
        ports.add(name, 2)
    assert phrases.ports(ports, 6) == "ports 443, 80 and 22"
    for port in range(1000, 1096):
        ports.add(str(port), 1)
    assert phrases.ports(ports, 102) == "99 ports"
    ports.add("80", 10)
    assert phrases.ports(ports, 112) == "port 80 and 98 more"


def test_counts_of_what_is_not_listed_are_for_nobody() -> None:
    """Where the core counts many by a few places, a place's own share is what is certain."""
    ports = Top(Ports)
    listed = (("80", 1200), *((str(1000 + number), 250) for number in range(15)))
    ports.add_all(Tally(distinct=2000, exact=False, top=listed, sketch=noted(range(1, 2001)).sketch))
    assert phrases.ports(ports, 4950) == "port 80 and 1,999 more"


def test_scan_has_no_services_of_its_own() -> None:
    """What the core put together of a scan is no service that stands out."""
    many = reset({"dst": "198.51.100.66"}, count=500, ports=noted(range(500)), port=None)
    found = gathered(*scanned(300), many)
    assert found.standing_out(found.ranked()[0]) == []


def test_number_that_is_not_known_is_a_lower_bound() -> None:
    """Where only a group's own count is there, no more than that is claimed."""
    ports = Tally(distinct=5000, exact=False, top=(("80", 9), ("81", 8)))
    group = reset({"dst": "198.51.100.66"}, count=5000, ports=ports, port=None)
    scan = gathered(group).scans()[0]
    assert phrases.scan(scan).startswith("198.51.100.66 tried at least 5,000 ports of 192.0.2.2")


def test_ports_that_answered_a_scan_are_counted() -> None:
    """A scanner resets the SYN-ACK of an open port."""
    opened = Traits(flags="R", handshake="syn-ack", opener="sender", seq="exact", trigger="SA")
    cause = Cause(name="unsolicited-syn-ack", family="half-open", certainty="likely", missing="x")
    answered = reset(
        {"src": "198.51.100.66", "dst": "192.0.2.2", "opener": "sender", "traits": opened}, cause=cause, port=80
    )
    assert phrases.scan(gathered(*scanned(30), answered).scans()[0]).endswith("; 1 answered")


def test_all_is_bounded() -> None:
    """Whatever the number of services and scanners: rows, probers and places have their limits, and all is counted."""
    found = Gathering()
    for number in range(ROWS_MAX + 3000):
        dst = f"198.18.{number // 250}.{number % 250}"
        found.add(reset({"src": f"10.0.{number // 250}.{number % 250}", "dst": dst}))
    assert len(found.rows) <= ROWS_MAX + 1
    assert len(found._probers) <= PROBERS_MAX
    assert sum(row.count for row in found.rows.values()) == found.resets == ROWS_MAX + 3000
    assert total(found.timeline.bins()) == found.resets
    big = gathered(*scanned(PLACES_MAX + 500))
    assert len(big.scans()[0].places) <= PLACES_MAX


@given(st.lists(st.tuples(st.integers(0, 1 << 62), st.integers(0, 1 << 40), st.integers(1, 10**6)), max_size=50))
def test_timeline_counts_all_in_bounded_bins(spans: list[tuple[int, int, int]]) -> None:
    """Whatever the times, also of clocks that run backwards: nothing is lost, and the bins are bounded."""
    timeline = Timeline()
    for first, length, count in spans:
        timeline.add(first, first + length, count, "abort")
    assert total(timeline.bins()) == sum(count for *_, count in spans)
    assert all(len(bins) <= BINS for _, bins in timeline.bins())


def test_timeline_keeps_order() -> None:
    """What came first stands first, and a group is spread over its span."""
    timeline = Timeline()
    timeline.add(EPOCH, EPOCH, 5, "abort")
    timeline.add(EPOCH + 10_000_000, EPOCH + 19_999_999, 20, "forged")
    counts = dict(timeline.bins())
    assert counts["abort"][0] == 5
    assert counts["forged"][10:20] == [2] * 10


def test_top_is_exact_while_it_can_be() -> None:
    """Few values are counted exactly, of many the frequent ones are kept and their number is estimated."""
    values = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(20_000)]
    top = Top(Addresses, limit=100)
    for number in range(100):
        top.add(values[number], number)
    assert (top.exact, top.distinct, top.told()) == (True, 100, "100")
    assert top.most(2) == [(values[99], 99), (values[98], 98)]
    for value in values[100:]:
        top.add(value, 1)
    assert not top.exact
    assert top.distinct == pytest.approx(20_000, rel=0.05)
    assert top.told() in {"about 19,000", "about 20,000", "about 21,000"}
    assert top.most(1) == [(values[99], 99)]


def test_every_cause_has_a_meaning() -> None:
    """No row stands without half a sentence, for any cause that packets can tell."""
    kernel_only = {"disconnect", "destroyed", "not-accepted", "out-of-memory", "too-many-orphans", "paws"} | {
        "firewall-reject",
        "not-from-stack",
    }
    told = {module.NAME for module in causes.CAUSES} - kernel_only - {"old-ack", "unsent-ack"}
    assert told <= phrases.MEANINGS.keys() | {"linger-zero"}


class Checker(html.parser.HTMLParser):
    """Notes the elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)


def hostile() -> Any:
    """A reset of which everything that others have a say in is hostile."""
    cause = Cause(name="abort", family="abort", certainty="likely", candidates=("linger-zero",), missing=HOSTILE)
    return reset(
        {"comment": HOSTILE, "interface": HOSTILE},
        cause=cause,
        evidence=(HOSTILE, f"it says: «{HOSTILE}»"),
        file=HOSTILE,
        says=HOSTILE,
        senders=one(HOSTILE),
        receivers=one(HOSTILE),
    )


def test_page_is_self_contained_and_escaped() -> None:
    """No script, no address of elsewhere; what others wrote is text."""
    found = gathered(hostile(), *scanned(30), reset())
    told = page([HOSTILE], totals(), found, losses=[HOSTILE], version="0")
    checker = Checker()
    checker.feed(told)
    assert checker.elements <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td", "ul", "li"),
        *("code", "span", "i", "br", "details", "summary", "svg", "rect", "line", "text"),
    }
    assert not {name for name in checker.attributes if name.startswith("on")} | checker.attributes & {"href", "src"}
    assert "<script" not in told
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "&lt;script&gt;" in told
    assert "default-src 'none'" in told
    assert "http://www.w3.org/2000/svg" in told
    assert told.count("http") == 1 + told.count("http-equiv")


def test_page_tells_what_the_summary_tells() -> None:
    """The same words; and bars over time."""
    found = gathered(*scanned(30), reset())
    told = page(["x.pcap"], totals(), found)
    assert "Mostly a port scan" in told
    assert "<rect" in told
    assert "closed-port" in told


def test_plot_of_nothing_is_nothing() -> None:
    """No resets, no picture."""
    assert over_time(Timeline()) == ""


def test_lines_and_summary_are_printable() -> None:
    """Control characters and marks of direction are shown as escapes, in each form for a terminal."""
    assert reset_text(hostile()).isprintable()
    for line in text.summary([HOSTILE], totals(), gathered(hostile()), limit=9, missing=[HOSTILE]):
        assert line.isprintable()


def test_line_of_a_reset_says_what_would_tell_more() -> None:
    """Number, file and frame, time, cause, route, history, evidence, candidates, and what is missing."""
    assert reset_text(reset()) == (
        "#1 x.pcap:2 05:43:15.123456  closed-port?  192.0.2.2:8080 -> 192.0.2.1:51234 Sr: a SYN was refused "
        "[or firewall-reject]; to know more: the same reset seen at its sender"
    )


def test_line_tells_tunnels_and_comments() -> None:
    """What the packet was wrapped in, from the inside out, and what its capture says of it, not without end."""
    tunnels = tuple(Tunnel(kind=kind, src="10.0.0.1", dst="10.0.0.2") for kind in ("GRE", "VXLAN"))
    line = reset_text(reset({"tunnels": tunnels, "comment": "killed by SIGSEGV " + "x" * 999}))
    assert "192.0.2.1:51234 in VXLAN in GRE Sr: " in line
    assert "comment: «killed by SIGSEGV x" in line
    assert len(line) < 600


def test_csv_has_its_columns_and_no_formulas() -> None:
    """A spreadsheet gets text that it will not run."""
    out = io.StringIO()
    CsvPrinter(out).write([reset(), reset(file="=1+1"), hostile()])
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows[0] == list(COLUMNS)
    assert [len(row) for row in rows] == [len(COLUMNS)] * 4
    assert rows[1][:9] == [
        "x.pcap",
        "2",
        "2026-11-22T05:43:15.123456789Z",
        "1",
        "192.0.2.2",
        "8080",
        "192.0.2.1",
        "51234",
        "observed",
    ]
    assert rows[2][0] == "'=1+1"
    assert all(cell.isprintable() and cell[:1] not in ("=", "+", "@") for row in rows for cell in row)


def test_group_is_counted_with_its_number() -> None:
    """A group of many counts as many."""
    found = gathered(reset(count=41), reset())
    assert found.resets == 42
    assert [row.count for row in found.ranked()] == [42]
    assert CLOSED.name in {row.cause for row in found.ranked()}
