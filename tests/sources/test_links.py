"""Names of interfaces over time, as rtnetlink tells them."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests import needs
from tests.hosts import Host
from tests.hosts.hosts import await_true
from whyreset.sources.links import LINKS_MAX, NAMES_MAX, Links

NEWLINK, DELLINK = 16, 17


def told(index: int, name: bytes, kind: int = NEWLINK) -> bytes:
    """One message: a header, struct ifinfomsg, another attribute, and the name."""
    attributes = b"".join(
        struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
        for number, value in ((1, b"\2\0\0\0\0\n"), (3, name + b"\0"))
    )
    size = 32 + len(attributes)
    return struct.pack("=IHHII", size, kind, 0, 0, 0) + struct.pack("=BBHiII", 0, 0, 1, index, 0, 0) + attributes


def test_each_name_holds_for_its_time() -> None:
    """What was there before has its name from the beginning; what goes keeps its last one."""
    links = Links()
    links.learn(told(2, b"eth0") + told(3, b"veth1"), 0)
    links.learn(told(2, b"lan0"), 100)
    links.learn(told(3, b"veth1", DELLINK), 150)
    links.learn(told(7, b"brief"), 200)
    assert [links.name(2, at) for at in (0, 99, 100, 1000)] == ["eth0", "eth0", "lan0", "lan0"]
    assert [links.name(3, at) for at in (0, 1000)] == ["veth1", "veth1"]
    # its first packet may be older than what was told of it
    assert [links.name(7, at) for at in (0, 300)] == ["brief", "brief"]
    assert links.name(8, 0) == ""


def test_what_is_remembered_is_bounded() -> None:
    """Interfaces without end, and one that is renamed without end."""
    links = Links()
    for index in range(LINKS_MAX + 10):
        links.learn(told(index, b"x"), index)
    for number in range(100):
        links.learn(told(5000, b"n%d" % number), number)
    assert len(links._names) == LINKS_MAX
    assert len(links._names[5000]) == NAMES_MAX
    assert links.name(5000, 1 << 60) == "n99"


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_read(data: bytes, cut: int) -> None:
    """Sizes that lie are not believed."""
    links = Links()
    links.learn(data, 1)
    links.learn((told(2, b"eth0") + data)[:cut], 2)
    links.learn(struct.pack("=IHHII", 16 + len(data), NEWLINK, 0, 0, 0) + data, 3)


def test_a_real_namespace_tells_of_changes() -> None:
    """An interface that comes, is renamed and goes."""
    needs.root()
    with Host("a") as host:
        with host.inside():
            links = Links()
            links.start()
        host.run("ip", "link", "add", "one", "type", "dummy", check=False)
        if host.run("ip", "link", "show", "one", check=False).code:
            host.run("ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
        index = int(host.run("ip", "-o", "link", "show", "one").out.split(":")[0])
        assert links.name(1, 0) == "lo"

        def at(moment: int) -> str:
            links.drain(moment)
            return links.name(index, moment)

        await_true(lambda: at(10) == "one", "its name")
        host.run("ip", "link", "set", "one", "name", "other")
        await_true(lambda: at(20) == "other", "its new name")
        host.run("ip", "link", "del", "other")
        links.drain(30)
        assert [links.name(index, moment) for moment in (10, 20, 30)] == ["one", "other", "other"]
        links.close()
