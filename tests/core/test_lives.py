"""The rarer records: processes, their ends, listeners, sockets that files hold, counters of namespaces."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from tests.core.fake_ring import NOW, FakeRing, address, fill
from tests.core.layout import (
    COMMAND_BYTES,
    LIFE_EXIT,
    LIFE_LISTEN,
    LIFE_PROCESS,
    LIFE_UNLISTEN,
    ExitEvent,
    HeldSocket,
    ListenEvent,
    NetnsCounters,
    ProcessEvent,
    Walk,
    flags,
)
from whyreset.core import lives
from whyreset.model import Listener, ListenerEnd, Process, ProcessEnd


def told(record: ctypes.Structure) -> Process | ProcessEnd | Listener | ListenerEnd:
    """What one record is read as."""
    fake = FakeRing()
    fake.write(record)
    [event] = lives.drain(fake.ring, 10)
    return event


def process(**fields: Any) -> Process:
    """A process record, read."""
    record = ProcessEvent(kind=LIFE_PROCESS, time_ns=NOW, start_ns=7, pid=911, uid=33, parent_pid=1, netns_inode=9)
    command = fields.pop("command", b"")
    levels = fields.pop("cgroup", [])
    for level, name in enumerate(levels):
        record.cgroup[level].value = name
    fill(record, {"command": command, "command_bytes": len(command), **fields})
    event = told(record)
    assert isinstance(event, Process)
    return event


def test_a_process_comes_with_all_that_was_told() -> None:
    """Names, arguments, user, parent, namespace and control group are the record's."""
    levels = [b"nginx.service", b"system.slice", b"/"]
    event = process(comm=b"nginx", exe=b"nginx", command=b"nginx\0-g\0daemon off;\0", cgroup=levels)
    assert event == Process(
        pid=911,
        start_ns=7,
        comm="nginx",
        exe="nginx",
        command=("nginx", "-g", "daemon off;"),
        uid=33,
        cgroup="system.slice/nginx.service",
        netns=9,
        parent_pid=1,
    )


COMMANDS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "none": (b"", ()),
    "one": (b"sleep\0", ("sleep",)),
    "an empty argument": (b"sh\0-c\0\0x\0", ("sh", "-c", "", "x")),
    "a title": (b"nginx: worker process", ("nginx: worker process",)),
    "a title and what it overwrote": (b"nginx: worker\0\0\0\0", ("nginx: worker",)),
    "not UTF-8": (b"caf\xe9\0", ("caf\\xe9",)),
    "cut in a character": ("ü".encode()[:1], ("\\xc3",)),
    "as long as there is room": (b"a" * COMMAND_BYTES, ("a" * COMMAND_BYTES,)),
}


