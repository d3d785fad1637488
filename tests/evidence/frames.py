"""Packets and resets for tests of evidence."""

from typing import Any

from tests.core.packets import NOW, ethernet, ipv4, tcp
from whyreset.evidence.frames import ETHERNET, Frame

OUT, IN = 4, 0


def frame(
    flags: str = "R",
    *,
    time_ns: int = NOW,
    direction: int = OUT,
    place: int = 0,
    interface: int = 2,
    src: str = "10.0.0.1",
    dst: str = "10.0.0.2",
    **more: Any,
) -> Frame:
    """A segment in an Ethernet frame; `more` is for its TCP header."""
    data = ethernet(ipv4(tcp(flags, **more), src=src, dst=dst))
    return Frame(time_ns, place, interface, direction, ETHERNET, len(data), data)
