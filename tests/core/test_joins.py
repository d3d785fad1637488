"""Joins: what a segment without a connection once belonged to, and what is only the echo of a reset that was sent."""

from typing import Any

import pytest

from tests.core.fake_ring import MILLISECOND, NOW, SECOND, Bench, close, received, reset
from tests.core.layout import CloseEvent, ResetEvent
from whyreset.model import Facts, Record

MICROSECOND = 1_000
#: Beyond two round trips: what still counts as «at once».
AT_ONCE = 2 * MILLISECOND
SOON = 50 * MILLISECOND


def stray(**fields: Any) -> ResetEvent:
    """A segment of no connection, answered with a reset."""
    return reset(**{"trigger": "A", **fields})


def own(**fields: Any) -> ResetEvent:
    """A reset that a connection of this host's sent by itself."""
    return reset(**{"state": "CLOSE", "socket_cookie": 1, "reason": "TCP_ABORT_ON_CLOSE", **fields})


def judged(*records: ResetEvent | CloseEvent) -> tuple[Facts, Record]:
    """Facts and sample of the last record."""
    group = Bench().groups(*records)[-1]
    return group.facts, group.samples[-1]


ENDED: dict[str, tuple[str, list[str], str]] = {
    "the peer closed first": ("LAST_ACK", [], "orderly"),
    "both closed at once": ("CLOSING", [], "orderly"),
    "closed here, then by the peer": ("FIN_WAIT2", ["FIN_RECEIVED"], "orderly"),
    "closed here, both at once": ("FIN_WAIT1", ["FIN_RECEIVED"], "orderly"),
    "closed here, not acknowledged": ("FIN_WAIT1", [], "half-closed"),
    "closed here, the peer never did": ("FIN_WAIT2", [], "half-closed"),
    "given up while it was opened": ("SYN_SENT", ["ACTIVE_OPEN"], "abandoned"),
    "timed out": ("ESTABLISHED", [], "silent"),
    "timed out after the peer's FIN": ("CLOSE_WAIT", ["FIN_RECEIVED"], "silent"),
    "reset by the peer": ("ESTABLISHED", ["RESET_RECEIVED_HERE"], "reset-received"),
    "reset by the peer while it closed": ("LAST_ACK", ["RESET_RECEIVED_HERE"], "reset-received"),
}


@pytest.mark.parametrize(("state_before", "named", "ended"), ENDED.values(), ids=list(ENDED))
def test_how_a_connection_ended_follows_from_the_state_it_left(state_before: str, named: list[str], ended: str) -> None:
    """A segment after the end tells how the connection had ended, and which state it had left."""
    facts, _ = judged(close(state_before=state_before, named=named), stray())
    assert (facts.ended, facts.state_before) == (ended, state_before)


def test_a_connection_that_this_host_reset_says_so() -> None:
    """Of a connection that was closed and reset, the reset is how it ended."""
    facts, sample = judged(
        close(time_ns=NOW - 3 * SECOND, state_before="ESTABLISHED"), own(time_ns=NOW - 2 * SECOND), stray()
    )
    assert facts.ended == "reset-sent"
    assert sample.ended_ms == 2000


def test_a_reset_of_an_older_connection_does_not_say_how_a_later_one_ended() -> None:
    """A reset belongs to the socket that made it, not to the next one between the same ports."""
    facts, _ = judged(
        close(socket_cookie=2, state_before="LAST_ACK"), own(socket_cookie=1), stray(time_ns=NOW + SECOND)
    )
    assert facts.ended == "orderly"


@pytest.mark.parametrize("ahead", [-5 * MICROSECOND, 0, 5 * MICROSECOND, MILLISECOND])
def test_an_answer_in_flight_belongs_to_the_reset_whichever_was_traced_first(ahead: int) -> None:
    """The answer to a segment in flight may be traced before the reset that took its connection away."""
    records = [stray(time_ns=NOW - ahead), own(time_ns=NOW)]
    groups = Bench().groups(
        close(time_ns=NOW - 2 * MILLISECOND, state_before="ESTABLISHED"),
        *sorted(records, key=lambda each: each.time_ns),
    )
    [facts] = [group.facts for group in groups if group.facts.trigger == "A"]
    assert (facts.ended, facts.at_once) == ("reset-sent", True)


