"""Grouping: what is told apart, what is put together, and what that may cost."""

from typing import Any

import pytest

from tests.core.fake_ring import LETTERS, NOW, SECOND, Bench, received, reset
from tests.core.layout import ResetEvent, flags


def syn(**fields: Any) -> ResetEvent:
    """A SYN for a closed port."""
    return reset(**{"trigger": "S", **fields})


def test_like_resets_are_one_group() -> None:
    """Resets alike in all but peer and time are counted together, from the first to the last."""
    group = Bench().group(*[syn(remote_port=port, time_ns=NOW + port) for port in (5, 3, 9)])
    assert (group.count, group.first_ns, group.last_ns) == (3, NOW + 3, NOW + 9)
    assert (group.port, group.netns, group.netns_cookie) == (8080, 4026532000, 77)


DIFFERENT: dict[str, dict[str, Any]] = {
    "port": {"local_port": 81},
    "namespace": {"netns_cookie": 78, "netns_inode": 4026532001},
    "namespace that took another's inode number": {"netns_cookie": 78},
    "reason": {"reason": "TCP_FLAGS"},
    "state": {"state": "LISTEN"},
    "trigger": {"trigger": "SA"},
    "payload": {"trigger_length": 1},
    "options": {"trigger_options": 12},
    "flag": {"named": ["EMBRYOS"]},
    "owner": {"owner_pid": 1, "owner_start_ns": 1},
    "owner with the same pid": {"owner_start_ns": 2},
    "way to the owner": {"owner_via": 1},
    "closer": {"closer_pid": 1},
    "closer's start": {"closer_start_ns": 1},
    "exit": {"exit_code": 9},
    "substate": {"substate": 5},
    "state before": {"state_before": "ESTABLISHED"},
}


@pytest.mark.parametrize("fields", DIFFERENT.values(), ids=list(DIFFERENT))
def test_what_differs_is_told_apart(fields: dict[str, Any]) -> None:
    """Two resets that differ in one thing that a cause or an owner follows from are two groups."""
    groups = Bench().groups(syn(), syn(**fields))
    assert [group.count for group in groups] == [1, 1]


def test_a_scan_does_not_hide_the_clients_of_a_service_that_died() -> None:
    """Ports that somebody listened on are a kind of their own: they are told apart, however many others are tried."""
    bench = Bench(group_limit=64, kind_limit=8)
    bench.recorder.serve(77, 8080)
    scan = [syn(local_port=port) for port in range(20000, 20100)]
    groups = bench.groups(*scan[:50], syn(), *scan[50:])
    assert [group.count for group in groups if group.port == 8080] == [1]
    assert sum(group.count for group in groups) == 101
    elsewhere = bench.groups(*scan[:50], syn(netns_cookie=78), syn(local_port=8081), *scan[50:])
    assert [group.count for group in elsewhere if group.port == 8081] == []


ALIKE: dict[str, dict[str, Any]] = {
    "peer's address": {"remote": "192.0.2.9"},
    "peer's port": {"remote_port": 1},
    "own address": {"local": "192.0.2.3"},
    "address family": {"local": "2001:db8::1", "remote": "2001:db8::2"},
    "time": {"time_ns": NOW + 1},
    "numbers of the segment": {"trigger_seq": 1, "trigger_ack": 1, "trigger_window": 1, "trigger_ttl": 1},
    "interface": {"interface": b"eth1"},
    "what only single records tell": {"named": ["OOM_VICTIM", "KEEPALIVE"]},
}


@pytest.mark.parametrize("fields", ALIKE.values(), ids=list(ALIKE))
def test_what_no_cause_follows_from_is_put_together(fields: dict[str, Any]) -> None:
    """Two resets that differ only in their circumstances are one group."""
    assert Bench().group(syn(), syn(**fields)).count == 2


def test_lengths_of_payload_and_options_do_not_matter_only_whether_there_are_any() -> None:
    """One byte and a thousand make one group."""
    assert Bench().group(syn(trigger_length=1, trigger_options=4), syn(trigger_length=9, trigger_options=12)).count == 2


