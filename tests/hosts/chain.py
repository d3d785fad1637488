"""Three hosts in a row: `a`, by custom the client, `middle`, which forwards or relays, and `b`, the server."""

import os
from collections.abc import Mapping

from tests.hosts.hosts import INTERFACE, Host, Pair, await_datagram

ADDRESSES = {"a": "192.0.2.1", "b": "198.51.100.2"}
MIDDLE = {"a": "192.0.2.254", "b": "198.51.100.254"}


class Chain(Pair):
    """`a` and `b` reach each other only through `middle` (IPv4); datagrams already pass both ways."""

    _addresses: Mapping[tuple[str, int], str] = {(name, 4): address for name, address in ADDRESSES.items()}

    def __init__(self) -> None:
        self.a, self.middle, self.b = Host("a"), Host("middle"), Host("b")
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the hosts."""
        for host in (self.a, self.middle, self.b):
            host.close()

    def _join(self) -> None:
        for host in (self.a, self.b):
            device, there = f"to-{host.name}", f"/proc/{os.getpid()}/fd/{host.descriptor}"
            self.middle.run(*f"ip link add {device} type veth peer name {INTERFACE} netns {there}".split())
            self.middle.run("ip", "addr", "add", f"{MIDDLE[host.name]}/24", "dev", device)
            self.middle.run("ip", "link", "set", device, "up")
            host.run("ip", "addr", "add", f"{ADDRESSES[host.name]}/24", "dev", INTERFACE)
            host.run("ip", "link", "set", INTERFACE, "up")
            host.run("ip", "route", "add", "default", "via", MIDDLE[host.name])
        self.middle.sysctl("net.ipv4.ip_forward", 1)
        await_datagram(self.a, self.b, ADDRESSES["b"])
        await_datagram(self.b, self.a, ADDRESSES["a"])