def test_an_answer_in_flight_is_told_when_its_reset_is_still_too_young() -> None:
    """Where a visit ends between the two, the reset is in the ring already and counts."""
    bench = Bench()
    bench.write(close(time_ns=NOW - MILLISECOND, state_before="ESTABLISHED"))
    bench.write(stray(time_ns=NOW), own(time_ns=NOW + 5 * MICROSECOND))
    assert bench.drain(NOW + 2 * MILLISECOND) == 1
    [group] = bench.recorder.flush()
    assert group.facts.ended == "reset-sent"
    assert bench.drain() == 1


def test_a_reset_long_after_the_segment_is_not_how_the_connection_had_ended() -> None:
    """What happened more than a millisecond later did not happen before."""
    bench = Bench()
    bench.write(close(time_ns=NOW - SECOND, state_before="LAST_ACK"))
    bench.write(stray(time_ns=NOW), own(time_ns=NOW + 2 * MILLISECOND))
    facts = next(group.facts for group in bench.groups() if group.facts.trigger == "A")
    assert (facts.ended, facts.at_once) == ("orderly", False)


@pytest.mark.parametrize(
    ("since", "srtt_us", "when"),
    [
        (0, 0, "at once"),
        (AT_ONCE, 0, "at once"),
        (AT_ONCE + 1, 0, "soon"),
        (AT_ONCE + 200 * MILLISECOND, 100_000, "at once"),
        (AT_ONCE + 200 * MILLISECOND + 1, 100_000, "soon"),
        (SOON + 200 * MILLISECOND, 100_000, "soon"),
        (SOON, 0, "soon"),
        (SOON + 1, 0, "later"),
        (-MILLISECOND, 0, "at once"),
    ],
)
def test_at_once_is_within_two_round_trips(since: int, srtt_us: int, when: str) -> None:
    """A segment that came within two measured round trips was on its way; soon after, its sender may be busy."""
    facts, _ = judged(close(time_ns=NOW - since, srtt_us=srtt_us), stray())
    assert (facts.at_once, facts.soon) == (when == "at once", when == "soon")


@pytest.mark.parametrize(
    "far", [{"trigger_seq": 1 << 31}, {"trigger_ack": 1 << 28}, {"trigger_seq": 3 << 30}, {"trigger_ack": 1001}]
)
def test_numbers_far_from_a_connections_are_not_of_it(far: dict[str, int]) -> None:
    """A segment whose numbers no window of the remembered connection reaches belongs to another one, or to none."""
    facts, sample = judged(
        close(rcv_nxt=1000, snd_nxt=1000), stray(**{"trigger_seq": 1000, "trigger_ack": 1000, **far})
    )
    assert not facts.ended
    assert sample.owner is None


def refused(**fields: Any) -> ResetEvent:
    """The last segment of a handshake for which the accept queue has no room."""
    where: dict[str, Any] = {"state": "LISTEN", "reason": "INVALID_SYN", "socket_cookie": 9, "owner_pid": 9}
    segment: dict[str, Any] = {"trigger": "PA", "trigger_seq": RCV, "trigger_ack": SND, "trigger_length": 40}
    return reset(**{**where, **segment, "owner_via": 2, **fields})


def test_what_follows_a_refused_handshake_was_in_flight() -> None:
    """The peer believes in the connection once it has the SYN-ACK: what it sends then comes after the refusal."""
    facts, sample = judged(
        close(), refused(time_ns=NOW - MILLISECOND), stray(trigger_seq=RCV, trigger_ack=SND, state="LISTEN")
    )
    assert (facts.ended, facts.at_once, facts.state_before) == ("reset-sent", True, "SYN_RECV")
    assert (sample.owner, sample.owner_via) == ((9, 0), "listener")


