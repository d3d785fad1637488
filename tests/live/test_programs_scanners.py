"""nmap and hping3 beyond plain scans (tests/hosts/cases/scans.py): what they try out, and whose addresses they give."""

from subprocess import PIPE

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.flood import answer_everyone
from tests.hosts.hosts import await_true
from tests.live.tellings import tellings

OPEN, CLOSED, FTP = 8080, 8082, 21
BANNER = b"220 (vsFTPd 3.0.3)\r\n"
SEGMENTS = 50


def nmap(pair: Pair, *options: str, port: int = OPEN) -> list[str]:
    """The command that scans an open and a closed port of host b."""
    needs.command("nmap")
    plain = f"nmap -n -Pn --send-ip --max-retries 0 --host-timeout 30s -p {port},{CLOSED}"
    return [*plain.split(), *options, pair.address(pair.b, 4)]


def hping3(pair: Pair, *options: str) -> int:
    """Send SEGMENTS of some kind to host b; how many arrived."""
    needs.command("hping3")
    arrived = pair.b.counters()["InSegs"]
    pace = ("-q", "-i", "u2000", "-c", str(SEGMENTS))
    pair.a.run("hping3", *pace, *options, pair.address(pair.b, 4), check=False)  # it exits with 1 without an answer
    return pair.b.counters()["InSegs"] - arrived


def test_version_detection_talks_to_open_ports_like_any_client(watch: Watch, pair: Pair) -> None:
    """nmap -sV: a SYN to each port from a raw socket, then a conversation that ends in order."""
    scan = nmap(pair, "-sS", "-sV", port=FTP)
    with Actor(pair.b, "server") as server:
        listener = server.listen(FTP)
        scanner = pair.a.start(*scan, stdout=PIPE)
        await_true(lambda: "ESTABLISHED" in pair.b.tcp_states(FTP), "the scanner's connection", timeout=20)
        accepted = listener.accept()
        accepted.send(BANNER)
        assert accepted.recv() == b""
        accepted.close()
        out, _ = scanner.communicate(timeout=20)
        told = tellings(watch, pair)
    assert "vsftpd" in out
    assert told(pair.b, "sent").causes == {"closed-port": 1}
    assert told(pair.a, "sent").causes == {"unsolicited-syn-ack": 1}
    assert not told(pair.a, "received")


def test_operating_system_detection_is_a_mixture_of_probes(watch: Watch, pair: Pair) -> None:
    """nmap -O: SYNs, ACKs with options as a stack sends them and an Xmas segment: each is told for what it is."""
    with Actor(pair.b, "server") as server:
        server.listen(OPEN)
        pair.a.run(*nmap(pair, "-sS", "-O", "--max-os-tries", "1"), timeout=60)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.of("closed-port").values("trigger.flags") == {"S"}
    assert sent.of("scan-probe").values("trigger.flags") == {"FPU"}
    acknowledgements = sent.of("half-open")
    assert acknowledgements.values("trigger.flags") == {"A"}
    assert acknowledgements.values("certainty") == {"likely"}
    assert all("stray-segment" in line["candidates"] for line in acknowledgements.lines)
    assert sent.causes.keys() == {"closed-port", "scan-probe", "half-open"}
    assert sent.values("sport") == {OPEN, CLOSED}
    assert told(pair.a, "sent").causes.keys() == {"unsolicited-syn-ack"}
    assert not told(pair.a, "received")


def test_decoys_are_told_as_they_come(watch: Watch, pair: Pair) -> None:
    """nmap -D: each of the addresses asked the closed port; which of them is true cannot be told."""
    answer_everyone(pair)
    decoys = ("192.0.2.77", "192.0.2.78")
    with Actor(pair.b, "server") as server:
        server.listen(OPEN)
        pair.a.run(*nmap(pair, "-sS", "-D", ",".join(decoys)))
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.causes == {"closed-port": 3}
    assert sent.count("dst") == dict.fromkeys((*decoys, pair.address(pair.a, 4)), 1)


SHAPES = {
    "SYN-ACKs to a closed port": (("-S", "-A", "-p", str(CLOSED)), "unsolicited-syn-ack", "certain", "NO_SOCKET"),
    "SYN-ACKs to an open port": (("-S", "-A", "-p", str(OPEN)), "unsolicited-syn-ack", "certain", "TCP_FLAGS"),
    "data to a closed port": (("-P", "-A", "-d", "9", "-p", str(CLOSED)), "half-open", "likely", "NO_SOCKET"),
    "data to an open port": (("-P", "-A", "-d", "9", "-p", str(OPEN)), "half-open", "likely", "TCP_FLAGS"),
    "nothing set, closed port": (("-p", str(CLOSED)), "scan-probe", "certain", "NO_SOCKET"),
    "URG alone, closed port": (("-U", "-p", str(CLOSED)), "scan-probe", "certain", "NO_SOCKET"),
    "SYN and FIN, closed port": (("-S", "-F", "-p", str(CLOSED)), "scan-probe", "certain", "NO_SOCKET"),
}


@pytest.mark.parametrize(("options", "cause", "certainty", "reason"), SHAPES.values(), ids=list(SHAPES))
def test_made_up_segments_are_told_by_their_flags(
    watch: Watch, pair: Pair, options: tuple[str, ...], cause: str, certainty: str, reason: str
) -> None:
    """hping3 sends what no connection would: each has one cause, and its listener as owner where there is one."""
    with Actor(pair.b, "server") as server:
        server.listen(OPEN)
        assert hping3(pair, *options) == SEGMENTS
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.causes == {cause: SEGMENTS}
    assert (sent.values("certainty"), sent.values("kernel.reason")) == ({certainty}, {reason})
    assert sent.values("owner.pid") == ({server.pid} if reason == "TCP_FLAGS" else {None})


def test_made_up_segments_that_meet_silence(watch: Watch, pair: Pair) -> None:
    """FINs and nothing at all to an open port: not a word."""
    with Actor(pair.b, "server") as server:
        server.listen(OPEN)
        for options in (("-F", "-p", str(OPEN)), ("-p", str(OPEN)), ("-U", "-F", "-P", "-p", str(OPEN))):
            assert hping3(pair, *options) == SEGMENTS
        told = tellings(watch, pair)
    assert not told(pair.b, "sent")


def test_spoofed_syns_are_a_closed_port_each(watch: Watch, pair: Pair) -> None:
    """hping3 --rand-source: a reset to each address; those that no host can have are not answered."""
    answer_everyone(pair)
    arrived = hping3(pair, "-S", "--rand-source", "-p", str(CLOSED))
    told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.causes == {"closed-port": len(sent)}
    assert SEGMENTS // 2 < len(sent) <= arrived <= SEGMENTS
    assert len(sent.values("dst")) > 1
    assert sent.values("owner.pid") == {None}
