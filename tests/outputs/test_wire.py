"""The lines of JSON: what stands in them, what is left out, and that all of it is in the published schema."""

import json
import re
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.fake_ring import REASONS, STATES, Bench, close
from tests.core.fake_ring import reset as kernel_reset
from tests.core.layout import FLAGS
from tests.outputs.values import EPOCH, count, notice, owner, process, reset
from whyreset import causes
from whyreset.model import Cause, Missing, Process, Remotes
from whyreset.outputs import lines, wire
from whyreset.owners.lives import Lives
from whyreset.owners.sockets import Owners
from whyreset.pipeline import Pipeline

SCHEMA = lines.schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
Line = dict[str, Any]
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


def keys_in_schema(value: Any, schema: dict[str, Any], path: str = "") -> None:
    """Every key of a line is described: the schema allows others, so that lines may grow, but we write none."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            keys_in_schema(value, choice, path)
            return
    if isinstance(value, dict) and "properties" in schema:
        for key, inner in value.items():
            assert key in schema["properties"], f"{path}.{key} is not in the schema"
            keys_in_schema(inner, schema["properties"][key], f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            keys_in_schema(inner, schema.get("items", {}), f"{path}[]")


def written(line: lines.Line) -> Line:
    """The line as a reader gets it, held against the schema."""
    text = msgspec.json.encode(line).decode()
    assert "\n" not in text
    value: Line = json.loads(text)
    VALIDATOR.validate(value)
    name = f"{value['type'].capitalize()}Line"
    keys_in_schema(value, SCHEMA["$defs"][name])
    assert value["schema"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", value["time"])
    return value


def told(**fields: Any) -> Line:
    """A reset's line."""
    return written(wire.reset_line(reset(**fields)))


