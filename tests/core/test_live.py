"""Live packets give what captures give; a copy on another interface is no second segment."""

from __future__ import annotations

from tests.core.packets import SECOND, ethernet, ipv4, tcp
from tests.core.taps import OUTGOING, TO_US, feed, packet
from whyreset.core.live import Live
from whyreset.core.segments import Analyzer
from whyreset.observation import Observation

START = 1_700_000_000 * SECOND
SYN = ethernet(ipv4(tcp("S", sport=5000, dport=80, seq=41), src="192.0.2.1", dst="192.0.2.2"))
ANSWER = ethernet(ipv4(tcp("RA", sport=80, dport=5000, seq=0, ack=42), src="192.0.2.2", dst="192.0.2.1", number=0))


class Wire:
    """Interfaces, an analyzer behind them."""

    def __init__(self) -> None:
        self.names = {3: "eth3", 4: "br0"}
        self.analyzer = Analyzer(each=True)
        self.live = Live(self.analyzer, lambda index: self.names.get(index, ""))

    def show(self, data: bytes, interface: int = 3, direction: int = TO_US, at_ns: int = 0) -> None:
        """One packet on one interface."""
        feed(self.live, packet(data, interface=interface, direction=direction, time_ns=START + at_ns))

    def resets(self, later_ns: int = 3 * SECOND) -> list[Observation]:
        """Those that are complete then."""
        self.analyzer.pass_time(START + later_ns)
        return [each.sample for each in self.analyzer.take()]


def test_a_reset_comes_with_what_provoked_it_and_where_it_showed_first() -> None:
    """After the two seconds in which something may follow, though no packet says that they are over."""
    wire = Wire()
    wire.show(SYN)
    wire.show(ANSWER, direction=OUTGOING, at_ns=1000)
    assert wire.resets(SECOND) == []
    (seen,) = wire.resets()
    assert seen.trigger is not None
    assert (seen.trigger.flags, seen.traits.handshake, seen.interface) == ("S", "syn", "eth3")
    assert seen.later.complete


def test_copies_on_other_interfaces_are_left_out() -> None:
    """Also where the hop limit was counted down meanwhile; loopback shows both directions of one interface."""
    wire = Wire()
    for interface, direction in ((3, TO_US), (4, TO_US), (5, OUTGOING)):
        wire.show(SYN, interface, direction)
    wire.show(ANSWER, 1, OUTGOING)
    wire.show(ANSWER, 1, TO_US)
    wire.show(
        ethernet(
            ipv4(tcp("RA", sport=80, dport=5000, seq=0, ack=42), src="192.0.2.2", dst="192.0.2.1", number=0, ttl=63)
        ),
        4,
    )
    (seen,) = wire.resets()
    assert (seen.receiver.packets, seen.later.sender_resets) == (1, 0)
    assert wire.live.repeated == 4
    assert wire.analyzer.summary().segments == 2


def test_what_is_sent_again_is_another_segment() -> None:
    """At the same place, or much later."""
    wire = Wire()
    wire.show(SYN)
    wire.show(SYN, at_ns=SECOND)
    wire.show(SYN, 4, at_ns=5 * SECOND)
    assert wire.analyzer.summary().segments == 3
    assert wire.live.repeated == 0


def test_names_of_interfaces_are_asked_for_again() -> None:
    """They change."""
    wire = Wire()
    for name in ("one", "two"):
        wire.names[3] = name
        wire.live.forget_names()
        wire.show(ANSWER, at_ns=SECOND if name == "two" else 0)
    assert [each.interface for each in wire.resets(9 * SECOND)] == ["one", "two"]
