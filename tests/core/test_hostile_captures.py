"""Any bytes: no capture crashes the core, makes it grow, or is read differently for the blocks in which it comes.

test_sanitized runs this file again on a core built with AddressSanitizer.
"""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.packets import (
    ETHERNET,
    NOW,
    RAW,
    analyze,
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    option,
    pcap,
    section,
    tcp,
)
from tests.core.wrappings import every
from whyreset.core.segments import SKIPPED, Analyzer
from whyreset.observation import Conversations, Observations, Problem

EVERY = tuple((link, packet) for link, packet, _ in every().values())
LINKS = st.sampled_from(sorted({link for link, _ in EVERY}))
FLAGS = st.sampled_from(["S", "SA", "A", "PA", "FA", "R", "RA", "", "F", "FPU", "SR", "FR", "SF"])
SMALL = st.integers(0, 3)
U32 = st.one_of(st.integers(0, 20), st.integers(0, (1 << 32) - 1))
Told = tuple[list[Observations], Conversations, Problem | None]


def told(data: bytes, blocks: list[int], **settings: object) -> Told:
    """All that the core tells of a file; nothing in it may be beyond JSON."""
    analyzer = analyze(data, blocks, **settings)
    out = analyzer.take(), analyzer.summary(), analyzer.problem
    assert analyzer.consumed <= len(data)
    msgspec.json.encode(out)
    check(*out[:2])
    return out


def check(found: list[Observations], totals: Conversations) -> None:
    """What must hold of every capture."""
    assert sum(each.count for each in found) == totals.resets
    assert totals.reset <= totals.connections <= totals.segments
    assert totals.complete <= totals.connections
    assert totals.reset <= totals.resets
    assert set(totals.skipped) <= set(SKIPPED)
    for each in found:
        assert each.first_ns <= each.last_ns
        assert each.sample.sender.packets + each.sample.receiver.packets <= totals.segments
        assert len(each.sample.payload) <= 128
        assert len(each.sample.history) <= 25


@st.composite
def segments(draw: st.DrawFn) -> bytes:
    """A segment between few ends, with few and with wild numbers."""
    payload = draw(st.binary(max_size=20))
    options = draw(st.binary(max_size=10)).ljust(12, b"\0") if draw(st.booleans()) else b""
    flags, seq, ack = draw(FLAGS), draw(U32), draw(U32)
    segment = tcp(flags, sport=draw(SMALL), dport=draw(SMALL), seq=seq, ack=ack, options=options, payload=payload)
    if draw(st.booleans()):
        return ipv4(segment, src=f"10.0.0.{draw(SMALL)}", dst="10.0.0.2", ttl=draw(SMALL), number=draw(SMALL))
    return ipv6(segment, src=f"2001:db8::{draw(SMALL)}")


@st.composite
def mangled(draw: st.DrawFn, link: int) -> bytes:
    """A packet in some wrapping, with a few bytes changed, taken out or put in."""
    packet = bytearray(draw(st.sampled_from([each for kind, each in EVERY if kind == link])))
    for _ in range(draw(SMALL)):
        at = draw(st.integers(0, len(packet)))
        packet[at : at + draw(SMALL)] = draw(st.binary(max_size=4))
    return bytes(packet)