# ---- time ----


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (EPOCH, "2026-11-22T05:43:15.123456789Z"),
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000000Z"),
        (4_102_444_799_999_999_999, "2099-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_are_utc_with_nanoseconds(time_ns: int, text: str) -> None:
    """Every digit of the kernel's clock is kept, also where it ends in zeros."""
    assert wire.timestamp(time_ns) == text


# ---- one reset ----


def test_one_reset_says_who_sent_it_to_whom() -> None:
    """The reset's source is who it names as its sender."""
    line = told()
    assert (line["src"], line["sport"], line["dst"], line["dport"]) == ("192.0.2.2", 8080, "192.0.2.1", 51234)
    assert (line["type"], line["id"], line["direction"], line["count"]) == ("reset", "r1", "sent", 1)
    assert (line["netns"], line["netns_cookie"], line["interface"]) == (4026531840, 3, "eth0")
    assert (line["cause"], line["family"], line["certainty"]) == ("closed-port", "closed-port", "certain")
    assert line["trigger"] == {"flags": "S", "seq": 1, "ack": 0, "length": 0, "window": 1024, "ttl": 64}
    assert line["kernel"] == {"reason": "NO_SOCKET"}
    assert line["evidence"] == ["nobody listens on port 8080"]
    assert line["time"] == "2026-11-22T05:43:15.123456789Z"


def test_a_received_reset_came_from_the_peer() -> None:
    """The peer is the source where the reset was received."""
    line = told(facts={"direction": "received"})
    assert (line["src"], line["sport"], line["dst"], line["dport"]) == ("192.0.2.1", 51234, "192.0.2.2", 8080)


def test_what_does_not_apply_is_left_out() -> None:
    """A reset without a connection, owner, twin or group has no such keys."""
    absent = {"connection", "queue", "owner", "closer", "twin", "first", "last", "remotes", "sample", "candidates"}
    assert not absent & set(told())
    assert not {"missing", "netns_name"} & set(told())
    assert "trigger" not in told(sample={"trigger": None})
    assert "interface" not in told(sample={"interface": ""})


def test_what_applies_is_there() -> None:
    """Owner, closer, twin, candidates and the namespace's name come as they are."""
    unsure = Cause(name="half-open", family="half-open", certainty="likely", candidates=("a",), missing="the packets")
    line = told(cause=unsure, owner=owner(), closer=process(pid=5), twin=9, netns_name="blue")
    assert (line["candidates"], line["missing"], line["twin"], line["netns_name"]) == (
        ["a"],
        "the packets",
        "r9",
        "blue",
    )
    assert line["owner"] == {"pid": 911, "comm": "nginx", "alive": True, "via": "listener"}
    assert line["closer"] == {"pid": 5, "comm": "nginx"}


def test_a_process_tells_all_that_is_known() -> None:
    """User, unit, container, pod and how it ended have keys of their own."""
    known = {
        "exe": "/usr/sbin/nginx",
        "command": ("nginx", "-g"),
        "uid": 0,
        "user": "root",
        "unit": "nginx.service",
        "container": "4f3c",
        "container_name": "web",
        "pod": "p",
    }
    line = told(owner=owner("former listener", alive=False, exit_code=9, **known))
    expected = {
        **known,
        "command": ["nginx", "-g"],
        "pid": 911,
        "comm": "nginx",
        "alive": False,
        "via": "former listener",
    }
    assert {key: value for key, value in line["owner"].items() if key != "exit"} == expected
    assert "SIGKILL" in line["owner"]["exit"]


@pytest.mark.parametrize(
    ("facts", "kernel"),
    [
        ({"reason": "TCP_FLAGS", "state": "LISTEN"}, {"reason": "TCP_FLAGS", "state": "LISTEN"}),
        (
            {"reason": "TCP_STATE", "state": "CLOSE", "state_before": "CLOSE_WAIT"},
            {"reason": "TCP_STATE", "state": "CLOSE_WAIT"},
        ),
        ({"reason": "", "state": "ESTABLISHED"}, {"state": "ESTABLISHED"}),
        ({"reason": "", "state": ""}, None),
        ({"reason": "", "state": "CLOSE"}, None),
    ],
)
def test_the_kernels_state_is_the_one_that_the_connection_was_in(
    facts: dict[str, str], kernel: dict[str, str] | None
) -> None:
    """CLOSE is where every reset connection ends: the state before it is what matters."""
    assert told(facts=facts).get("kernel") == kernel


CONNECTION = {"socket_cookie": 4, "state": "CLOSE", "bytes_in": 100, "snd_nxt": 7, "rcv_nxt": 8}


def test_a_connections_figures() -> None:
    """What the socket knew: zero bytes are a figure, an unknown age is none."""
    line = told(sample={**CONNECTION, "opened_ns": 4_999_000_000, "idle_ms": 3})
    expected = {"bytes_in": 100, "bytes_out": 0, "unread": 0, "snd_nxt": 7, "rcv_nxt": 8, "age_ms": 1, "idle_ms": 3}
    assert line["connection"] == expected
    assert "age_ms" not in told(sample=CONNECTION)["connection"]


@pytest.mark.parametrize("state", ["TIME_WAIT", "NEW_SYN_RECV"])
def test_figures_that_nobody_read_are_not_invented(state: str) -> None:
    """Mini sockets hold no figures: only a remembered connection has them."""
    assert "connection" not in told(sample={"socket_cookie": 4, "state": state})
    assert told(sample={"socket_cookie": 4, "state": state, "ended_ms": 9})["connection"]["ended_ms"] == 9


def test_a_listeners_queue_is_not_a_connection() -> None:
    """At a listener the figures are its accept queue."""
    line = told(sample={"socket_cookie": 4, "state": "LISTEN", "queue": (17, 16), "snd_nxt": 17, "rcv_nxt": 16})
    assert line["queue"] == {"waiting": 17, "limit": 16}
    assert "connection" not in line


# ---- groups ----

MANY = Remotes(distinct=40, exact=False, top=(("192.0.2.1", 9), ("192.0.2.7", 2)))


def test_a_group_tells_its_span_its_remotes_and_one_of_its_members() -> None:
    """Count, first, last and remotes are the group's; the sample is one of it."""
    line = told(count=5, remotes=MANY)
    assert (line["count"], line["first"], line["last"]) == (5, wire.timestamp(EPOCH), wire.timestamp(EPOCH + 1_000))
    top = [{"address": "192.0.2.1", "count": 9}, {"address": "192.0.2.7", "count": 2}]
    assert line["remotes"] == {"distinct": 40, "exact": False, "top": top}
    assert (line["sample"]["src"], line["sample"]["dport"]) == ("192.0.2.2", 51234)
    assert line["sample"]["trigger"]["flags"] == "S"


GROUPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sent": ({"remotes": MANY}, {"sport": 8080}),
    "sent to one": ({}, {"sport": 8080, "dst": "192.0.2.1"}),
    "sent by who opened": ({"remotes": MANY, "facts": {"active_open": True}, "port": 443}, {"dport": 443}),
    "received": ({"remotes": MANY, "facts": {"direction": "received"}}, {"dport": 8080}),
    "received from one": ({"facts": {"direction": "received"}}, {"dport": 8080, "src": "192.0.2.1"}),
    "received by who opened": (
        {"remotes": MANY, "facts": {"direction": "received", "active_open": True}, "port": 443},
        {"sport": 443},
    ),
    "crowded": ({"remotes": MANY, "facts": {"crowded": True}, "port": None}, {}),
    "one address by estimate": (
        {"remotes": Remotes(distinct=1, exact=False, top=(("192.0.2.1", 1),))},
        {"sport": 8080},
    ),
}


