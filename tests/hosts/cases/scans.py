"""Port scans by nmap and floods by hping3: port 8080 is open, 8082 and 4444 are closed.

The flags of the trigger tell the kinds of scan apart; the kernel's reason alone does not.
"""

from collections.abc import Callable, Iterator

from tests.hosts.cases.model import ANY, Case, Expected, Process, Stage, but, sent, twins

OPEN, CLOSED, FLOODED = 8080, 8082, 4444
FLOOD = 100


def _nmap(stage: Stage, kind: str) -> int:
    """Scan both ports of host b; nmap's pid."""
    stage.listen(OPEN)
    options = ["-n", "-Pn", f"-{kind}", "--max-retries", "0", "--host-timeout", "10s", "-p", f"{OPEN},{CLOSED}"]
    options.append("--send-ip")  # else it looks for its neighbour itself, in which a link so young fails over IPv6
    return stage.a.run("nmap", *options, *(["-6"] if stage.v6 else []), stage.address_b).pid


def connect_scan(stage: Stage) -> Iterator[Expected]:
    """nmap -sT connects, and aborts what opened."""
    pid = _nmap(stage, "sT")
    closed = sent(stage.b, "closed-port", CLOSED, "NO_SOCKET", trigger="S", owner=None)
    yield from twins(closed, stage.a, ANY, pid)
    opened = sent(stage.a, "linger-zero", ANY, "TCP_STATE", trigger=None, owner=pid, state="ESTABLISHED")
    yield from twins(but(opened, closer=pid), stage.b, OPEN, stage.server.pid)


def syn_scan(stage: Stage) -> Iterator[Expected]:
    """nmap -sS sends SYNs from a raw socket; its own kernel resets the SYN-ACK."""
    _nmap(stage, "sS")
    yield sent(stage.b, "closed-port", CLOSED, "NO_SOCKET", trigger="S", owner=None)
    yield sent(stage.a, "unsolicited-syn-ack", ANY, "NO_SOCKET", trigger="SA", owner=None)


def flag_scan(kind: str, trigger: str) -> Callable[[Stage], Iterator[Expected]]:
    """nmap -sF, -sX, -sN: flags that no stack sends; an open port drops them."""

    def provoke(stage: Stage) -> Iterator[Expected]:
        _nmap(stage, kind)
        yield sent(stage.b, "scan-probe", CLOSED, "NO_SOCKET", trigger=trigger, owner=None)

    return provoke


def acknowledging_scan(kind: str, trigger: str) -> Callable[[Stage], Iterator[Expected]]:
    """nmap -sA, -sW, -sM: segments as a stack sends them in a connection, but there is none."""

    def provoke(stage: Stage) -> Iterator[Expected]:
        _nmap(stage, kind)
        yield _stray(stage, CLOSED, "NO_SOCKET", trigger, None)
        yield _stray(stage, OPEN, "TCP_FLAGS", trigger, stage.server.pid)

    return provoke


def _stray(stage: Stage, port: int, reason: str, trigger: str, owner: Process) -> Expected:
    return but(sent(stage.b, "stray-segment", port, reason, trigger=trigger, owner=owner), certainty="likely")


def _hping(stage: Stage, port: int, *flags: str) -> None:
    """Send FLOOD segments to a port of host b within a quarter of a second; hping3 speaks IPv4 only."""
    arrived = stage.b.counters()["InSegs"]
    pace = ["-q", "-i", "u2000", "-c", str(FLOOD), "-p", str(port)]
    stage.a.run("hping3", *pace, *flags, stage.address_b, check=False)  # it exits with 1 when nothing answers
    stage.b.await_counter("InSegs", arrived + FLOOD)


def syn_flood_closed(stage: Stage) -> Iterator[Expected]:
    """SYNs to a closed port."""
    _hping(stage, FLOODED, "-S")
    yield but(sent(stage.b, "closed-port", FLOODED, "NO_SOCKET", trigger="S", owner=None), count=FLOOD)


def syn_flood_open(stage: Stage) -> Iterator[Expected]:
    """SYNs to an open port; the sender's own kernel resets each SYN-ACK."""
    stage.listen(OPEN, backlog=128)
    _hping(stage, OPEN, "-S")
    yield but(sent(stage.a, "unsolicited-syn-ack", ANY, "NO_SOCKET", trigger="SA", owner=None), count=FLOOD)


def ack_flood_open(stage: Stage) -> Iterator[Expected]:
    """ACKs to an open port."""
    stage.listen(OPEN)
    _hping(stage, OPEN, "-A")
    yield but(_stray(stage, OPEN, "TCP_FLAGS", "A", stage.server.pid), count=FLOOD)


def ack_flood_closed(stage: Stage) -> Iterator[Expected]:
    """ACKs to a closed port."""
    _hping(stage, FLOODED, "-A")
    yield but(_stray(stage, FLOODED, "NO_SOCKET", "A", None), count=FLOOD)


def reset_flood(stage: Stage) -> Iterator[Expected]:
    """Resets to a closed port: nothing answers a reset."""
    _hping(stage, FLOODED, "-R")
    yield from ()


def fin_flood(stage: Stage) -> Iterator[Expected]:
    """FINs with ACK to a closed port."""
    _hping(stage, FLOODED, "-F", "-A")
    yield but(_stray(stage, FLOODED, "NO_SOCKET", "FA", None), count=FLOOD)


CASES = (
    Case("12sT", "nmap -sT", connect_scan, needs=("nmap",)),
    Case("12sS", "nmap -sS", syn_scan, needs=("nmap",)),
    Case("12sF", "nmap -sF", flag_scan("sF", "F"), needs=("nmap",)),
    Case("12sX", "nmap -sX", flag_scan("sX", "FPU"), needs=("nmap",)),
    Case("12sN", "nmap -sN", flag_scan("sN", ""), needs=("nmap",)),
    Case("12sA", "nmap -sA", acknowledging_scan("sA", "A"), needs=("nmap",)),
    Case("12sW", "nmap -sW", acknowledging_scan("sW", "A"), needs=("nmap",)),
    Case("12sM", "nmap -sM", acknowledging_scan("sM", "FA"), needs=("nmap",)),
    Case("13a", "hping3 SYN flood, closed port", syn_flood_closed, versions=(4,), needs=("hping3",)),
    Case("13b", "hping3 SYN flood, open port", syn_flood_open, versions=(4,), needs=("hping3",)),
    Case("13c", "hping3 ACK flood, open port", ack_flood_open, versions=(4,), needs=("hping3",)),
    Case("13d", "hping3 ACK flood, closed port", ack_flood_closed, versions=(4,), needs=("hping3",)),
    Case("13e", "hping3 RST flood, closed port", reset_flood, versions=(4,), needs=("hping3",)),
    Case("13f", "hping3 FIN+ACK flood, closed port", fin_flood, versions=(4,), needs=("hping3",)),
)
