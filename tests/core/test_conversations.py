"""What is told of a reset by the conversation around it."""

from __future__ import annotations

import pytest

from tests.core.packets import NOW, SECOND
from tests.core.talk import CLIENT, MILLISECOND, SERVER, C, S, Talk
from whyreset.observation import EarlierReset, Later, SeenSegment, Side

TIMESTAMPS = b"\1\1\x08\x0a" + bytes(8)


def test_a_refused_connection() -> None:
    """The SYN is the trigger: the reset acknowledges its end (RFC 9293 section 3.10.7.1)."""
    found = Talk().client("S", CLIENT).server("RA", 0, C, ttl=60, number=9).reset
    assert (found.src, found.sport, found.dst, found.dport) == ("10.0.0.2", 80, "10.0.0.1", 40000)
    assert (found.frame, found.file, found.number, found.connection, found.family) == (2, 0, 1, 1, 4)
    assert (found.time_ns, found.began_ns, found.began_frame) == (NOW + 2 * MILLISECOND, NOW + MILLISECOND, 1)
    assert (found.flags, found.seq, found.ack, found.window, found.ttl, found.ip_id) == ("RA", 0, C, 512, 60, 9)
    assert (found.opener, found.handshake, found.history) == ("receiver", "syn", "Sr")
    assert found.trigger == SeenSegment(
        file=0, frame=1, time_ns=NOW + MILLISECOND, flags="S", seq=CLIENT, ack=0, length=0
    )
    assert (found.traits.trigger, found.traits.trigger_fits, found.traits.seq, found.traits.ack) == (
        "S",
        "ack",
        "zero",
        "all",
    )
    assert (found.sender, found.receiver.isn, found.receiver.next_seq, found.receiver.packets) == (Side(), CLIENT, C, 1)
    assert found.later == Later(complete=False)


def test_data_for_a_closed_socket() -> None:
    """Without ACK, the reset takes its number from the trigger's acknowledgement."""
    talk = Talk().handshake().server("FA").client("A", ack=S + 1).client("PA", ack=S + 1, payload=b"x" * 10)
    found = talk.server("R", S + 1).reset
    assert (found.trigger and found.trigger.frame, found.traits.trigger, found.traits.trigger_fits) == (6, "PA", "seq")
    assert (found.traits.trigger_payload, found.traits.trigger_new_data) == (True, True)
    assert (found.sender.fin, found.receiver.fin, found.sender.outstanding, found.receiver.outstanding) == (
        "acknowledged",
        "",
        0,
        10,
    )
    assert (found.handshake, found.history, found.traits.seq) == ("complete", "ShAfDr", "exact")


def test_a_reset_without_a_trigger() -> None:
    """An abort has the sender's own numbers and answers nothing."""
    talk = Talk().handshake().client("PA", payload=b"x" * 100).server("A", ack=C + 60)
    found = talk.server("RA", ack=C + 60).reset
    assert (found.trigger, found.traits.trigger, found.traits.trigger_fits) == (None, None, "")
    assert (found.traits.seq, found.traits.ack, found.traits.receiver_outstanding) == ("exact", "less", True)
    assert (found.receiver.bytes, found.receiver.outstanding, found.sender.acked) == (100, 40, C + 60)


def test_the_trigger_may_be_the_last_but_one() -> None:
    """What came between has another acknowledgement, so it is not what was answered."""
    talk = Talk().handshake().server("PA", payload=b"y" * 9).client("PA", payload=b"x").client("A", C + 1, S + 9)
    found = talk.server("R", S).reset
    assert found.trigger is not None
    assert (found.trigger.frame, found.trigger.ack) == (5, S)