@pytest.mark.parametrize(("command", "arguments"), COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_line_is_its_arguments(command: bytes, arguments: tuple[str, ...]) -> None:
    """Arguments end with NUL; what is not UTF-8 stays visible."""
    assert process(command=command).command == arguments


def test_a_command_lines_length_is_not_believed() -> None:
    """A length beyond the field reads no more than the field."""
    assert process(command=b"x", command_bytes=1 << 31).command == ("x",)


@pytest.mark.parametrize("name", [b"sixteen-bytes-xy", b"ab\0junk", b"\xff\xfe"])
def test_a_name_ends_at_nul_or_at_its_field(name: bytes) -> None:
    """A name without NUL takes its whole field and nothing behind it; junk after NUL is not shown."""
    record = ProcessEvent(kind=LIFE_PROCESS)
    ctypes.memmove(ctypes.byref(record, ProcessEvent.comm.offset), name, len(name))
    record.exe = b"E" * 64
    event = told(record)
    assert isinstance(event, Process)
    assert event.comm == name.split(b"\0")[0].decode("utf-8", "backslashreplace")
    assert event.exe == "E" * 64


def test_an_end_tells_how() -> None:
    """Exit code and the OOM killer's choice are the record's."""
    event = told(ExitEvent(kind=LIFE_EXIT, time_ns=NOW, pid=5, start_ns=6, exit_code=9, flags=flags("OOM_VICTIM")))
    assert event == ProcessEnd(pid=5, start_ns=6, exit_code=9, out_of_memory=True, time_ns=NOW)


def listening(text: str = "0.0.0.0", **fields: Any) -> ListenEvent:
    """A record of a listener's life."""
    family, packed = address(text)
    record = ListenEvent(
        kind=LIFE_LISTEN, time_ns=NOW, netns_cookie=77, socket_cookie=3, pid=5, start_ns=6, port=80, backlog=128
    )
    fill(record, {"family": family, "address": packed, **fields})
    return record


@pytest.mark.parametrize(("text", "family"), [("0.0.0.0", 2), ("192.0.2.2", 2), ("::", 10), ("2001:db8::1", 10)])
def test_a_listener_tells_where_and_who(text: str, family: int) -> None:
    """Address, port, backlog, owner and beginning are the record's."""
    assert told(listening(text)) == Listener(
        netns_cookie=77,
        port=80,
        address=text,
        family=family,
        ipv6_only=False,
        socket_cookie=3,
        owner=(5, 6),
        backlog=128,
        since_ns=NOW,
    )


def test_a_listener_for_ipv6_alone_says_so() -> None:
    """IPV6_V6ONLY keeps IPv4 out."""
    event = told(listening("::", flags=flags("IPV6_ONLY")))
    assert isinstance(event, Listener)
    assert event.ipv6_only


@pytest.mark.parametrize(
    ("named", "exit_code", "out_of_memory"),
    [([], None, False), (["EXITING"], 9, False), (["EXITING", "OOM_VICTIM"], 9, True)],
)
def test_a_listeners_end_tells_whether_its_closer_was_dying(
    named: list[str], exit_code: int | None, out_of_memory: bool
) -> None:
    """Dying is not closing: an exit code is told only of a closer that was exiting."""
    event = told(listening(kind=LIFE_UNLISTEN, flags=flags(*named), exit_code=9))
    assert event == ListenerEnd(
        netns_cookie=77, socket_cookie=3, time_ns=NOW, closer=(5, 6), exit_code=exit_code, out_of_memory=out_of_memory
    )


def test_lives_come_in_their_order() -> None:
    """A process, its listener, the listener's end and the process's end, as they happened."""
    fake = FakeRing()
    for record in (ProcessEvent(), listening(), listening(kind=LIFE_UNLISTEN), ExitEvent()):
        fake.write(record)
    assert [type(event) for event in lives.drain(fake.ring, 10)] == [Process, Listener, ListenerEnd, ProcessEnd]


# ---- sockets that files hold ----


def held(text: str = "0.0.0.0", **fields: Any) -> bytes:
    """A record of the walk over open files."""
    family, packed = address(text)
    record = HeldSocket(socket_cookie=3, netns_cookie=77, start_ns=6, pid=5, uid=33, netns_inode=9, local_port=80)
    fill(record, {"family": family, "local": packed, "comm": b"nginx", "state": 10, "backlog": 128, **fields})
    return bytes(record)


def test_a_held_listener_is_a_process_and_a_listener() -> None:
    """What was open before watching began has no beginning."""
    [(owner, cookie, listener)] = lives.held(held("::", flags=1))
    assert owner == Process(pid=5, start_ns=6, comm="nginx", uid=33, netns=9)
    assert cookie == 3
    assert listener == Listener(
        netns_cookie=77,
        netns=9,
        port=80,
        address="::",
        family=10,
        ipv6_only=True,
        socket_cookie=3,
        owner=(5, 6),
        backlog=128,
    )


def test_a_held_connection_is_a_process_and_a_cookie() -> None:
    """Only listeners are listeners."""
    [(owner, cookie, listener)] = lives.held(held("192.0.2.2", state=1))
    assert (owner.pid, cookie, listener) == (5, 3, None)


def test_of_very_many_connections_only_those_asked_for_are_told() -> None:
    """Each process is told once, each listener always, and each connection that is wanted."""
    connections = b"".join(held(state=1, socket_cookie=cookie) for cookie in range(100, 200))
    other = held(state=1, socket_cookie=150, pid=8)
    found = lives.held(connections + held(socket_cookie=7) + other, wanted={150, 160})
    assert [(owner.pid, cookie) for owner, cookie, _ in found] == [(5, 100), (5, 150), (5, 160), (5, 7), (8, 150)]


@pytest.mark.parametrize("cut", [1, 40, ctypes.sizeof(HeldSocket) - 1])
def test_a_cut_last_record_is_left_out(cut: int) -> None:
    """Reading may end anywhere."""
    assert len(lives.held(held() + held()[:cut])) == 1


# ---- counters ----


def rows(*cookies: int, complete: int = 1) -> bytes:
    """The program's table of namespaces."""
    out = b""
    for cookie in cookies:
        row = NetnsCounters(cookie=cookie, inode=cookie + 1000, complete=complete)
        row.tcp[:] = list(range(cookie, cookie + 16))
        row.ext[:] = list(range(100, 148))
        out += bytes(row)
    return out


def head(written: int, found: int | None = None) -> bytes:
    """The walk's result."""
    return bytes(Walk(jiffies=1, monotonic_ns=2, namespaces=written if found is None else found, written=written))


def test_counters_are_read_for_each_namespace() -> None:
    """Each row gives cookie, inode and the counters asked for."""
    jiffies, monotonic_ns, found, read = lives.counters(rows(1, 2), head(2), 3)
    assert (jiffies, monotonic_ns, found) == (1, 2, 2)
    assert read == [(1, 1001, tuple(range(1, 17)), (100, 101, 102)), (2, 1002, tuple(range(2, 18)), (100, 101, 102))]


def test_counters_that_were_not_read_are_not_invented() -> None:
    """A walk without the extended counters gives none of them."""
    [(_, _, _, ext)] = lives.counters(rows(1, complete=0), head(1), 3)[3]
    assert ext is None


def test_rows_beyond_what_is_mapped_are_left_out() -> None:
    """More namespaces than the mapping shows: the rest is not read, and the caller sees how many there are."""
    _, _, found, read = lives.counters(rows(1, 2)[:-1], head(2, 5000), 0)
    assert (found, [row[0] for row in read]) == (5000, [1])


def test_a_cut_head_is_refused() -> None:
    """Without the walk's result no row can be trusted."""
    with pytest.raises(ValueError, match="cut"):
        lives.counters(rows(1), head(1)[:-1], 0)


def test_the_limits_are_the_headers() -> None:
    """What the Python side sizes its mappings by is what the kernel program writes."""
    assert ctypes.sizeof(NetnsCounters) == lives.ROW_BYTES
    assert NetnsCounters.ext.size == 8 * lives.EXT_MAX
    header = (Path(__file__).parents[2] / "bpf" / "events.h").read_text()
    assert f"#define NETNS_MAX {lives.ROWS_MAX}\n" in header
