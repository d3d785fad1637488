"""First contacts in captures: packets in, contacts out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import whyreset
from tests.core.packets import NOW, RAW, SECOND, analyze, ipv4, ipv6, pcap, tcp
from whyreset.captured import meaning
from whyreset.captures import Reader
from whyreset.model import Contact
from whyreset.outputs.report.gather import Gathering

SCANNER, HOST = "198.51.100.7", "192.0.2.2"
SYN_OF_A_STACK = bytes.fromhex("020405b4") + bytes.fromhex("0103030701010402")
SYN_OF_A_SCANNER = bytes.fromhex("020405b4")


def said(flags: str, port: int, *, by_host: bool = False, v6: bool = False, number: int = 1, **more: Any) -> bytes:
    """One segment between the scanner and a port of the host."""
    ports = (port, 40000 + port % 1000)
    segment = tcp(
        flags, sport=ports[not by_host], dport=ports[by_host], seq=number, ack=2 if "A" in flags else 0, **more
    )
    hosts = ("2001:db8:0:1::7", "2001:db8::2") if v6 else (SCANNER, HOST)
    src, dst = hosts[::-1] if by_host else hosts
    return (ipv6 if v6 else ipv4)(segment, src=src, dst=dst)


def tried(ports: Iterable[int], flags: str = "S", *, answer: str = "RA", **more: Any) -> list[bytes]:
    """Each port tried, and its answer."""
    v6 = more.get("v6", False)
    return [
        data
        for port in ports
        for data in (said(flags, port, **more), said(answer, port, by_host=True, v6=v6, number=0))
    ]


def contacts(packets: list[bytes]) -> list[Contact]:
    """What the core tells."""
    analyzer = analyze(pcap(packets, RAW))
    analyzer.finish()
    return analyzer.contacts.take(64)


def test_refused_segments_are_contacts_that_failed() -> None:
    """Each port once, by the one who tried; times are of the capture."""
    [found] = contacts(tried(range(80, 86), options=SYN_OF_A_SCANNER))
    assert (found.remote, found.failed, found.techniques, found.netns_cookie) == (SCANNER, 6, ("syn",), 0)
    assert [(each.address, each.port) for each in found.places] == [(HOST, port) for port in range(80, 86)]
    assert NOW <= found.first_ns <= found.last_ns < NOW + SECOND


def test_ipv6_too() -> None:
    """By the network."""
    [found] = contacts(tried(range(80, 84), v6=True))
    assert (found.remote, found.failed) == ("2001:db8:0:1::/64", 4)
    assert found.places[0].address == "2001:db8::2"


TECHNIQUES = {"connect": "S", "fin": "F", "null": "", "xmas": "FPU", "ack": "A", "maimon": "FA"}


@pytest.mark.parametrize(("technique", "flags"), TECHNIQUES.items(), ids=list(TECHNIQUES))
def test_techniques(technique: str, flags: str) -> None:
    """By flags, and by whether a SYN has what stacks send."""
    more = {"options": SYN_OF_A_STACK} if flags == "S" else {}
    [found] = contacts(tried((80, 81), flags, answer="R" if "A" in flags else "RA", **more))
    assert found.techniques == (technique,)


def test_an_answered_syn_is_a_success_and_a_completed_handshake_proves_the_address() -> None:
    """A SYN-ACK alone proves nothing: somebody else may have got it."""
    opened = [said("S", 22), said("SA", 22, by_host=True)]
    [found] = contacts([*tried((80, 81)), *opened, said("R", 22, number=2)])
    assert (found.opened, found.accepted, found.handshake) == ((22,), 0, False)
    [found] = contacts([*tried((80, 81)), *opened, said("A", 22, number=2)])
    assert (found.opened, found.accepted, found.handshake) == ((22,), 1, True)


def test_resets_within_a_connection_are_no_contacts() -> None:
    """Also where the capture began in its midst."""
    connection = [
        data
        for port in range(80, 86)
        for data in (said("PA", port, payload=b"x"), said("A", port, by_host=True), said("R", port, by_host=True))
    ]
    assert not contacts(connection)


def test_a_capture_of_a_scan_is_told_as_one() -> None:
    """From the file to the finding: the sample that comes with whyreset holds a scan."""
    reader = Reader([str(Path(whyreset.__file__).with_name("sample.pcapng"))])
    found = Gathering()
    for each in reader:
        found.add(each)
    findings, verdict = meaning(found, reader.contacts())
    [scan] = [each for each in findings if each.name == "port-scan"]
    assert (scan.subject.remote, scan.confidence) == ("192.0.2.66", "certain")
    assert any("answered at 8080" in each for each in scan.evidence)
    assert {each.name: each.count for each in verdict.shares}["port-scan"] >= 38