def test_the_port_is_the_services() -> None:
    """Where this host opened the connection, the peer's port names the service."""
    group = Bench().group(reset(state="CLOSE", named=["ACTIVE_OPEN"], local_port=50000, remote_port=443))
    assert group.port == 443


def test_what_was_sent_comes_before_what_was_received() -> None:
    """A received reset may refer to one that was sent, whichever the ring had first."""
    groups = Bench().groups(received(local_port=1), syn(), received(local_port=2), syn(local_port=3))
    assert [group.facts.direction for group in groups] == ["sent", "sent", "received", "received"]


def test_a_flush_empties_the_table() -> None:
    """The next flush holds only what came after, as new groups with numbers of their own."""
    bench = Bench()
    first = bench.group(syn(), syn())
    assert bench.recorder.flush() == []
    second = bench.group(syn())
    assert second.count == 1
    assert len(second.samples) == 1
    assert second.number > first.number


def test_numbers_count_records() -> None:
    """A group has the numbers of its first and its last record, a sample its own; none is used twice."""
    first, second = Bench().groups(syn(), syn(local_port=81), syn(), syn(), syn(), syn(local_port=81))
    assert (first.number, first.last_number, [each.number for each in first.samples]) == (1, 5, [1, 3, 4])
    assert (second.number, second.last_number, [each.number for each in second.samples]) == (2, 6, [2, 6])


def test_the_facts_of_identical_resets_are_one_object() -> None:
    """Explaining them once is a matter of looking them up."""
    bench = Bench()
    one, two = bench.group(syn()), bench.group(syn(local_port=81))
    assert one.facts is two.facts


def test_a_received_reset_has_no_reason() -> None:
    """The kernel gives reasons for what it sends; the number 0 of a received one is none of them."""
    group = Bench().group(received())
    assert (group.facts.reason, group.samples[0].reason) == ("", "")


def test_names_beyond_the_kernels_lists_show_their_numbers() -> None:
    """A reason or state that has no name is shown by number, in facts and samples alike."""
    bench = Bench(reasons=("NOT_SPECIFIED", "", "FLAGS"), states=("", "ESTABLISHED", ""))
    records = [
        ResetEvent(time_ns=NOW, direction=1, family=2, reason=reason, state=state, state_before=before)
        for reason, state, before in ((1, 2, 1), (200, 255, 3))
    ]
    groups = bench.groups(*records)
    told = [(each.facts.reason, each.facts.state, each.facts.state_before) for each in groups]
    assert told == [("REASON_1", "STATE_2", "ESTABLISHED"), ("REASON_200", "STATE_255", "STATE_3")]
    assert told == [(each.samples[0].reason, each.samples[0].state, each.samples[0].state_before) for each in groups]


def test_a_kernel_without_any_names_still_groups() -> None:
    """Empty lists of names are no reason to fail: a kernel that names no reasons gives none."""
    group = Bench(reasons=(), states=()).group(syn(state="LISTEN", reason="TCP_FLAGS"))
    assert (group.facts.reason, group.facts.state) == ("", "STATE_10")


@pytest.mark.parametrize(
    "limits",
    [{"group_limit": 0}, {"group_limit": 897}, {"sample_limit": 0}, {"hz": 0}],
    ids=lambda each: next(iter(each)),
)
def test_limits_out_of_range_are_refused(limits: dict[str, int]) -> None:
    """A table that could not work is not made."""
    with pytest.raises(ValueError, match="limits"):
        Bench(**limits)  # type: ignore[arg-type]  # one of several int arguments


@pytest.mark.parametrize("trigger", ["", "S", "SA", "FPU", "A", "PA", "FSRPAU"])
def test_the_triggers_flags_are_letters(trigger: str) -> None:
    """A segment without flags is told from none at all."""
    group = Bench().group(reset(trigger=trigger))
    assert group.facts.trigger == "".join(letter for letter in LETTERS if letter in trigger)
    assert group.samples[0].trigger is not None


