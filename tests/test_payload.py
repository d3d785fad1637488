"""What a reset says in its payload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.payload import CAUSES, TEXT_MAX, meaning
from whyreset.words import escape

SAYINGS = (
    (b"", ""),
    (b"Go away, we're not home", "Go away, we're not home"),
    (b"two\r\nlines\r\n", "two lines"),
    (b"\x33\xaa\x00\x0e\x00\x00\x00\x00", "connection timeout"),
    (b"\x33\xaa\x00\x03\x00\x00\x00\x00", "new data is received after CLOSE is called"),
    (b"\x33\xaa\x7f\xff\x00\x00\x00\x00", "reason 32767, newer than this program"),
    (b"\x33\xaa\x04\xd2\x00\x00\x7e\xd9", "reason 1234 of enterprise 32473"),
    (b"\xf3\x17" + "zu spät".encode(), "zu spät"),
    (b"\x33\xaa\x00\x0e", ""),
    (bytes(range(128, 200)), ""),
    (b"\x01\x00\x00\x00", ""),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1 Host: x"),
)


@pytest.mark.parametrize(("payload", "said"), SAYINGS, ids=range(len(SAYINGS)))
def test_payload_is_read(payload: bytes, said: str) -> None:
    """Text, the draft's codes and its descriptions are read; what is neither says nothing."""
    assert meaning(payload, len(payload)) == said


def test_every_code_of_the_draft_has_words() -> None:
    """The registry's first values are 1 to 17."""
    assert list(CAUSES) == list(range(1, 18))


def test_code_in_a_payload_of_another_length_is_none() -> None:
    """The draft asks for eight bytes, no more; what was cut is not trusted either."""
    assert meaning(b"\x33\xaa\x00\x0e\x00\x00\x00\x00", 9) == ""


def test_text_that_was_cut_within_a_character_is_read() -> None:
    """A capture may cut between the bytes of one character."""
    assert meaning("über ü".encode()[:-1], 7) == "über"


@given(st.binary(max_size=128), st.integers(0, 65535))
def test_any_payload_is_short_and_can_be_shown(payload: bytes, length: int) -> None:
    """Whatever the bytes: no error, a bounded length, and nothing that is not printable once it is escaped."""
    said = meaning(payload, length)
    assert len(said) <= TEXT_MAX
    assert escape(said).isprintable()