def test_a_later_connection_is_not_forgotten_for_a_refused_handshake() -> None:
    """What was closed since then is what the ports last were, also where the ring of closes is read first."""
    facts, _ = judged(refused(time_ns=NOW - 2 * SECOND), close(time_ns=NOW - SECOND), stray())
    assert facts.ended == "orderly"


def test_a_second_syn_leaves_no_connection_behind() -> None:
    """It tells nothing of the numbers that a connection would have had."""
    facts, _ = judged(refused(trigger="S", trigger_ack=0), stray(time_ns=NOW + MILLISECOND, trigger_seq=RCV))
    assert facts.ended == ""


def test_a_refused_handshake_is_judged_by_its_listener() -> None:
    """A full accept queue stays the reason where the four-tuple happens to be remembered."""
    facts, _ = judged(close(), stray(state="LISTEN", reason="INVALID_SYN", named=["ACCEPT_QUEUE_FULL"]))
    assert (facts.ended, facts.accept_queue_full) == ("", True)


@pytest.mark.parametrize(("later", "joins"), [(MILLISECOND, True), (MILLISECOND + 1, False)])
def test_a_close_reported_a_little_late_still_joins(later: int, joins: bool) -> None:
    """The kernel reports a close up to a millisecond after it stopped finding the connection, never later."""
    facts, sample = judged(close(time_ns=NOW + later), stray())
    assert bool(facts.ended) is joins
    assert sample.ended_ms == (0 if joins else None)


RCV, SND = 1_000, 500
WRAPPED = (1 << 32) - 10
SEGMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "last ACK of all": ({"trigger_seq": RCV, "trigger_ack": SND}, "last-ack"),
    "ACK of less": ({"trigger_seq": RCV, "trigger_ack": SND - 1}, "old"),
    "old data": ({"trigger": "PA", "trigger_seq": RCV - 100, "trigger_length": 100, "trigger_ack": SND}, "old"),
    "old data and one byte": (
        {"trigger": "PA", "trigger_seq": RCV - 100, "trigger_length": 101, "trigger_ack": SND},
        "new",
    ),
    "new data": ({"trigger": "PA", "trigger_seq": RCV, "trigger_length": 1, "trigger_ack": SND}, "new"),
    "the FIN again": ({"trigger": "FA", "trigger_seq": RCV - 1, "trigger_ack": SND}, "old"),
    "a FIN not seen before": ({"trigger": "FA", "trigger_seq": RCV, "trigger_ack": SND}, "new"),
    "data and a FIN not seen before": (
        {"trigger": "FA", "trigger_seq": RCV - 5, "trigger_length": 5, "trigger_ack": SND},
        "new",
    ),
    "a keepalive": ({"trigger_seq": RCV - 1, "trigger_ack": SND}, "old"),
    "beyond": ({"trigger_seq": RCV + 1, "trigger_ack": SND}, "new"),
}


@pytest.mark.parametrize("shift", [0, WRAPPED - RCV, WRAPPED - SND], ids=["low", "rcv wraps", "snd wraps"])
@pytest.mark.parametrize(("fields", "segment"), SEGMENTS.values(), ids=list(SEGMENTS))
def test_a_segments_place_against_the_connection(fields: dict[str, Any], segment: str, shift: int) -> None:
    """Old, the last of all, or new: by sequence numbers that wrap at 2**32."""

    def shifted(number: int) -> int:
        return (number + shift) % (1 << 32)

    fields = {key: shifted(value) if key in ("trigger_seq", "trigger_ack") else value for key, value in fields.items()}
    facts, _ = judged(close(rcv_nxt=shifted(RCV), snd_nxt=shifted(SND), bytes_in=5000, bytes_out=5000), stray(**fields))
    assert facts.segment == segment


@pytest.mark.parametrize("trigger", ["S", "", "PU", "U"])
def test_a_segment_without_ack_or_fin_belongs_to_no_connection(trigger: str) -> None:
    """A SYN opens a connection of its own, and a probe has none, whatever closed on that four-tuple."""
    facts, sample = judged(close(), stray(trigger=trigger))
    assert (facts.ended, facts.segment, facts.at_once, sample.ended_ms) == ("", "", False, None)