@pytest.mark.parametrize("family", [4, 6])
def test_both_sides_are_described(family: int) -> None:
    """Counts, numbers, windows by their scale, TTLs, identifications, speed, timestamps."""
    scale = b"\3\3\7\1" + TIMESTAMPS
    talk = Talk(family).client("S", CLIENT, ttl=64, number=10, options=scale, window=1000)
    talk.server("SA", SERVER, ttl=57, number=500, options=b"\3\3\2\1", window=2000, after=0.020)
    talk.client("A", ttl=64, number=11, window=3, options=TIMESTAMPS, after=0.005)
    talk.client("PA", payload=b"x" * 7, ttl=63, number=12, window=4, options=TIMESTAMPS)
    talk.server("A", ack=C + 7, ttl=57, number=501, window=5, after=0.030)
    found = talk.server("RA", ack=C + 7, ttl=57, number=502).reset
    assert (found.sender.packets, found.receiver.packets) == (2, 3)
    assert (found.sender.window, found.receiver.window) == (5 << 2, 4 << 7)
    assert (found.receiver.ttl_min, found.receiver.ttl_max, found.sender.ttl_min, found.sender.ttl_max) == (
        63,
        64,
        57,
        57,
    )
    assert (found.sender.fastest_answer_ns, found.receiver.fastest_answer_ns) == (20 * MILLISECOND, 5 * MILLISECOND)
    assert (found.sender.timestamps, found.receiver.timestamps) == (False, True)
    assert found.receiver.last is not None
    assert (found.receiver.last.frame, found.receiver.last.length) == (4, 7)
    expected = (501, 500, 502, "fits") if family == 4 else (None, None, None, "unknown")
    assert (found.sender.ip_id, found.sender.ip_id_before, found.ip_id, found.traits.ip_id) == expected


def test_a_beginning_that_was_not_seen() -> None:
    """What cannot be known is None; nobody is said to be the opener."""
    found = Talk().client("PA", payload=b"x" * 5).server("R", S).reset
    assert (found.opener, found.handshake, found.history, found.traits.alone) == (None, "none", "Dr", False)
    assert (found.receiver.isn, found.receiver.next_seq, found.sender) == (None, C + 5, Side())


def test_a_reset_alone() -> None:
    """Of a connection of which nothing else was seen."""
    found = Talk().client("R").reset
    assert (found.traits.alone, found.traits.seq, found.history, found.trigger) == (True, "unknown", "R", None)


def test_a_syn_ack_names_the_opener() -> None:
    """Whoever gets it has sent a SYN, seen or not; Zeek's mark says that the first segment came from the other side."""
    found = Talk().server("SA", SERVER, C).client("R", C).reset
    assert (found.opener, found.handshake, found.history) == ("sender", "syn-ack", "^hR")


def test_answers_that_came_too_early() -> None:
    """A reset that answers many times faster than its sender ever did was not sent there."""
    talk = Talk().client("S", CLIENT).server("SA", SERVER, C, after=0.040).client("A")
    talk.client("PA", payload=b"x").server("R", S, after=0.002)
    assert talk.reset.traits.delay == "too-early"
    talk = Talk().client("S", CLIENT).server("SA", SERVER, C, after=0.040).client("A")
    assert talk.client("PA", payload=b"x").server("R", S, after=0.030).reset.traits.delay == "prompt"
    talk = Talk().handshake().client("PA", payload=b"x").server("R", S, after=1.5)
    assert talk.reset.traits.delay == "late"


@pytest.mark.parametrize(("after", "expected"), [(0.9, "none"), (59, "short"), (61, "long")])
def test_silence_is_told(after: float, expected: str) -> None:
    """In three words."""
    assert Talk().handshake().server("RA", after=after).reset.traits.idle == expected


@pytest.mark.parametrize(
    ("seq", "expected"),
    [(S, "exact"), (S - 1, "below"), (S + 512, "above"), (S + 513, "far"), (0, "below"), (S + 0x80000000, "below")],
)
def test_the_number_is_held_against_what_was_sent(seq: int, expected: str) -> None:
    """Below, at, within the window beyond, or farther."""
    assert Talk().handshake().server("R", seq).reset.traits.seq == expected


@pytest.mark.parametrize(("ttl", "expected"), [(60, "same"), (62, "near"), (63, "different"), (255, "different")])
def test_the_ttl_is_held_against_the_senders_own(ttl: int, expected: str) -> None:
    """A router on the way may change it by a little."""
    assert Talk().handshake(ttl=60).server("R", ttl=ttl).reset.traits.ttl == expected


def test_identifications_that_do_not_count_tell_nothing() -> None:
    """Only where the sender's own count up can one be out of place."""
    for numbers, reset, expected in (
        ((7, 8), 9, "fits"),
        ((7, 8), 0, "zero"),
        ((7, 8), 5000, "jumps"),
        ((0, 0), 5000, "unknown"),
    ):
        talk = Talk().client("S", CLIENT).server("SA", SERVER, C, number=numbers[0]).client("A")
        talk.server("PA", number=numbers[1], payload=b"x")
        assert talk.server("R", S + 1, number=reset).reset.traits.ip_id == expected


