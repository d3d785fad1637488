"""The packet source on real interfaces: what comes, with what is said beside it, and what is lost."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.packets import IP, VLAN, ethernet, ipv4, ipv6, tcp
from tests.core.taps import BLOCK, block, packet
from tests.hosts import Host, Pair
from tests.hosts.hosts import await_true
from whyreset.core.taps import Listing, Tap
from whyreset.sources.base import SourceError
from whyreset.sources.packets import Packets, Wanted

OUTGOING, TO_US, TO_OTHERS = 4, 0, 3
ETHERNET, IPV4_ALONE = 1, 228
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
RESET = ethernet(ipv4(tcp("R")))


class Reading:
    """A source in a host, and what it brought."""

    def __init__(self, host: Host, **settings: object) -> None:
        self.source = Packets(**settings)  # type: ignore[arg-type]
        self.listing = Listing(4096)
        with host.inside():
            self.source.start()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    def frames(self, count: int) -> list[tuple[int, int, int, int, int, bytes, int | None]]:
        """The first so many packets, when that many have come."""

        def come() -> bool:
            self.source.drain([self.listing])
            return len(self.listing.frames) >= count

        await_true(come, f"{count} packets")
        return self.listing.frames


def sender(host: Host, interface: str = "eth0") -> socket.socket:
    """Frames that are sent by it leave as they stand."""
    made = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
    made.bind((interface, 0))
    return made


def test_a_packet_comes_with_all_that_is_known_of_it(pair: Pair) -> None:
    """Its time to the nanosecond, interface, direction, link type, and bytes; at its sender and its receiver."""
    with Reading(pair.a) as a, Reading(pair.b) as b, sender(pair.a) as wire:
        before = time.time_ns()
        wire.send(RESET)
        (here,), (there,) = a.frames(1), b.frames(1)
        after = time.time_ns()
        assert before <= here[0] <= there[0] <= after
        assert (here[2], there[2]) == (OUTGOING, TO_OTHERS)
        assert here[3:] == there[3:] == (ETHERNET, len(RESET), RESET, None)
        assert b.source.interface(there[1], time.monotonic_ns()) == "eth0"
        assert (b.source.netns, b.source.cookie) == (pair.b.inode, pair.b.cookie)


def test_a_packet_is_cut_to_the_snap_length_and_its_length_is_still_known(pair: Pair) -> None:
    """What privacy and room ask for."""
    with Reading(pair.b, snap_bytes=60) as b, sender(pair.a) as wire:
        long = ethernet(ipv4(tcp("R", payload=bytes(1000))))
        wire.send(long)
        assert b.frames(1)[0][4:6] == (len(long), long[:60])


def test_a_segment_of_64_kilobytes_fits(pair: Pair) -> None:
    """Devices that cut segments themselves show them whole."""
    with Reading(pair.b, wanted=Wanted(everything=True), snap_bytes=1 << 16) as b:
        with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("192.0.2.2", 8080))
            listener.listen()
            with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.connect(("192.0.2.2", 8080))
                accepted, _ = listener.accept()
                with accepted:
                    sending = threading.Thread(target=client.sendall, args=(bytes(1 << 20),), daemon=True)
                    sending.start()
                    left = 1 << 20
                    while left:
                        left -= len(accepted.recv(1 << 20))
                    sending.join()
        assert max(length for *_, length, _, _ in b.frames(10)) > 20_000
        assert b.source.count_dropped() == 0


def test_a_tag_that_the_device_took_off_is_told_beside_the_packet(pair: Pair) -> None:
    """And the packet is as it would be without one."""
    with Reading(pair.b) as b, sender(pair.a) as wire:
        wire.send(ethernet(struct.pack(">HH", 7, IP) + ipv4(tcp("R")), VLAN))
        (_, _, _, link, length, data, tag) = b.frames(1)[0]
        assert (link, length, data, tag) == (ETHERNET, len(RESET), RESET, 7)


def test_a_device_without_link_header_shows_ip_alone(machine: None) -> None:
    """A tunnel's, for one: whatever its link header may be, IP is found."""
    with Host("a") as host:
        with host.inside():
            try:
                device = os.open("/dev/net/tun", os.O_RDWR)
            except OSError:
                pytest.skip("this machine lacks tun devices")
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        host.run("ip", "link", "set", "tun0", "up")
        with Reading(host) as reading:
            for packet in (ipv4(tcp("R")), ipv4(tcp("A")), ipv6(tcp("F"))):
                os.write(device, packet)
            assert [(frame[3], frame[5]) for frame in reading.frames(2)] == [
                (IPV4_ALONE, ipv4(tcp("R"))),
                (IPV4_ALONE + 1, ipv6(tcp("F"))),
            ]
        os.close(device)


def test_interfaces_come_and_go_and_change_their_names(pair: Pair) -> None:
    """A later one is heard as well, and called by its newest name; what is gone has none."""
    with Reading(pair.b) as b:
        pair.b.run("ip", "link", "add", "dev", "later", "type", "veth", "peer", "name", "end")
        for name in ("later", "end"):
            pair.b.run("ip", "link", "set", name, "up")
        with sender(pair.b, "end") as wire:
            await_true(lambda: wire.send(RESET) > 0, "a way")
            index = next(each[1] for each in b.frames(2) if each[2] != OUTGOING)
        assert b.source.interface(index, 0) == "later"
        pair.b.run("ip", "link", "set", "later", "down")
        pair.b.run("ip", "link", "set", "later", "name", "other")
        assert b.source.interface(index, 500_000_000) == "later"
        assert b.source.interface(index, 1_500_000_000) == "other"
        pair.b.run("ip", "link", "del", "other")
        assert b.source.interface(index, 3_000_000_000) == ""
        with sender(pair.a) as wire:
            wire.send(RESET)
        assert len(b.frames(len(b.listing.frames) + 1)) >= 3