OTHERS: dict[str, dict[str, Any]] = {
    "namespace": {"netns_cookie": 78},
    "local port": {"local_port": 81},
    "remote port": {"remote_port": 1},
    "local address": {"local": "192.0.2.3"},
    "remote address": {"remote": "192.0.2.3"},
    "sides": {"local": "192.0.2.1", "remote": "192.0.2.2", "local_port": 50000, "remote_port": 8080},
}


@pytest.mark.parametrize("fields", OTHERS.values(), ids=list(OTHERS))
def test_another_four_tuple_has_no_part_in_it(fields: dict[str, Any]) -> None:
    """Whatever differs in namespace, addresses or ports is another connection."""
    facts, _ = judged(close(), stray(**fields))
    assert facts.ended == ""


REMEMBERED: dict[str, Any] = {
    "owner_pid": 5,
    "owner_start_ns": 6,
    "owner_via": 6,
    "opened_ns": NOW - 9 * SECOND,
    "bytes_in": 10,
    "bytes_out": 20,
    "snd_nxt": 30,
    "rcv_nxt": 40,
    "idle_jiffies": 250,
    "exit_code": 9,
}


@pytest.mark.parametrize("where", [{}, {"state": "LISTEN", "reason": "TCP_FLAGS", "socket_cookie": 9}])
def test_what_the_socket_knew_comes_from_the_memory(where: dict[str, Any]) -> None:
    """Owner, figures and opening are those of the connection that is gone, also where a listener answered."""
    listeners = (
        {"owner_pid": 99, "snd_nxt": 3, "rcv_nxt": 2, "named": ["ACCEPT_QUEUE_FULL", "EMBRYOS"]} if where else {}
    )
    record = stray(**where, **listeners, trigger_seq=40, trigger_ack=30)
    facts, sample = judged(close(**REMEMBERED, named=["ACTIVE_OPEN", "EXITING"]), record)
    assert (sample.owner, sample.owner_via, sample.opened_ns) == ((5, 6), "closer", NOW - 9 * SECOND)
    assert (sample.bytes_in, sample.bytes_out, sample.snd_nxt, sample.rcv_nxt) == (10, 20, 30, 40)
    assert (sample.idle_ms, sample.exit_code, sample.ended_ms, sample.queue) == (1000, 9, 1000, None)
    assert (facts.active_open, facts.exiting) == (True, True)
    assert facts.embryos is bool(where)  # the listener's own stays its own


def test_a_time_wait_socket_is_completed_from_the_memory() -> None:
    """A TIME-WAIT mini socket knows next to nothing: owner, figures and state are its connection's."""
    facts, sample = judged(
        close(state_before="FIN_WAIT2", **REMEMBERED),
        reset(state="TIME_WAIT", substate=6, socket_cookie=1, trigger="PA", reason="TCP_TIMEWAIT_SOCKET"),
    )
    assert (facts.state_before, facts.substate, facts.ended) == ("FIN_WAIT2", "TIME_WAIT", "")
    assert (sample.owner, sample.ended_ms, sample.bytes_in) == ((5, 6), 1000, 10)


def test_a_time_wait_socket_of_another_connection_is_not_completed() -> None:
    """The four-tuple alone is not the connection: the socket's cookie must be the same."""
    facts, sample = judged(
        close(state_before="FIN_WAIT2", **REMEMBERED),
        reset(state="TIME_WAIT", substate=6, socket_cookie=2, trigger="PA", reason="TCP_TIMEWAIT_SOCKET"),
    )
    assert (facts.state_before, sample.owner, sample.ended_ms) == ("", None, None)


def test_the_state_that_a_connection_left_is_completed() -> None:
    """Where the kernel program had lost the socket's place, the memory still tells the state before."""
    facts, _ = judged(close(state_before="CLOSE_WAIT"), own())
    assert facts.state_before == "CLOSE_WAIT"
    facts, _ = judged(close(state_before="CLOSE_WAIT"), own(state_before="ESTABLISHED"))
    assert facts.state_before == "ESTABLISHED"