def test_keepalives_without_an_answer() -> None:
    """Probes are one below what comes next, and no data sent again."""
    talk = Talk().handshake()
    for _ in range(3):
        talk.server("A", S - 1, after=75)
    found = talk.server("RA", after=75).reset
    assert (found.sender.keepalives, found.sender.unanswered) == (3, 0)
    assert (found.traits.sender_keepalives, found.traits.receiver_keepalives) == (True, False)


def test_an_answer_ends_the_count_of_probes() -> None:
    """Only those after it count."""
    talk = Talk().handshake().server("A", S - 1, after=75).client("A").server("A", S - 1, after=75)
    assert talk.server("RA", after=75).reset.sender.keepalives == 1


def test_data_sent_again_without_an_answer() -> None:
    """In a row; three are many."""
    talk = Talk().handshake().client("PA", payload=b"xyz")
    for _ in range(3):
        talk.client("PA", payload=b"xyz", after=1)
    found = talk.client("RA", C + 3).reset
    assert (found.sender.unanswered, found.traits.sender_unanswered, found.history) == (3, True, "ShADTR")


def test_a_closed_window() -> None:
    """The sender's application was not reading."""
    found = Talk().handshake().server("A", window=0).server("RA").reset
    assert (found.sender.window, found.traits.sender_window_zero, found.history) == (0, True, "ShAawr")


def test_resets_before_are_told() -> None:
    """The last one on the connection, whoever sent it."""
    talk = Talk().handshake().client("RA", ttl=9, number=77).server("R", S)
    _, found = talk.resets
    assert found.earlier == EarlierReset(
        by="receiver",
        file=0,
        frame=4,
        time_ns=NOW + 4 * MILLISECOND,
        seq=C,
        ack=S,
        flags="RA",
        ttl=9,
        ip_id=77,
        interface="",
    )
    assert (found.traits.receiver_resets, found.traits.sender_resets, found.traits.earlier) == ("one", "none", "")


def test_copies_and_repetitions_of_a_reset() -> None:
    """The same numbers again, or others."""
    talk = Talk().handshake().client("R").client("R").client("R", C + 5)
    first, second, third = (each.traits for each in talk.resets)
    assert [each.earlier for each in (first, second, third)] == ["", "same", "other"]
    assert [each.sender_resets for each in (first, second, third)] == ["none", "one", "more"]
    assert [each.next_reset for each in (first, second, third)] == ["same", "ahead", ""]


def test_what_followed_is_told() -> None:
    """Data of the sender as if it had sent no reset; the receiver's; further resets, and when the next one came."""
    talk = Talk().handshake().server("R", S).server("PA", payload=b"abc").client("A", ack=S + 3).server("R", S + 900)
    first, second = talk.resets
    assert first.later == Later(
        complete=False,
        sender_went_on=1,
        receiver_went_on=1,
        sender_resets=1,
        next_seq=S + 900,
        next_after_ns=3 * MILLISECOND,
    )
    assert (first.traits.sender_went_on, first.traits.receiver_went_on, first.traits.next_reset) == (
        True,
        True,
        "ahead",
    )
    assert second.later == Later(complete=False)


def test_what_follows_counts_for_two_seconds() -> None:
    """Not for longer, whatever the blocks and batches; `complete` says whether the capture went on that long."""
    talk = Talk().handshake().server("R", S).server("PA", payload=b"abc", after=2.5)
    assert talk.reset.later == Later(complete=True)
    talk = Talk().handshake().server("R", S).server("PA", payload=b"abc", after=1.9).client("A", port=5, after=0.2)
    assert talk.reset.later == Later(complete=True, sender_went_on=1)


def test_a_new_connection_of_the_same_ends() -> None:
    """A SYN of another number opens it; how the one before had ended is told, and what followed belongs to each."""
    for last, expected in (
        ([], "open"),
        ([("FA", 0)], "half-closed"),
        ([("FA", 0), ("FA", 1)], "orderly"),
        ([("R", 0)], "reset"),
    ):
        talk = Talk().handshake()
        for flags, side in last:
            (talk.client if side else talk.server)(flags)
        talk.client("S", 99_000).server("RA", 0, 99_001)
        found = talk.resets[-1]
        assert (found.traits.before, found.connection, found.history) == (expected, 2, "Sr")


