"""Hosts are unnamed network namespaces, held open by a descriptor; a Pair is two of them joined by a veth.

Nothing has a name under /run/netns: when this process ends, however it ends, its descriptors close and the kernel
takes the namespaces, their devices, rules and settings away.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Literal, Self

from tests.hosts.actor_process import PATIENCE, STATES
from whyreset.demo import namespaces

SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h; not in Python 3.11
INTERFACE = "eth0"
ADDRESSES = {("a", 4): "192.0.2.1", ("b", 4): "192.0.2.2", ("a", 6): "2001:db8:77::1", ("b", 6): "2001:db8:77::2"}
HARDWARE = {"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b"}

_table_numbers = count(1)


def await_true(condition: Callable[[], bool], what: str, timeout: float = 5.0) -> None:
    """Ask until the condition holds; TimeoutError after so many seconds."""
    deadline = time.monotonic() + timeout * PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.001)


@dataclass(frozen=True)
class Finished:
    """A command that has ended inside a host."""

    pid: int
    code: int
    out: str
    err: str


class Host:
    """One network namespace with its loopback up.

    A host lives until `close()` or the end of this process. Only the calling thread ever changes its namespace, and
    only for the length of a call, so hosts may be used from any thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.descriptor = namespaces.make()
        self.inode = os.fstat(self.descriptor).st_ino
        with self.inside(), socket.socket() as probe:
            self.cookie = int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")
        self.run("ip", "link", "set", "lo", "up")

    def __repr__(self) -> str:
        return f"Host({self.name}, netns {self.inode})"

    def close(self) -> None:
        """Let go of the namespace; it ends with the last process or socket that is still in it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Put the calling thread into this host for the length of the block; children started in it stay there."""
        with namespaces.inside(self.descriptor):
            yield

    def start(self, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start a command inside; it is killed when the thread that started it ends."""
        argv = ["setpriv", "--pdeathsig", "KILL", *command]
        with self.inside():
            return subprocess.Popen(argv, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def run(self, *command: str, text: str = "", timeout: float = 20.0, check: bool = True) -> Finished:
        """Run a command inside to its end, with `text` as its input; timeout in seconds.

        Raises subprocess.TimeoutExpired (the command is killed) and, with `check`, CalledProcessError with its output.
        """
        pipe = subprocess.PIPE
        with self.start(*command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            try:
                out, err = process.communicate(text, timeout * PATIENCE)
            except BaseException:
                process.kill()
                raise
        if check and process.returncode:
            error = subprocess.CalledProcessError(process.returncode, command, out, err)
            error.add_note(out + err)
            raise error
        return Finished(process.pid, process.returncode, out, err)

    def sysctl(self, key: str, value: int | str) -> None:
        """Set a setting of this host, for example `sysctl("net.ipv4.tcp_abort_on_overflow", 1)`."""
        with self.inside(), open(f"/proc/sys/{key.replace('.', '/')}", "w") as setting:
            setting.write(str(value))

    def nft(self, rules: str) -> None:
        """Load nftables rules; they end with the host."""
        self.run("nft", "-f", "-", text=rules)

    @contextmanager
    def dropping(self, hook: Literal["input", "output"], match: str = "meta l4proto tcp") -> Iterator[None]:
        """Drop the segments on the wire that match (nft words, IPv4 and IPv6 alike) for the length of the block."""
        table = f"inet dropping{next(_table_numbers)}"
        wire = f'{"iifname" if hook == "input" else "oifname"} "{INTERFACE}"'
        self.nft(f"table {table} {{ chain drops {{ type filter hook {hook} priority 0; {wire} {match} drop; }}; }}")
        try:
            yield
        finally:
            self.nft(f"delete table {table}")

    def counters(self) -> dict[str, int]:
        """Read the TCP counters of this host (Tcp, TcpExt and MPTcpExt of /proc/net/snmp and netstat) by name."""
        counters: dict[str, int] = {}
        with self.inside():
            for name in ("snmp", "netstat"):
                with open(f"/proc/thread-self/net/{name}") as file:
                    lines = file.read().splitlines()
                for names, values in zip(lines[::2], lines[1::2], strict=True):
                    if names.startswith(("Tcp:", "TcpExt:", "MPTcpExt:")):
                        counters.update(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
        return counters

    def tcp_states(self, port: int) -> list[str]:
        """The states of the sockets with this local port, mini sockets included (FIN_WAIT2, TIME_WAIT, SYN_RECV)."""
        return [STATES[int(row[3], 16)] for row in self._sockets() if int(row[1].rpartition(":")[2], 16) == port]

    def unread(self) -> int:
        """How many bytes lie unread in all connections of this host."""
        queues = [row[4].partition(":")[2] for row in self._sockets() if STATES[int(row[3], 16)] != "LISTEN"]
        return sum(int(queue, 16) for queue in queues)

    def _sockets(self) -> list[list[str]]:
        rows = []
        with self.inside():
            for name in ("tcp", "tcp6"):
                with open(f"/proc/thread-self/net/{name}") as file:
                    rows += [line.split() for line in file.readlines()[1:]]
        return rows

    def await_states(self, port: int, state: str, count: int = 1) -> None:
        """Wait until exactly so many sockets with this local port are in a state."""
        await_true(lambda: self.tcp_states(port).count(state) == count, f"{count} {state} at port {port} of {self!r}")

    def await_counter(self, name: str, value: int) -> None:
        """Wait until a TCP counter of this host has reached a value."""
        await_true(lambda: self.counters()[name] >= value, f"{name} {value} of {self!r}")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket of this process inside the host."""
        with self.inside():
            return socket.socket(family, kind, protocol)


def await_datagram(sender: Host, receiver: Host, address: str) -> None:
    """Send datagrams until one arrives at the receiver's address: a veth that is up may still drop the first ones.

    Raises TimeoutError when none of 300 does.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with receiver.socket(family, socket.SOCK_DGRAM) as inbox, sender.socket(family, socket.SOCK_DGRAM) as outbox:
        inbox.bind((address, 0))
        inbox.settimeout(0.01)
        for _ in range(300):
            with suppress(OSError):  # the way there may not be up yet
                outbox.sendto(b"up?", inbox.getsockname()[:2])
            with suppress(TimeoutError):
                inbox.recv(8)
                return
    raise TimeoutError(f"{sender.name} does not reach {receiver.name} at {address}")


def wire(host: Host, hardware: str, other: Host, name: str, other_hardware: str) -> None:
    """Lay a wire: a host's interface, and its other end in another host, by that name there."""
    other_end = f"/proc/{os.getpid()}/fd/{other.descriptor}"
    host.run(
        *f"ip link add {INTERFACE} address {hardware} type veth".split(),
        *f"peer name {name} address {other_hardware} netns {other_end}".split(),
    )


def settle(host: Host, address: str, address6: str) -> None:
    """Give a host's interface its addresses, and put it up."""
    lines = (
        f"addr add {address}/24 dev {INTERFACE}",
        f"addr add {address6}/64 dev {INTERFACE} nodad",
        f"link set {INTERFACE} up",
    )
    host.run("ip", "-batch", "-", text="\n".join(lines))


class Pair:
    """Two hosts on one wire: `a`, by custom the client, and `b`, the server. Datagrams already pass both ways."""

    _addresses: Mapping[tuple[str, int], str] = ADDRESSES

    def __init__(self) -> None:
        self.a = Host("a")
        self.b = Host("b")
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def address(self, host: Host, version: int) -> str:
        """The address of one of the two hosts, for IP version 4 or 6."""
        return self._addresses[host.name, version]

    def peer(self, host: Host) -> Host:
        """The other host."""
        return self.b if host is self.a else self.a

    def close(self) -> None:
        """Let go of both hosts."""
        self.a.close()
        self.b.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _join(self) -> None:
        wire(self.a, HARDWARE["a"], self.b, INTERFACE, HARDWARE["b"])
        for host in (self.a, self.b):
            settle(host, self.address(host, 4), self.address(host, 6))
        self._greet(HARDWARE)

    def _greet(self, hardware: Mapping[str, str]) -> None:
        for host in (self.a, self.b):
            # Permanent neighbours: no ARP or neighbour discovery gets in a case's way.
            peer = self.peer(host)
            link = f"lladdr {hardware[peer.name]} nud permanent dev {INTERFACE}"
            lines = (f"neigh replace {self.address(peer, version)} {link}" for version in (4, 6))
            host.run("ip", "-batch", "-", text="\n".join(lines))
        for version in (4, 6):
            await_datagram(self.a, self.b, self.address(self.b, version))
            await_datagram(self.b, self.a, self.address(self.a, version))


class Guest(Pair):
    """A client on a switch, and the server there."""

    def __init__(self, switch: "Switch", number: int) -> None:
        hardware = {**HARDWARE, "a": f"02:00:00:00:01:{number:02x}"}
        self._addresses = {**ADDRESSES, ("a", 4): f"192.0.2.{number}", ("a", 6): f"2001:db8:77::{number:x}"}
        self.a, self.b = Host("a"), switch.b
        try:
            switch.plug(self.a, hardware["a"])
            settle(self.a, self.address(self.a, 4), self.address(self.a, 6))
            self._greet(hardware)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the client; the server stays."""
        self.a.close()


class Switch:
    """One server, `b`, and the switch by which many clients reach it."""

    def __init__(self) -> None:
        self.b = Host("b")
        self._bridge = Host("switch")
        self._plugged = count(1)
        try:
            self._bridge.run("ip", "link", "add", "bridge", "type", "bridge")
            self._bridge.run("ip", "link", "set", "bridge", "up")
            self.plug(self.b, HARDWARE["b"])
            settle(self.b, ADDRESSES["b", 4], ADDRESSES["b", 6])
        except BaseException:
            self.close()
            raise

    def plug(self, host: Host, hardware: str) -> None:
        """Give a host an interface, with a wire to the switch."""
        number = next(self._plugged)
        port = f"port{number}"
        wire(host, hardware, self._bridge, port, f"02:00:00:00:02:{number:02x}")
        self._bridge.run("ip", "link", "set", port, "master", "bridge", "up")

    def close(self) -> None:
        """Let go of the server and of the switch."""
        self.b.close()
        self._bridge.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
