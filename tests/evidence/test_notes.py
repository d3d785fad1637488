"""Notes: what the recorder knew comes back; what others wrote is a claim, and never becomes a lie."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.packets import analyze
from tests.evidence.test_pcapng import capture, packet
from whyreset.captures import Explainer
from whyreset.evidence import notes, pcapng
from whyreset.evidence.notes import Note, Who
from whyreset.observed import ObservedReset

NGINX = Who(pid=911, comm="nginx", exe="/usr/sbin/nginx", unit="nginx.service", via="listener", alive=True)
#: Of the reset that `packet` makes.
NOTE = Note(
    src="10.0.0.1",
    sport=1234,
    dst="10.0.0.2",
    dport=80,
    seq=100,
    direction="sent",
    cause="unread-data",
    family="abort",
    certainty="certain",
    evidence=("100 bytes unread",),
    reason="TCP_ABORT_ON_CLOSE",
    state="ESTABLISHED",
    owner=NGINX,
)


def explained(note: bytes, *, each: bool = True) -> ObservedReset:
    """The only reset of a file whose packet has that note."""
    (found,) = analyze(capture(packet(note=note)), each=each).take()
    return Explainer(["x.pcapng"]).explain(found)


def test_what_was_known_comes_back() -> None:
    """Cause, certainty, owner, the kernel's word and the direction; the evidence says whose word it is."""
    found = explained(notes.encode(NOTE))
    assert (found.cause.name, found.cause.family, found.cause.certainty) == ("unread-data", "abort", "certain")
    assert found.direction == "sent"
    assert found.recorded is not None
    assert (found.recorded.reason, found.recorded.state) == ("TCP_ABORT_ON_CLOSE", "ESTABLISHED")
    assert found.recorded.owner == notes.owner_of(NGINX)
    assert found.evidence[0].startswith("by the recorder's word")
    assert "100 bytes unread" in found.evidence
    assert any(line.startswith("packets alone: ") for line in found.evidence)


def test_resets_with_notes_are_not_grouped() -> None:
    """Like packets may have unlike notes: each keeps its own, though like ones are counted together."""
    one, other = replace(NOTE, cause="linger-zero"), replace(NOTE, cause="disconnect")
    data = capture(packet(note=notes.encode(one)), packet(note=notes.encode(other)), packet(), packet())
    explainer = Explainer(["x.pcapng"])
    found = [explainer.explain(each) for each in analyze(data).take()]
    assert sorted(each.cause.name for each in found if each.recorded) == ["disconnect", "linger-zero"]
    assert sum(each.count for each in found) == 4


def test_a_note_of_another_packet_is_not_heeded() -> None:
    """Copied beside another packet, it says nothing of that."""
    for wrong in ({"src": "10.0.0.9"}, {"sport": 1}, {"dst": "10.0.0.1"}, {"dport": 81}, {"seq": 101}):
        found = explained(notes.encode(replace(NOTE, **wrong)))
        assert found.recorded is None
        assert found.cause.name != "unread-data"
        assert "of another reset" in found.evidence[-1]


def test_a_cause_that_there_is_not_is_not_heeded() -> None:
    """A note cannot make up words."""
    found = explained(notes.encode(replace(NOTE, cause="aliens")))
    assert (found.recorded, found.cause.name) == (None, explained(b"").cause.name)


def test_what_is_unknown_is_left_to_the_packets() -> None:
    """The recorder knew the owner, but no cause: then the packets may still tell one."""
    found = explained(notes.encode(replace(NOTE, cause="unknown", family="unknown", certainty="unknown")))
    assert found.cause.name == explained(b"").cause.name
    assert found.recorded is not None
    assert found.recorded.owner is not None


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    """Nothing that a file holds raises."""
    assert notes.decode(data) is None
    notes.decode(pcapng.NOTE_MARK + data)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from([*Note.__struct_fields__, *Who.__struct_fields__]), inner, max_size=6
        ),
    )
)
def test_any_json_is_read(value: object) -> None:
    """Also what looks like a note."""
    notes.decode(pcapng.NOTE_MARK + msgspec.json.encode(value))


def test_numbers_that_cannot_be_are_no_note() -> None:
    """A pid, a port or a number beyond what there is."""
    for key, value in (("sport", 70000), ("seq", -1), ("owner", {"pid": 1 << 40}), ("evidence", ["x"] * 100)):
        told = {**msgspec.to_builtins(NOTE), key: value}
        assert notes.decode(pcapng.NOTE_MARK + msgspec.json.encode(told)) is None


@given(st.integers(0, 3000), st.integers(0, 60), st.integers(0, 40))
def test_a_note_is_shortened_until_it_fits(length: int, words: int, sentences: int) -> None:
    """Java's command lines and long evidence cost words, never the cause or the owner."""
    owner = replace(NGINX, command=("x" * length,) * words, exe="/" * length)
    data = notes.encode(replace(NOTE, owner=owner, closer=owner, evidence=("y" * length,) * sentences))
    assert len(data) <= pcapng.NOTE_MAX
    note = notes.decode(data)
    assert note is not None
    assert (note.cause, note.owner.pid if note.owner else 0) == ("unread-data", 911)