def test_a_syn_sent_again_opens_nothing() -> None:
    """The same number is the same attempt, also after a reset."""
    first, second = Talk().client("S", CLIENT).server("RA", 0, C).client("S", CLIENT).server("RA", 0, C).resets
    assert (first.connection, second.connection, second.traits.earlier, second.receiver.unanswered) == (1, 1, "same", 1)


def test_both_may_open_at_once() -> None:
    """Two SYNs that cross are one connection (RFC 9293 section 3.5)."""
    talk = Talk().client("S", CLIENT).server("S", SERVER).client("SA", CLIENT).server("SA", SERVER).client("R", C)
    assert (talk.reset.connection, talk.reset.opener, talk.reset.handshake) == (1, "sender", "syn-ack")


def test_ports_of_other_connections_do_not_mix() -> None:
    """One port apart is another connection."""
    talk = Talk().handshake().client("S", CLIENT, port=40001).server("RA", 0, C, port=40001)
    assert (talk.reset.connection, talk.reset.history, talk.reset.dport) == (2, "Sr", 40001)


def test_the_summary_counts() -> None:
    """Packets, connections, handshakes, resets, and the time between."""
    talk = Talk().handshake().server("RA").server("RA").client("S", CLIENT, port=40001).client("A", port=40002)
    totals = talk.analyze().summary()
    assert (totals.packets, totals.segments, totals.bytes) == (7, 7, len(talk.capture))
    assert (totals.connections, totals.complete, totals.reset, totals.resets) == (3, 1, 1, 2)
    assert (totals.first_ns, totals.last_ns, totals.skipped) == (NOW + MILLISECOND, NOW + 7 * MILLISECOND, {})


def test_clocks_may_run_backwards() -> None:
    """Nothing is lost or negative, and what waits is released."""
    talk = (
        Talk().handshake().server("R", S).client("A", after=-3600).server("R", S).client("PA", payload=b"x", after=-9)
    )
    found = talk.resets
    assert len(found) == 2
    assert all(each.later.next_after_ns in (None, 0, MILLISECOND) for each in found)
    assert all(each.traits.idle == "none" for each in found)


def test_numbers_wrap() -> None:
    """Sequence numbers are modulo 2**32."""
    top = 0xFFFFFFFE
    talk = Talk().client("S", top).server("SA", SERVER, top + 1).client("A", top + 1)
    talk.client("PA", top + 1, payload=b"12345678").server("A", ack=top + 9).client("PA", top + 9, payload=b"xy")
    found = talk.server("RA", ack=top + 9).reset
    assert (found.receiver.next_seq, found.receiver.outstanding, found.sender.acked) == (9, 2, 7)
    assert (found.traits.seq, found.traits.ack) == ("exact", "less")


def test_a_reset_may_carry_words() -> None:
    """At most 128 bytes of them are kept."""
    found = Talk().handshake().server("R", S, payload=b"no more" * 50).reset
    assert (found.payload, found.length, found.traits.payload) == ((b"no more" * 50)[:128], 350, True)


def test_a_connection_goes_on_in_the_next_file() -> None:
    """Its number and its beginning are those of the first; frames are told with their file."""
    talk = Talk().handshake()
    size = len(talk.capture)
    talk.server("PA", payload=b"x").client("R")
    whole = talk.capture
    analyzer = talk.analyze(each=True)
    assert len(analyzer.take()) == 1
    analyzer = type(analyzer)(each=True)
    analyzer.feed(whole[:size])
    analyzer.end()
    analyzer.begin()
    analyzer.feed(whole[:24] + whole[size:])
    analyzer.end()
    analyzer.finish()
    (found,) = (each.sample for each in analyzer.take())
    assert (found.file, found.frame, found.began_file, found.began_frame, found.handshake) == (1, 2, 0, 1, "complete")
    assert found.receiver.last is not None
    assert (found.receiver.last.file, found.receiver.last.frame) == (1, 1)
    assert analyzer.summary().bytes == len(whole) + 24
    assert (analyzer.summary().last_ns or 0) - NOW < SECOND
