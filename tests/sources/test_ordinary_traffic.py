"""Ordinary traffic is never copied to Python, and what nobody asked for is not even copied to the ring."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import ExitStack
from types import FrameType

import pytest

from tests.hosts import Pair
from tests.hosts.hosts import await_true
from whyreset.core.live import Live
from whyreset.core.merge import Merge
from whyreset.core.segments import Analyzer
from whyreset.core.sightings import Sightings
from whyreset.core.tape import Tape
from whyreset.core.taps import Sink
from whyreset.sources.packets import ENDS, RESETS, Packets, Wanted

DATA_BYTES, CONNECTIONS = 1 << 20, 5


def talk(pair: Pair, connections: int = CONNECTIONS) -> None:
    """Whole connections with data from b to a, which end in order."""
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((pair.address(pair.b, 4), 8080))
        listener.listen()
        for _ in range(connections):
            with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.connect(listener.getsockname())
                server, _ = listener.accept()
                with server:
                    sending = threading.Thread(target=server.sendall, args=(bytes(DATA_BYTES),), daemon=True)
                    sending.start()
                    left = DATA_BYTES
                    while left:
                        left -= len(client.recv(1 << 20))
                    sending.join()
                    client.shutdown(socket.SHUT_WR)
                    assert server.recv(1) == b""


def sent(pair: Pair) -> int:
    """Segments that host b has sent and received."""
    counters = pair.b.counters()
    return counters["InSegs"] + counters["OutSegs"]


@pytest.mark.parametrize(("wanted", "passing"), [(RESETS, 0), (ENDS, 4 * CONNECTIONS)], ids=["resets", "ends"])
def test_what_nobody_asked_for_does_not_reach_the_ring(pair: Pair, wanted: Wanted, passing: int) -> None:
    """Of thousands of segments not one is handed over, or each connection's SYNs and FINs alone."""
    source, merge, before = Packets(wanted=wanted), Merge(), sent(pair)
    with ExitStack() as stack:
        with pair.b.inside():
            source.start()
        stack.callback(source.close)
        sink = Sightings(merge, merge.ring(source.cookie, source.netns, str))
        talk(pair)
        # the mark: a reset, which passes
        with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as refused, pytest.raises(ConnectionRefusedError):
            refused.connect((pair.address(pair.b, 4), 9))
        come = 0

        def marked() -> bool:
            nonlocal come
            come += source.drain([sink])
            return bool(sink.resets)

        await_true(marked, "the mark")
        # SYN and reset of the mark
        assert come == passing + (1 if wanted is RESETS else 2)
        assert sent(pair) - before > 1000
        assert source.count_dropped() == 0


def calls_of_a_drain(source: Packets, sink: Sink) -> tuple[int, int]:
    """How many packets came, and how often Python or what it calls was entered meanwhile."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        packets = source.drain([sink])
    finally:
        sys.setprofile(None)
    return packets, calls


def test_hundreds_of_packets_cost_python_no_more_than_none(pair: Pair) -> None:
    """What was asked for goes from the ring to compiled code: no call, no object for it, whoever takes it."""
    analyzer, merge = Analyzer(1 << 12, False), Merge()
    source = Packets(wanted=Wanted(everything=True))
    with pair.b.inside():
        source.start()
    sinks: list[Sink] = [
        Live(analyzer, lambda _index: "eth0"),
        Sightings(merge, merge.ring(source.cookie, source.netns, lambda _index: "eth0")),
        Tape(1 << 20).channel(0),
    ]
    for sink in sinks:
        none, idle = calls_of_a_drain(source, sink)
        assert none == 0
        talk(pair, 20)
        come = calls = 0

        def drained(sink: Sink = sink) -> bool:
            nonlocal come, calls
            packets, calls_now = calls_of_a_drain(source, sink)
            come, calls = come + packets, max(calls, calls_now)
            return come > 300

        blocks = sys.getallocatedblocks()
        await_true(drained, "the packets")
        assert sys.getallocatedblocks() - blocks < 100
        # an interface's name is asked for once
        assert calls - idle <= 2
        while calls_of_a_drain(source, sink)[0]:
            pass
    source.close()