def test_without_a_trigger_there_are_no_flags() -> None:
    """An active reset has no segment, whatever the record's bytes hold."""
    group = Bench().group(reset(state="CLOSE", trigger_flags=2, trigger_seq=1))
    assert group.facts.trigger is None
    assert group.samples[0].trigger is None


FLAGS_TOLD = {
    "IN_CLOSER": "in_closer",
    "EXITING": "exiting",
    "HAS_FILE": "has_file",
    "RELEASED": "released",
    "ORPHANED": "orphaned",
    "LINGER_ZERO": "linger_zero",
    "LINGER2_NEGATIVE": "linger2_negative",
    "KERNEL_SOCKET": "kernel_socket",
    "ACTIVE_OPEN": "active_open",
    "ACCEPT_QUEUE_FULL": "accept_queue_full",
    "ABORT_ON_OVERFLOW": "abort_on_overflow",
    "COOKIES_RECENT": "cookies_recent",
    "EMBRYOS": "embryos",
    "MEMORY_EXHAUSTED": "memory_exhausted",
    "FIN_RECEIVED": "fin_received",
    "DATA_UNACKED": "data_unacked",
    "USER_TIMEOUT": "user_timeout",
}


@pytest.mark.parametrize(("flag", "fact"), FLAGS_TOLD.items())
def test_each_flag_is_one_fact(flag: str, fact: str) -> None:
    """A flag of the kernel program sets its fact and no other."""
    plain = Bench().group(reset(state="CLOSE")).facts
    flagged = Bench().group(reset(state="CLOSE", named=[flag])).facts
    changed = {name for name in plain.__struct_fields__ if getattr(plain, name) != getattr(flagged, name)}
    assert changed == {fact}
    assert getattr(flagged, fact) is True


def test_bits_that_no_flag_has_set_no_fact() -> None:
    """The bits above the kernel program's flags belong to the core and cannot be set from outside."""
    plain = Bench().group(reset(state="CLOSE")).facts
    noisy = Bench().group(reset(state="CLOSE", flags=flags("HAS_SOCKET") | 0xFF80_0000)).facts
    assert noisy == plain


@pytest.mark.parametrize(
    ("fields", "by_owner"),
    [
        ({"closer_pid": 5, "closer_start_ns": 9, "owner_pid": 5, "owner_start_ns": 9}, True),
        ({"closer_pid": 5, "closer_start_ns": 8, "owner_pid": 5, "owner_start_ns": 9}, False),
        ({"closer_pid": 6, "closer_start_ns": 9, "owner_pid": 5, "owner_start_ns": 9}, False),
        ({"closer_pid": 0, "closer_start_ns": 0, "owner_pid": 0, "owner_start_ns": 0}, False),
    ],
    ids=["the same process", "a pid used again", "another process", "nobody known"],
)
def test_the_closer_is_the_owner_when_pid_and_start_agree(fields: dict[str, Any], by_owner: bool) -> None:
    """A pid that another process had before is not the owner, and nobody is not nobody's owner."""
    assert Bench().group(reset(state="CLOSE", named=["IN_CLOSER"], **fields)).facts.by_owner is by_owner


def test_a_listeners_figures_are_its_queue() -> None:
    """At a listener the numbers are connections waiting and their limit, and nothing counts as unread."""
    group = Bench().group(reset(state="LISTEN", trigger="A", snd_nxt=3, rcv_nxt=2, unread=7, reason="INVALID_SYN"))
    assert group.samples[0].queue == (3, 2)
    assert group.facts.unread is False


def test_a_connections_figures_are_no_queue() -> None:
    """Away from listeners there is no accept queue."""
    group = Bench().group(reset(state="CLOSE", snd_nxt=3, rcv_nxt=2, unread=7))
    assert group.samples[0].queue is None
    assert group.facts.unread is True


