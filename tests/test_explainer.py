"""What is made of one observation: words for the evidence, direction, what the reset says of itself."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.outputs.report.seen import EPOCH, TRAITS, observation, one
from whyreset.captures import _WORDS, Explainer, _Words
from whyreset.causes.packets import SEEN_WORDS
from whyreset.observation import Observations, SeenSegment, Side, Tally, Traits
from whyreset.observed import ObservedReset

BARE = Traits(flags="R", handshake="none", opener="", alone=True)


def explained(seen: dict[str, Any] | None = None, *, local: tuple[str, ...] = (), **group: Any) -> ObservedReset:
    """One observation, explained."""
    sample = observation(**(seen or {}))
    observations = Observations(
        **{
            "sample": sample,
            "count": 1,
            "first_ns": sample.time_ns,
            "last_ns": sample.time_ns,
            "senders": one(sample.src),
            "receivers": one(sample.dst),
            "ports": one("8080"),
            **group,
        }
    )
    return Explainer(["x.pcap"], [ipaddress.ip_network(each) for each in local]).explain(observations)


def test_words_are_those_that_causes_may_use() -> None:
    """No more and no fewer."""
    assert {*_WORDS, "port"} == SEEN_WORDS
    words = _Words(observation(), 8080)
    assert all(words[each] for each in SEEN_WORDS)


def test_words_have_figures_and_units() -> None:
    """Times in a person's units, addresses of IPv6 in brackets, ranges of TTLs."""
    last = SeenSegment(file=0, frame=1, time_ns=EPOCH - 90_000_000_000, flags="A", seq=1, ack=1, length=0)
    words = _Words(
        observation(
            family=6,
            src="2001:db8::2",
            dst="2001:db8::1",
            sender=Side(packets=3, ttl_min=57, ttl_max=60, outstanding=9, last=last),
            receiver=Side(packets=1, outstanding=4),
            mptcp_reason=3,
        ),
        None,
    )
    assert (words["sender"], words["receiver"], words["port"]) == ("[2001:db8::2]", "[2001:db8::1]", "many ports")
    assert (words["delay"], words["idle"]) == ("1 ms", "90 s")
    assert (words["ttl"], words["ttls"]) == ("64", "57 to 60")
    assert (words["outstanding"], words["unacked"]) == ("9 bytes", "4 bytes")
    assert words["mptcp"] == "administratively prohibited"
    assert _Words(observation(mptcp_reason=99), 1)["mptcp"] == "reason 99, newer than this program"
    assert _Words(observation(mptcp_reason=None), 1)["mptcp"] == "it gives no reason"


def test_evidence_is_filled() -> None:
    """The cause's sentence with the sample's figures."""
    assert explained().evidence == ("192.0.2.1's SYN for port 8080 of 192.0.2.2 was answered with a reset 1 ms later",)


def test_payload_is_told_and_escaped() -> None:
    """What the sender wrote into the reset is evidence as its words, harmless to show."""
    reset = explained({"payload": b"go \x1b[2J away", "length": 12})
    assert reset.says == "go \x1b[2J away"
    assert reset.evidence[-1] == "it says: «go \\x1b[2J away»"
    coded = explained({"payload": b"\x33\xaa\x00\x0e" + bytes(4), "length": 8})
    assert coded.evidence[-1] == "it says: «connection timeout»"


def test_lost_state_is_told() -> None:
    """A reset on a connection that may have been forgotten says so."""
    reset = explained({"traits": Traits(flags="R", handshake="none", opener="", alone=True, state_lost=True)})
    assert reset.evidence[-1].startswith("state lost: ")


@pytest.mark.parametrize(
    ("local", "senders", "receivers", "direction"),
    [
        ((), ("192.0.2.2",), ("192.0.2.1",), "observed"),
        (("192.0.2.0/24",), ("192.0.2.2",), ("198.51.100.1",), "sent"),
        (("192.0.2.0/24",), ("198.51.100.1",), ("192.0.2.2",), "received"),
        (("192.0.2.0/24",), ("192.0.2.2", "192.0.2.3"), ("198.51.100.1",), "sent"),
        (("192.0.2.0/24",), ("192.0.2.2", "203.0.113.3"), ("198.51.100.1",), "observed"),
        (("2001:db8::/32",), ("192.0.2.2",), ("198.51.100.1",), "observed"),
    ],
)
def test_direction_of_a_group_holds_for_all_of_it(
    local: tuple[str, ...], senders: tuple[str, ...], receivers: tuple[str, ...], direction: str
) -> None:
    """Sent, where all senders are ours; received, where all receivers are; else it was observed."""
    tallies = [
        Tally(distinct=len(each), exact=True, top=tuple((address, 1) for address in each))
        for each in (senders, receivers)
    ]
    assert explained(local=local, senders=tallies[0], receivers=tallies[1]).direction == direction


def test_senders_that_are_not_listed_are_not_ours() -> None:
    """Where a group does not list all, nothing is said about the rest."""
    some = Tally(distinct=300, exact=False, top=(("192.0.2.2", 9),))
    assert explained(local=("192.0.2.0/28",), senders=some, receivers=one("198.51.100.1")).direction == "observed"


def test_direction_changes_no_cause() -> None:
    """Whoever is ours."""
    assert explained(local=("192.0.2.2/32",)).cause == explained(local=("192.0.2.1/32",)).cause == explained().cause


def test_port_of_many_is_none() -> None:
    """A group of several ports has none of its own."""
    ports = Tally(distinct=2, exact=True, top=(("80", 1), ("81", 1)))
    reset = explained(ports=ports, count=2)
    assert reset.port is None
    assert "many ports" in reset.evidence[0]


def test_facts_carry_the_traits() -> None:
    """What a cause followed from can be looked at."""
    assert explained().facts.traits == TRAITS
    assert explained({"traits": BARE}).cause.name == "unknown"