@pytest.mark.parametrize(("fields", "shared"), GROUPS.values(), ids=list(GROUPS))
def test_a_group_keeps_only_what_all_its_members_share(fields: dict[str, Any], shared: dict[str, Any]) -> None:
    """Ephemeral ports, numbers, interfaces and figures are one member's, and stand only in the sample."""
    line = told(count=5, **fields)
    own = {"src", "sport", "dst", "dport", "interface", "trigger", "connection", "queue"}
    assert {key: value for key, value in line.items() if key in own} == shared


def test_a_group_without_a_sample_invents_none() -> None:
    """Where there was no room for a sample, addresses and ports are unknown."""
    nothing = {"local": "", "remote": "", "local_port": 0, "remote_port": 0, "trigger": None, "interface": ""}
    line = told(count=5, sample=nothing, remotes=MANY)
    assert "sample" not in line
    assert line["sport"] == 8080
    line = told(count=1, sample=nothing)
    assert not {"src", "dst", "sport", "dport"} & set(line)


def test_two_are_a_group() -> None:
    """From two on there is something to share."""
    assert {"first", "last", "remotes", "sample"} <= set(told(count=2))


def test_a_single_reset_has_no_group() -> None:
    """The keys of groups belong to groups."""
    assert not {"first", "last", "remotes", "sample"} & set(told(count=1))


# ---- the other lines ----


def test_the_first_line_tells_what_runs_and_what_is_lost() -> None:
    """Version, sources, tier, and each source that cannot run."""
    missing = (Missing(source="packets", why="no right", lost="the wire's view"),)
    line = written(wire.start_line(EPOCH, version="0.1.0", sources=("kernel",), tier="reasons", missing=missing))
    assert line["missing"] == [{"source": "packets", "why": "no right", "lost": "the wire's view"}]
    assert (line["type"], line["version"], line["sources"], line["tier"]) == ("start", "0.1.0", ["kernel"], "reasons")
    assert "missing" not in written(wire.start_line(EPOCH, version="1", sources=(), tier="", missing=()))


def test_a_count_tells_every_figure_and_what_moved() -> None:
    """Figures of 0 are figures in the account; of the last second only what moved is told."""
    line = written(wire.count_line(count(counted=5, seen=5, explained=5, moved={"ListenDrops": 2}, netns_name="blue")))
    figures = {name: line.get(name, 0) for name in TOTALS}
    assert figures == {**TOTALS, "counted": 5, "seen": 5, "explained": 5}
    assert line["second"] == {"counted": 5, "seen": 5, "explained": 5}
    assert line["counters"] == {"ListenDrops": 2}
    assert (line["netns"], line["netns_cookie"], line["netns_name"]) == (4026531840, 3, "blue")
    assert "gone" not in line
    assert written(wire.count_line(count(gone=True)))["gone"] is True


