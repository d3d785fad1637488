"""What may be asked, how it is read, and who would serve it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.questions import Question, parse

READ = {
    "8080": Question(port=8080, pid=8080),
    " 8080 ": Question(port=8080, pid=8080),
    ":8080": Question(port=8080),
    "*:8080": Question(port=8080),
    "65535": Question(port=65535, pid=65535),
    "65536": Question(pid=65536),
    "4194304": Question(pid=4194304),
    "192.0.2.1:80": Question(port=80, address="192.0.2.1"),
    "[::1]:80": Question(port=80, address="::1"),
    "[2001:DB8:0:0::1]:80": Question(port=80, address="2001:db8::1"),
    "[::ffff:192.0.2.1]:80": Question(port=80, address="192.0.2.1"),
}
MISTAKES = {
    "": "a port",
    "http": "a port",
    "-1": "a port",
    "8080x": "a port",
    "٣": "a port",
    "0": "not 0",
    "4194305": "at most 4194304",
    ":0": "from 1 to 65535",
    ":65536": "from 1 to 65535",
    "::1:80": "brackets",
    "example.org:80": "numeric address",
    "192.0.2.256:80": "numeric address",
    "[fe80::1%eth0]:80": "without their interface",
    "99999999999999999999": "a port",
}


@pytest.mark.parametrize(("text", "question"), READ.items(), ids=list(READ))
def test_a_question_is_read(text: str, question: Question) -> None:
    """Ports, pids, addresses with ports; addresses as the kernel writes them."""
    assert parse(text) == question


@pytest.mark.parametrize(("text", "says"), MISTAKES.items(), ids=lambda text: text or "nothing")
def test_a_mistake_says_what_is_taken(text: str, says: str) -> None:
    """What cannot be asked is told in a sentence."""
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_a_number_may_be_named_a_pid() -> None:
    """Then it is no port; an address beside it is a mistake."""
    assert parse("8080", pid=True) == Question(pid=8080)
    with pytest.raises(ValueError, match="a number alone"):
        parse(":8080", pid=True)


@given(st.text(), st.booleans())
def test_any_text_is_read_or_is_a_mistake(text: str, pid: bool) -> None:
    """Nothing but ValueError comes of what people type."""
    try:
        question = parse(text, pid=pid)
    except ValueError:
        return
    assert question.port or question.pid
    assert question.port <= 65535


@pytest.mark.parametrize(
    ("asked", "address", "family", "ipv6_only", "serves"),
    [
        ("", "192.0.2.9", 2, False, True),
        ("192.0.2.1", "192.0.2.1", 2, False, True),
        ("192.0.2.1", "192.0.2.9", 2, False, False),
        ("192.0.2.1", "0.0.0.0", 2, False, True),
        ("::1", "0.0.0.0", 2, False, False),
        ("::1", "::", 10, True, True),
        ("192.0.2.1", "::", 10, False, True),
        ("192.0.2.1", "::", 10, True, False),
    ],
)
def test_who_serves_an_address(asked: str, address: str, family: int, ipv6_only: bool, serves: bool) -> None:
    """A listener on all addresses serves its family, an IPv6 one also IPv4 unless it says otherwise."""
    assert Question(port=80, address=asked).serves(address, family, ipv6_only=ipv6_only) is serves


@pytest.mark.parametrize(
    ("question", "place"),
    [
        (Question(port=80), ":80"),
        (Question(port=80, address="192.0.2.1"), "192.0.2.1:80"),
        (Question(port=80, address="::1"), "[::1]:80"),
        (Question(pid=80), ""),
    ],
)
def test_a_place_is_written_as_people_write_it(question: Question, place: str) -> None:
    """IPv6 addresses stand in brackets."""
    assert question.place == place
