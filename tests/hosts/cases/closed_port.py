"""Closed ports, listeners that died, firewalls that answer in their place, and connects that meet silence."""

from collections.abc import Iterator
from contextlib import suppress
from subprocess import CalledProcessError

from tests.hosts.actor import Actor
from tests.hosts.cases.model import Case, Expected, Missing, Stage, but, sent, twins

REJECT_8080 = ("-A", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "REJECT", "--reject-with", "tcp-reset")
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


def closed(stage: Stage) -> Iterator[Expected]:
    """A SYN comes for a port on which nobody ever listened."""
    port_a = stage.refused(4444)
    reset = sent(stage.b, "closed-port", 4444, "NO_SOCKET", trigger="S", owner=None)
    yield from twins(reset, stage.a, port_a, stage.client.pid)


def loopback(stage: Stage) -> Iterator[Expected]:
    """Both ends are on one host."""
    attempt = stage.server.socket(v6=stage.v6)
    attempt.bind(0)
    port = attempt.port
    try:
        attempt.connect(LOOPBACK[stage.version], 4447)
    except ConnectionRefusedError:
        reset = sent(stage.b, "closed-port", 4447, "NO_SOCKET", trigger="S", owner=None)
        yield from twins(reset, stage.b, port, stage.server.pid)


def _listener_dies(stage: Stage, port: int, victim: Actor, status: int) -> Iterator[Expected]:
    unaccepted = stage.queue(port)[0]
    ended = victim.crash() if status < 0 else victim.exit(status)
    assert ended == status, f"the victim ended with {ended}"
    reset = sent(stage.b, "not-accepted", port, "TCP_STATE", trigger=None, owner=victim.pid, state="ESTABLISHED")
    yield from twins(but(reset, closer=victim.pid), stage.a, unaccepted.port, stage.client.pid)
    former = {"owner.alive": False, "owner.via": "former listener"}
    for _ in range(3):
        reset = sent(stage.b, "closed-port", port, "NO_SOCKET", trigger="S", owner=victim.pid)
        yield from twins(but(reset, keys=former), stage.a, stage.refused(port), stage.client.pid)


def listener_crashed(stage: Stage) -> Iterator[Expected]:
    """The listener dies of SIGSEGV with a connection unaccepted; then SYNs come."""
    victim = stage.actor(stage.b, "crasher")
    stage.listen(8204, actor=victim)
    yield from _listener_dies(stage, 8204, victim, -11)


def listener_exited(stage: Stage) -> Iterator[Expected]:
    """The listener exits with code 3 with a connection unaccepted; then SYNs come."""
    victim = stage.actor(stage.b, "exiter")
    stage.listen(8205, actor=victim)
    yield from _listener_dies(stage, 8205, victim, 3)


def _rejected(stage: Stage) -> Iterator[Expected]:
    """The firewall's answer looks like a closed port's; the listener's own kernel neither counts nor traces it."""
    port_a = stage.refused(8080)
    reset = Expected("a", "received", "closed-port", port_a, owner=stage.client.pid, certainty="likely")
    yield but(reset, candidates=frozenset({"closed-port", "firewall-reject"}))


def _nft_reject(stage: Stage, hook: str, port: str) -> None:
    chain = f"type filter hook {hook} priority 0; tcp {port} 8080 reject with tcp reset;"
    try:
        stage.b.nft(f"table inet f {{ chain c {{ {chain} }}; }}")
    except CalledProcessError as error:
        raise Missing("reject in nftables (CONFIG_NFT_REJECT_INET)") from error


def nft_rejects(stage: Stage) -> Iterator[Expected]:
    """A rule of nftables answers SYNs for an open port with resets."""
    stage.listen(8080)
    _nft_reject(stage, "input", "dport")
    yield from _rejected(stage)


def iptables_rejects(stage: Stage) -> Iterator[Expected]:
    """The same by the older iptables."""
    stage.listen(8080)
    command = "ip6tables-legacy" if stage.v6 else "iptables-legacy"
    try:
        stage.b.run(command, *REJECT_8080)
    except CalledProcessError as error:
        raise Missing("REJECT in iptables (CONFIG_IP_NF_TARGET_REJECT, CONFIG_IP6_NF_TARGET_REJECT)") from error
    yield from _rejected(stage)


def output_rejected(stage: Stage) -> Iterator[Expected]:
    """An output rule resets the host's own socket; nothing is on the wire."""
    _, _, server = stage.converse()
    _nft_reject(stage, "output", "sport")
    server.send(b"x")
    server.await_state("CLOSE")
    yield Expected("b", "received", "unknown", 8080, owner=stage.server.pid, certainty="unknown")


def black_hole(stage: Stage) -> Iterator[Expected]:
    """Nobody answers the SYN: the connect times out without any reset."""
    _few_syns(stage)
    with stage.b.dropping("input"):
        _times_out(stage, stage.address_b)
    yield from ()


def no_neighbour(stage: Stage) -> Iterator[Expected]:
    """Nobody has the address: the connect times out without any reset."""
    _few_syns(stage)
    _times_out(stage, "2001:db8:77::99" if stage.v6 else "192.0.2.99")
    yield from ()


def _few_syns(stage: Stage) -> None:
    stage.a.sysctl("net.ipv4.tcp_syn_retries", 1)
    with suppress(FileNotFoundError):  # since 6.5
        stage.a.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)


def _times_out(stage: Stage, address: str) -> None:
    attempt = stage.client.connect(address, 4445, wait=False)
    assert attempt.await_error(), "the connect failed"


CASES = (
    Case("01", "SYN to a closed port", closed),
    Case("11d", "listener dies of SIGSEGV, then SYNs", listener_crashed),
    Case("11e", "listener exits with code 3, then SYNs", listener_exited),
    Case("14a", "nftables rejects with tcp-reset", nft_rejects),
    Case("14b", "iptables rejects with tcp-reset", iptables_rejects, needs=("iptables-legacy", "ip6tables-legacy")),
    Case("14c", "nftables rejects in OUTPUT: the reset goes to the local socket", output_rejected),
    Case("15b", "connect into a black hole", black_hole),
    Case("15c", "connect to an address that nobody has", no_neighbour),
    Case("17d", "SYN to a closed port over loopback", loopback),
)