def test_the_next_connection_of_a_four_tuple_takes_its_place() -> None:
    """Of connections between the same ports the latest counts, and nothing of the one before is left."""
    facts, sample = judged(
        close(time_ns=NOW - 5 * SECOND, state_before="ESTABLISHED", named=["RESET_RECEIVED_HERE"], owner_pid=4),
        own(time_ns=NOW - 5 * SECOND),
        close(time_ns=NOW - SECOND, socket_cookie=2, state_before="LAST_ACK"),
        stray(),
    )
    assert (facts.ended, sample.ended_ms, sample.owner) == ("orderly", 1000, None)


# ---- tcp_reset() is also how the kernel ends a closed socket that data came for ----


def echo(**fields: Any) -> ResetEvent:
    """What the kernel traces as received just before it sends ABORT_ON_DATA."""
    return received(**{"state": "FIN_WAIT2", **fields})


def abort(**fields: Any) -> ResetEvent:
    """The reset that answers data for a closed socket."""
    return own(**{"reason": "TCP_ABORT_ON_DATA", "trigger": "PA", "time_ns": NOW + 3 * MICROSECOND, **fields})


@pytest.mark.parametrize("state", ["FIN_WAIT1", "FIN_WAIT2"])
def test_the_echo_of_a_reset_sent_is_dropped_and_counted(state: str) -> None:
    """Data for a closed socket gives one reset sent, and none received."""
    bench = Bench()
    group = bench.group(echo(state=state), abort())
    assert (group.facts.direction, group.count) == ("sent", 1)
    assert (bench.recorder.echoes_of_receive, bench.recorder.records) == (1, 2)


NO_ECHO: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another socket": ({"socket_cookie": 2}, {}),
    "another socket of the same place": ({"socket_cookie": 1 + (1 << 20)}, {}),
    "established": ({"state": "ESTABLISHED"}, {}),
    "no segment": ({}, {"reason": "TCP_ABORT_ON_CLOSE", "trigger": None}),
    "received after it": ({"time_ns": NOW + 4 * MICROSECOND}, {}),
    "long before it": ({"time_ns": NOW - 10 * MILLISECOND}, {}),
    "TIME-WAIT": ({}, {"state": "TIME_WAIT"}),
}


@pytest.mark.parametrize(("first", "second"), NO_ECHO.values(), ids=list(NO_ECHO))
def test_a_reset_that_was_received_is_no_echo(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A received reset is dropped only when this very socket sent one at that moment because of data."""
    bench = Bench()
    assert len(bench.groups(echo(**first), abort(**second))) == 2
    assert bench.recorder.echoes_of_receive == 0


@pytest.mark.parametrize("reasons", [(), ("NOT_SPECIFIED", "NO_SOCKET")])
def test_an_echo_is_known_without_any_reason(reasons: tuple[str, ...]) -> None:
    """A segment that met a closed socket is what it follows from: older kernels give no reason for it."""
    bench = Bench(reasons=reasons)
    assert bench.group(echo(), abort()).facts.direction == "sent"
    assert bench.recorder.echoes_of_receive == 1


def test_many_echoes_in_one_visit_are_all_found() -> None:
    """A service that many peers send to after it closed makes thousands of echoes between two visits."""
    bench = Bench(size=1 << 23)
    for cookie in range(1, 4001):
        fields = {"socket_cookie": cookie, "remote_port": cookie}
        bench.resets.write_all([echo(**fields), abort(**fields)])
    assert [group.facts.direction for group in bench.groups()] == ["sent"]
    assert bench.recorder.echoes_of_receive == 4000


def test_an_echo_is_found_when_its_reset_is_still_too_young() -> None:
    """Where a visit ends between the two, the reset is in the ring already and counts."""
    bench = Bench()
    bench.write(echo(time_ns=NOW), abort(time_ns=NOW + MILLISECOND + 3 * MICROSECOND))
    assert bench.drain(NOW + 3 * MILLISECOND) == 1
    assert bench.recorder.flush() == []
    assert bench.recorder.echoes_of_receive == 1
    assert bench.drain() == 1
