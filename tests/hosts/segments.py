"""Raw TCP segments from a host."""

from tests.hosts.hosts import Host
from whyreset.demo import segments
from whyreset.demo.segments import Segment, checksum

__all__ = ["Segment", "checksum", "send"]


def send(host: Host, *sent: Segment) -> None:
    """Send segments from a host as they stand, whatever their source address."""
    with host.inside():
        segments.send(*sent)
