"""The kernel program, loaded: names, clocks, tallies, and the walk over namespaces."""

import mmap
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests import needs
from tests.hosts import Host
from tests.hosts.hosts import await_true
from tests.kernel_objects import held, left
from whyreset.core import lives
from whyreset.core.lives import drain
from whyreset.core.tape import Tape
from whyreset.core.triggers import Triggers
from whyreset.sources.base import SourceError
from whyreset.sources.counters import CounterSource
from whyreset.sources.libbpf import BpfError
from whyreset.sources.loading import EXT_NAMES, Loading, _explain, dense
from whyreset.sources.program import Program, hertz
from whyreset.sources.tiers import TIERS

NANOSECONDS = 1_000_000_000


@pytest.fixture
def program() -> Iterator[Program]:
    """The program, watching."""
    needs.program()
    loaded = Program()
    loaded.load()
    try:
        yield loaded
    finally:
        loaded.close()


@pytest.fixture
def host() -> Iterator[Host]:
    """A host of our own."""
    needs.root()
    with Host("a") as alone:
        yield alone


def knock(host: Host, times: int = 1) -> None:
    """Ask a closed port on the host's loopback."""
    for _ in range(times):
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
            probe.connect(("127.0.0.1", 9))


@pytest.mark.parametrize("hz", [100, 200, 250, 300, 500, 1000, 1024])
@pytest.mark.parametrize("uptime_seconds", [0.5, 10, 299, 301, 3600, 86_400, 30 * 86_400, 400 * 86_400])
def test_jiffies_a_second_follow_from_one_reading(hz: int, uptime_seconds: float) -> None:
    """Jiffies begin 300 s before their 32 bits wrap; both clocks together tell HZ at any uptime."""
    jiffies = (1 << 32) - 300 * hz + int(uptime_seconds * hz)
    assert hertz(jiffies, int(uptime_seconds * NANOSECONDS)) == hz


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"X_B": 2, "X_A": 0}, ["A", "", "B"]),
        ({"X_A": 0, "X_BIG": 256, "X_MINUS": -1}, ["A"]),
        ({}, []),
    ],
)
def test_names_by_number_have_no_more_places_than_a_byte(values: dict[str, int], names: list[str]) -> None:
    """Gaps are empty; what a record's byte cannot hold is left out."""
    assert dense(values, "X_") == tuple(names)


VERIFIER = "libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\nR1 invalid mem access\n-- END PROG LOAD LOG --\n"
REFUSALS = {
    "no right": (BpfError(1, "x", "libbpf: Failed to bump RLIMIT_MEMLOCK\n"), "CAP_BPF"),
    "no right, no words": (BpfError(13, "x"), "CAP_BPF"),
    "the verifier": (BpfError(13, "x", VERIFIER), "END PROG LOAD LOG"),
    "too old": (BpfError(22, "the kernel refused it"), "Invalid argument"),
    "ours": (BpfError(0, "the object has no map x"), "the object has no map x"),
}


@pytest.mark.parametrize(("error", "part"), REFUSALS.values(), ids=list(REFUSALS))
def test_a_refusal_is_one_sentence(error: BpfError, part: str) -> None:
    """Missing rights are told from a program that the verifier refuses."""
    sentence = _explain(error)
    assert part in sentence
    assert "\n" not in sentence


def test_a_program_that_is_not_loaded_says_so() -> None:
    """Reading before loading is an error with a sentence; closing is harmless."""
    program = Program()
    with pytest.raises(SourceError, match="not loaded"):
        program.held_sockets()
    program.close()


def test_names_come_from_the_running_kernel(program: Program) -> None:
    """Reasons and states by number, counters by name."""
    assert "NO_SOCKET" in program.reasons
    assert program.states[1] == "ESTABLISHED"
    assert program.states[10] == "LISTEN"
    assert len(program.ext_names) == len(set(program.ext_names)) > 20


def test_a_reset_is_tallied_and_counted_where_it_was_sent(program: Program, host: Host) -> None:
    """Each namespace has its own tally and counters, also one without a name or a process."""
    knock(host, 3)
    assert program.tallies()[host.cookie, 1] == (3, 0)
    assert program.tallies()[host.cookie, 2] == (3, 0)
    source = CounterSource(program)
    source.start()
    [mine] = [each for each in source.read(0) if each.netns_cookie == host.cookie]
    assert mine.netns == host.inode
    assert mine.values["OutRsts"] == 3
    assert {name: mine.values[name] for name in mine.values} == {name: host.counters()[name] for name in mine.values}


def test_a_full_ring_loses_records_and_no_count(host: Host) -> None:
    """What the ring could not take is in the tallies as seen and lost."""
    needs.program()
    small = Program(Loading(ring_bytes=4096))
    small.load()
    try:
        knock(host, 30)
        seen, lost = small.tallies()[host.cookie, 1]
        assert seen == 30
        assert lost > 0
    finally:
        small.close()