def test_a_notice_tells_how_much() -> None:
    """A count only where there is something to count."""
    assert written(wire.notice_line(notice(count=7)))["count"] == 7
    assert "count" not in written(wire.notice_line(notice()))


def test_the_last_line_tells_the_totals_and_why() -> None:
    """Every figure of the account, and what ended the watch."""
    line = written(wire.end_line(EPOCH, reason="SIGINT", totals={**TOTALS, "seen": 3}))
    assert (line["type"], line["reason"], line["seen"], line["lost"]) == ("end", "SIGINT", 3, 0)


# ---- the schema ----


def test_the_schema_is_a_json_schema() -> None:
    """It is valid by itself, and tells the lines apart by their type."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    names = {"start", "reset", "count", "notice", "end"}
    assert {f"{name.capitalize()}Line" for name in names} <= set(SCHEMA["$defs"])


BROKEN: list[Line] = [
    {},
    {"type": "nonsense", "schema": 1, "time": "x"},
    {"type": "notice", "schema": 1, "name": "x", "text": "y"},
    {"type": "notice", "schema": 1, "time": "x", "name": 5, "text": "y"},
    {"type": "reset", "schema": 1, "time": "x"},
]


@pytest.mark.parametrize("line", BROKEN)
def test_the_schema_refuses_what_is_no_line(line: Line) -> None:
    """A schema that took anything would prove nothing."""
    assert not VALIDATOR.is_valid(line)


def test_every_line_has_words_in_the_schema() -> None:
    """Who reads the schema learns what each type of line is."""
    for name in ("StartLine", "ResetLine", "CountLine", "NoticeLine", "EndLine"):
        assert SCHEMA["$defs"][name]["description"]


# ---- from kernel records to lines ----


class Gone:
    """Every process is known by a hostile name, and gone."""

    def refresh(self, key: tuple[int, int], now_ns: int) -> Process | None:
        """Who that was."""
        return Process(pid=key[0], start_ns=key[1], comm="\x1b[31m\n")

    def alive(self, key: tuple[int, int]) -> bool:
        """It is gone."""
        return False


def pipeline() -> Pipeline:
    """The stages."""
    return Pipeline(Owners(Gone(), Lives()), lambda inode: "")  # type: ignore[arg-type]  # stands for Processes


KERNEL = st.fixed_dictionaries(
    {
        "reason": st.sampled_from(REASONS),
        "state": st.sampled_from(STATES),
        "state_before": st.sampled_from(STATES),
        "trigger": st.one_of(st.none(), st.text("FSRPAU", max_size=6).map(lambda each: "".join(sorted(set(each))))),
        "named": st.lists(st.sampled_from(FLAGS), max_size=6, unique=True),
        "direction": st.sampled_from([1, 2]),
        "socket_cookie": st.integers(0, 2),
        "owner_pid": st.integers(0, 2),
        "closer_pid": st.integers(0, 2),
        "owner_via": st.integers(0, 8),
        "trigger_length": st.integers(0, 2),
        "trigger_options": st.integers(0, 12),
        "unread": st.integers(0, 2),
        "exit_code": st.sampled_from([0, 9, 0x8B, 0x300]),
        "opened_ns": st.integers(0, 2),
        "bytes_in": st.integers(0, 1 << 63),
        "interface": st.binary(max_size=16),
    }
)


@settings(deadline=None)
@given(records=st.lists(KERNEL, min_size=1, max_size=6), closed=st.booleans(), group_limit=st.integers(1, 3))
def test_every_line_that_the_kernel_leads_to_is_in_the_schema(
    records: list[dict[str, Any]], closed: bool, group_limit: int
) -> None:
    """Whatever the kernel program writes, the lines are valid, and each cause is a known one."""
    bench = Bench(group_limit=group_limit, sample_limit=2)
    if closed:
        bench.write(close())
    groups = bench.groups(*[kernel_reset(**each) for each in records])
    known = {module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES}
    for _, explained in pipeline().run(groups, epoch_ns=EPOCH):
        line = written(wire.reset_line(explained))
        assert line["cause"] in known
        assert "{" not in "".join(line["evidence"])