def test_armed_more_passes_and_disarmed_less_again(pair: Pair) -> None:
    """Beginnings, ends and resets pass always."""
    ordinary = ethernet(ipv4(tcp("A", sport=80)))
    with Reading(pair.b) as b, sender(pair.a) as wire:
        wire.send(ordinary)
        b.source.want(Wanted(ports=(80,)))
        wire.send(ordinary)
        b.source.want(Wanted())
        wire.send(ordinary)
        wire.send(RESET)
        assert [frame[5] for frame in b.frames(2)] == [ordinary, RESET]


def test_what_finds_no_room_is_counted(pair: Pair) -> None:
    """A ring that nobody drains is full after a while; what was in it is still read."""
    with Reading(pair.b, block_bytes=4096, blocks=2) as b, sender(pair.a) as wire:
        for _ in range(500):
            wire.send(RESET)
        b.frames(10)
        dropped = b.source.count_dropped()
        assert dropped > 300
        assert b.source.count_dropped() == 0
        assert b.source.losses()["packets-lost"][0] == dropped
        b.source.drain([b.listing])
        assert len(b.listing.frames) + dropped == 500


def test_the_namespace_may_be_another_one(pair: Pair) -> None:
    """It is named by a path, and entered only to open the socket."""
    path = f"/proc/{os.getpid()}/fd/{pair.b.descriptor}"
    home = os.stat("/proc/thread-self/ns/net").st_ino
    source, listing = Packets(path=path), Listing()
    source.start()
    assert os.stat("/proc/thread-self/ns/net").st_ino == home
    with sender(pair.a) as wire:
        wire.send(RESET)
    await_true(lambda: source.drain([listing]) > 0, "a packet")
    assert (listing.frames[0][5], source.netns) == (RESET, pair.b.inode)
    source.close()
    source.close()


def test_no_interface_becomes_promiscuous(pair: Pair) -> None:
    """Its flags and its counter of those who asked for that stay."""

    def flags() -> str:
        return pair.b.run("ip", "-d", "link", "show", "eth0").out.partition("promiscuity")[2][:4]

    before = flags()
    with Reading(pair.b):
        assert flags() == before


def test_several_sinks_each_get_every_packet(pair: Pair) -> None:
    """The ring is read once."""
    second = Listing()
    with Reading(pair.b) as b, sender(pair.a) as wire:
        wire.send(RESET)
        await_true(lambda: b.source.drain([b.listing, second]) > 0, "a packet")
        assert second.frames == b.listing.frames
        assert [each[5] for each in second.frames] == [RESET]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has the system refuse packet sockets with an error."""

    def by(number: int) -> None:
        def open_socket(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("whyreset.sources.packet_socket.socket.socket", open_socket)
        monkeypatch.setattr("whyreset.sources.packet_socket.diag.here", lambda: (1, 1))

    return by


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "without CAP_NET_RAW"),
        (errno.EAFNOSUPPORT, "this kernel has no packet sockets"),
        (errno.EMFILE, "cannot open a packet socket: Too many open files"),
    ],
)
def test_what_stands_in_the_way_is_said_in_a_sentence(refuse: Callable[[int], None], number: int, words: str) -> None:
    """What is wrong, and what to do."""
    refuse(number)
    missing = Packets().can_run()
    assert missing is not None
    assert words in missing.why
    assert missing.source == "packets"
    with pytest.raises(SourceError, match=words.partition(":")[0]):
        Packets().start()


def test_a_namespace_that_is_not_there_is_said(machine: None) -> None:
    """A person may have mistyped it."""
    missing = Packets(path="/run/netns/nowhere").can_run()
    assert missing is not None
    assert "/run/netns/nowhere" in missing.why


def test_only_sinks_take_packets(pair: Pair) -> None:
    """Anything else is refused before a packet is touched."""
    with Reading(pair.b) as b, pytest.raises(TypeError):
        b.source.drain([object()])  # type: ignore[list-item]


# ---- blocks that no kernel writes: a file stands for the ring ----


def read(tmp_path: Path, content: bytes) -> tuple[list[bytes], int]:
    """The packets that are found in one block, and how many were not understood."""
    path = tmp_path / "ring"
    path.write_bytes(content)
    with path.open("r+b") as file:
        tap, listing = Tap(file.fileno(), BLOCK, 1), Listing()
        tap.drain([listing])
    return [frame[5] for frame in listing.frames], tap.misread


def test_a_block_is_read_and_given_back(tmp_path: Path) -> None:
    """Its packets come in order."""
    assert read(tmp_path, block(packet(b"one"), packet(b"two", follows=0))) == ([b"one", b"two"], 0)
    assert struct.unpack_from("=I", (tmp_path / "ring").read_bytes(), 8) == (0,)


@pytest.mark.parametrize(
    "content",
    [
        block(packet(b"x"), count=1 << 31, first=BLOCK),
        block(packet(b"x"), first=BLOCK - 8),
        block(packet(b"x"), first=49),
        block(packet(b"x", mac=65535, follows=96)[:96]),
        block(packet(b"x", snap=1 << 31)),
        block(packet(b"x", follows=1 << 31)),
    ],
)
def test_what_cannot_be_is_not_read(tmp_path: Path, content: bytes) -> None:
    """No length that stands in a block is believed."""
    found, misread = read(tmp_path, content)
    assert found == []
    assert misread >= 1


def test_packets_that_a_block_announces_and_does_not_have_are_counted(tmp_path: Path) -> None:
    """The rest of the block is left alone."""
    assert read(tmp_path, block(packet(b"x", follows=0), count=3)) == ([b"x"], 2)