@pytest.mark.parametrize("tier", [tier.name for tier in TIERS])
def test_what_provoked_a_reset_is_copied_at_every_tier(host: Host, tier: str) -> None:
    """A few of each kind in a second; whole headers, with the namespace and the interface that it came by."""
    needs.program()
    program = Program(Loading(triggers=True, tier=tier))
    try:
        program.load()
    except SourceError as error:
        pytest.skip(str(error))
    try:
        began = time.monotonic()
        knock(host, 100)
        # one may begin and one may end within, and each CPU counts for itself
        seconds = int(time.monotonic() - began) + 2
        tape, triggers = Tape(1 << 16), Triggers(program.triggers)
        assert 8 <= triggers.drain(tape, 0) <= min(100, 8 * seconds * (os.cpu_count() or 1))
        taken = tape.take(1000)
        assert {(netns, link) for _, netns, _, _, link, *_ in taken} == {(host.inode, 228)}
        assert triggers.names == {(host.inode, 1): "lo"}
        for *_, length, data in taken:
            assert data[0] >> 4 == 4
            assert int.from_bytes(data[22:24]) == 9
            assert data[33] == 2  # SYN
            assert int.from_bytes(data[2:4]) == length == len(data)
        assert (triggers.misread, program.losses()["triggers"]) == (0, 0)
    finally:
        program.close()


def test_nothing_is_copied_for_nobody(program: Program, host: Host) -> None:
    """Without being asked for it costs neither time nor room."""
    knock(host, 3)
    assert program.triggers.pending == 0
    assert program._loaded.told.entries["triggers"] == mmap.PAGESIZE


def test_tallies_of_namespaces_that_are_gone_make_room(program: Program, host: Host) -> None:
    """What nobody asks for any more is removed; the others stay."""
    with Host("b") as other:
        knock(host)
        knock(other)
        cookie = other.cookie
    assert {host.cookie, cookie} <= {key[0] for key in program.tallies()}
    assert cookie not in {key[0] for key in program.tallies({cookie})}
    assert cookie not in {key[0] for key in program.tallies()}
    assert program.tallies()[host.cookie, 1] == (1, 0)


def test_counters_are_read_in_full_at_least_every_ten_seconds(program: Program, host: Host) -> None:
    """Where reading all counters costs too much they come every ten seconds; OutRsts comes each time."""
    source = CounterSource(program)
    source.start()

    def mine(now_ns: int) -> set[str]:
        [found] = [set(each.values) for each in source.read(now_ns) if each.netns_cookie == host.cookie]
        return found

    assert "ListenDrops" in mine(0)
    source._full_cost_ns = 1 << 60
    assert "ListenDrops" not in mine(9 * NANOSECONDS)
    assert "OutRsts" in mine(9 * NANOSECONDS)
    assert "ListenDrops" in mine(10 * NANOSECONDS)
    source._full_cost_ns = 6_000_000  # three seconds' share
    assert "ListenDrops" not in mine(12 * NANOSECONDS)
    assert "ListenDrops" in mine(13 * NANOSECONDS)
    assert source.beyond == 0


def test_many_namespaces_are_all_read(program: Program) -> None:
    """More namespaces than were mapped at first: the mapping grows, and each is read once."""
    hosts = [Host(str(number)) for number in range(140)]
    try:
        _, _, found, rows = program.walk(extended=False)
        cookies = [row[0] for row in rows]
        assert len(cookies) == len(set(cookies)) == found
        assert {host.cookie for host in hosts} <= set(cookies)
    finally:
        for host in hosts:
            host.close()


def test_closing_leaves_nothing_in_the_kernel(host: Host) -> None:
    """Programs, maps and links are gone, though the object that loaded them lives on and had read from them."""
    needs.program()
    loaded = Program(Loading(exact_owners=True))
    loaded.load()
    recorder = loaded.recorder(group_limit=64, kind_limit=64, sample_limit=128, samples_per_group=3)
    knock(host)
    loaded.walk(extended=True)
    assert recorder.drain(1 << 62) > 0
    del recorder
    ours = held(os.getpid())
    assert all(ours.values())
    loaded.close()
    loaded.close()
    assert not any(held(os.getpid()).values())
    await_true(lambda: not left(ours), "the kernel to free them")


def test_waiting_ends_after_its_time(program: Program) -> None:
    """Nothing wakes the reader but a ring that fills: records come by themselves."""
    before = time.monotonic()
    program.wait(0.05)
    assert time.monotonic() - before >= 0.04


def test_a_ring_that_fills_wakes_the_reader(program: Program, host: Host) -> None:
    """Half full, a ring ends the wait early."""
    program.wait(0)
    half = program.resets.pending + (1 << 21) // 2
    while program.resets.pending <= half:
        knock(host, 100)
    before = time.monotonic()
    program.wait(20)
    assert time.monotonic() - before < 10


def test_the_counters_that_are_wanted_fit_their_row() -> None:
    """The kernel program has room for so many in each namespace's row."""
    assert len(EXT_NAMES) <= lives.EXT_MAX


def test_who_asks_ends_the_wait_once(program: Program) -> None:
    """What somebody else has to read wakes the reader as often as that was asked for, and the reader is told."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        program.wake_on(ours.fileno())
        theirs.send(b"x")
        deadline = time.monotonic() + 10
        while not program.wait(10):  # a ring may end it first
            assert time.monotonic() < deadline
        assert not program.wait(0)
        program.wake_on(ours.fileno())
        assert program.wait(0)


def test_what_was_not_read_yet_shows(program: Program, host: Host) -> None:
    """A reset that was traced waits to be read from that moment, and no longer than until it was."""
    knock(host)
    assert program.waiting()
    recorder = program.recorder(group_limit=64, kind_limit=64, sample_limit=128, samples_per_group=3)

    def read() -> bool:
        recorder.drain(1 << 62, True)
        drain(program.lives, 8192)
        return not program.waiting()

    await_true(read, "a moment without news")