@pytest.mark.parametrize(
    ("fields", "idle_ms"),
    [
        ({"state": "CLOSE", "idle_jiffies": 100, "bytes_in": 1}, 1000),
        ({"state": "CLOSE", "idle_jiffies": 0xFFFFFFFF, "bytes_out": 1}, 42949672950),
        ({"state": "CLOSE", "idle_jiffies": 0, "bytes_out": 1}, 0),
        ({"state": "CLOSE", "idle_jiffies": 100}, None),
        ({"state": "LISTEN", "idle_jiffies": 100, "bytes_in": 1}, None),
        ({"trigger": "S", "idle_jiffies": 100, "bytes_in": 1}, None),
    ],
    ids=["in", "never overflows", "just now", "no data ever", "listener", "no socket"],
)
def test_idle_is_known_only_of_connections_that_carried_data(fields: dict[str, Any], idle_ms: int | None) -> None:
    """Time since data last came or went needs a connection and data; jiffies count at the kernel's HZ."""
    assert Bench(hz=100).group(reset(**fields)).samples[0].idle_ms == idle_ms


def test_an_opening_after_the_reset_is_no_opening() -> None:
    """A time of opening that lies behind the reset belongs to another socket of the same place."""
    groups = Bench().groups(
        reset(state="CLOSE", opened_ns=NOW - SECOND), reset(state="CLOSE", opened_ns=NOW + 1, local_port=1)
    )
    assert [group.samples[0].opened_ns for group in groups] == [NOW - SECOND, 0]


def test_a_sample_holds_what_the_record_said() -> None:
    """Addresses, ports, segment, interface and processes come out as they went in."""
    record = reset(
        local="2001:db8::2",
        remote="2001:db8::1",
        trigger="PA",
        trigger_seq=4294967295,
        trigger_ack=2,
        trigger_length=3,
        trigger_window=4,
        trigger_ttl=64,
        interface=b"eth0",
        state="CLOSE",
        socket_cookie=11,
        owner_pid=5,
        owner_start_ns=6,
        owner_via=6,
        closer_pid=7,
        closer_start_ns=8,
        bytes_in=1 << 40,
        bytes_out=2,
        unread=1,
        snd_nxt=3,
        rcv_nxt=4,
        exit_code=9,
    )
    [sample] = Bench().group(record).samples
    assert (sample.local, sample.local_port) == ("2001:db8::2", 8080)
    assert (sample.remote, sample.remote_port) == ("2001:db8::1", 50000)
    assert sample.trigger is not None
    segment = sample.trigger
    assert (segment.flags, segment.seq, segment.ack, segment.length) == ("PA", 4294967295, 2, 3)
    assert (segment.window, segment.ttl, sample.interface, sample.family) == (4, 64, "eth0", 10)
    assert (sample.owner, sample.owner_via, sample.closer, sample.exit_code) == ((5, 6), "closer", (7, 8), 9)
    assert (sample.bytes_in, sample.bytes_out, sample.unread) == (1 << 40, 2, 1)
    assert (sample.snd_nxt, sample.rcv_nxt, sample.socket_cookie, sample.time_ns) == (3, 4, 11, NOW)


def test_no_process_is_not_process_zero() -> None:
    """A record without owner and closer names nobody."""
    [sample] = Bench().group(syn()).samples
    assert (sample.owner, sample.closer, sample.owner_via) == (None, None, "")


def test_a_way_to_the_owner_that_has_no_word_is_left_out() -> None:
    """A number beyond the known ways gives no word."""
    assert Bench().group(syn(owner_pid=1, owner_via=200)).samples[0].owner_via == ""


def test_an_interface_of_any_bytes_is_text() -> None:
    """A name that is not UTF-8, or that fills its field, is still a string."""
    [sample] = Bench().group(syn(interface=b"\xff" + b"e" * 15)).samples
    assert sample.interface == "\\xff" + "e" * 15


def test_an_address_of_no_family_is_not_invented() -> None:
    """Where the kernel program could not read the addresses, none are shown."""
    group = Bench().group(ResetEvent(time_ns=NOW, direction=1, reason=1))
    assert (group.samples[0].local, group.samples[0].remote) == ("", "")
    assert group.remotes.top == ()