@st.composite
def pcaps(draw: st.DrawFn) -> bytes:
    """A pcap of anything, its headers too."""
    link = draw(LINKS)
    each = st.one_of(mangled(link), st.binary(max_size=80))
    kinds = st.one_of(each, st.tuples(each, U32)) if link != RAW else st.one_of(segments(), st.tuples(segments(), U32))
    magic, order = draw(st.sampled_from([0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])), draw(st.sampled_from("<>"))
    step = draw(st.sampled_from([-1_000_000_000, 0, 1_000_000, 900_000_000]))
    data = bytearray(
        pcap(draw(st.lists(kinds, max_size=12)), link, magic=magic, order=order, every_ns=step, start_ns=NOW)
    )
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@st.composite
def pcapngs(draw: st.DrawFn) -> bytes:
    """A pcapng of any blocks."""
    data = bytearray()
    for _ in range(draw(st.integers(0, 3))):
        order = draw(st.sampled_from("<>"))
        data += section(order)
        options = st.one_of(
            st.just(b""),
            st.binary(max_size=12),
            st.builds(option, st.integers(0, 14), st.binary(max_size=9), st.just(order)),
        )
        packets = st.builds(ethernet, segments())
        blocks = st.one_of(
            st.builds(interface, st.sampled_from([ETHERNET, ETHERNET, RAW, 9999]), options, st.just(order), SMALL),
            st.builds(enhanced, packets, st.integers(0, (1 << 64) - 1), SMALL, options, st.just(order)),
            st.builds(enhanced, packets, st.integers(0, 5_000_000), st.just(0), options, st.just(order)),
            st.builds(block, st.one_of(st.integers(0, 10), U32), st.binary(max_size=60), st.just(order)),
        )
        data += interface(order=order) + b"".join(draw(st.lists(blocks, max_size=10)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


CAPTURES = st.one_of(pcaps(), pcapngs(), st.binary(max_size=200))
#: What was before a reset, which nothing that comes later changes.
SETTLED = (
    *("number", "frame", "time_ns", "src", "dst", "sport", "dport", "flags", "seq", "ack", "connection", "history"),
    *("sender", "receiver", "trigger", "earlier", "opener", "handshake", "payload", "tunnels", "comment"),
)
PLACES = st.lists(st.integers(0, 2000), max_size=6)


@settings(max_examples=400, deadline=None)
@given(data=CAPTURES, places=PLACES, each=st.booleans())
def test_blocks_of_any_size_give_the_same(data: bytes, places: list[int], each: bool) -> None:
    """Every byte by itself, all at once, or cut anywhere: the core tells the same."""
    whole = told(data, [], each=each)
    assert told(data, [place for place in places if place < len(data)], each=each) == whole
    assert told(data, list(range(1, len(data))), each=each) == whole


@settings(max_examples=300, deadline=None)
@given(data=CAPTURES, place=st.integers(0, 3000))
def test_a_capture_cut_anywhere_loses_only_what_is_cut(data: bytes, place: int) -> None:
    """The resets before the cut are told as before it, but for what followed them."""
    whole, totals, _ = told(data, [], each=True)
    part, less, _ = told(data[:place], [], each=True)
    assert (less.packets, less.resets) <= (totals.packets, totals.resets)
    for before, after in zip(whole, part, strict=False):
        mine, theirs = before.sample, after.sample
        assert [getattr(mine, name) for name in SETTLED] == [getattr(theirs, name) for name in SETTLED]


@settings(max_examples=300, deadline=None)
@given(data=CAPTURES, capacity=st.integers(1, 4))
def test_resets_are_found_whatever_is_forgotten(data: bytes, capacity: int) -> None:
    """With room for few connections every reset is found all the same."""
    few, totals, problem = told(data, [], each=True, capacity=capacity)
    many, all_totals, all_problem = told(data, [], each=True)
    assert [each.sample.frame for each in few] == [each.sample.frame for each in many]
    assert (totals.packets, totals.segments, problem) == (all_totals.packets, all_totals.segments, all_problem)


@settings(max_examples=100, deadline=None)
@given(files=st.lists(CAPTURES, max_size=4))
def test_files_of_any_kind_may_follow_one_another(files: list[bytes]) -> None:
    """One that is damaged takes nothing from the next."""
    analyzer = Analyzer(each=True)
    for number, data in enumerate(files):
        if number:
            analyzer.begin()
        analyzer.feed(data)
        analyzer.end()
    analyzer.finish()
    found, totals = analyzer.take(), analyzer.summary()
    check(found, totals)
    alone = [told(data, [], each=True)[1] for data in files]
    assert totals.packets == sum(each.packets for each in alone)
    assert totals.resets == sum(each.resets for each in alone)
    assert totals.bytes == sum(each.bytes for each in alone)


#: Link types of which a packet may hold several frames (A-MSDU): 802.11 bare, behind Prism, AVS, radiotap, PPI.
WIFI = (105, 119, 163, 127, 192)


@settings(max_examples=200, deadline=None)
@given(link=LINKS, data=st.data())
def test_mangled_packets_are_skipped_or_read(link: int, data: st.DataObject) -> None:
    """Of each packet (of Wi-Fi: each frame in it) one thing is told at most: a segment, a reason, or nothing of TCP."""
    packets = data.draw(st.lists(mangled(link), max_size=20))
    _, totals, problem = told(pcap(packets, link), [])
    assert problem is None
    assert totals.packets == len(packets)
    if link not in WIFI:
        assert totals.segments + sum(totals.skipped.values()) <= len(packets)


WORST = {
    "labels": (ETHERNET, ethernet(bytes(260_000), 0x8847)),
    "tags": (ETHERNET, ethernet(b"\0\5\x81\0" * 65_000, 0x8100)),
    "extension headers": (RAW, ipv6(b"\x3c\0" + bytes(6) + (b"\x3c\0" + bytes(6)) * 8000, 60)),
    "PPI in PPI": (192, struct.pack("<BBHI", 0, 0, 8, 192) * 30_000),
    "aggregates": (105, b"\x88\0" + bytes(20) + b"\x10\0\x80\0" + bytes(260_000)),
    "route entries": (RAW, ipv4(struct.pack(">HH", 0x4000, 0x800) + bytes(4) + b"\0\0\0\1" * 10_000, 47)),
    "TZSP tags": (RAW, ipv4(struct.pack(">HHHH", 9, 37008, 0xFFFF, 0) + b"\1\0\0\1" + b"\2\0" * 30_000, 17, total=0)),
    "GTP extensions": (
        RAW,
        ipv4(
            struct.pack(">HHHH", 9, 2152, 0xFFFF, 0)
            + b"\x34\xff\xff\xff"
            + b"\0\0\0\0"
            + b"\0\0\0\1"
            + b"\1\1\1\1" * 10_000,
            17,
            total=0,
        ),
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", WORST)
def test_no_packet_takes_long(name: str) -> None:
    """The most that can be put into a packet costs what its bytes cost, not their square."""
    link, packet = WORST[name]
    data = pcap([packet] * 100, link)
    totals = analyze(data).summary()
    assert totals.packets == 100
    assert totals.segments == 0
