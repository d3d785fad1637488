"""Two real hosts in network namespaces, small processes that act on them, raw segments, and a watcher to ask.

Everything here makes real traffic in unnamed namespaces that end with this process. Nothing depends on pytest, so
that the cases can also run on other kernels and while a capture is written.
"""

from tests.hosts.actor import Actor, Connection
from tests.hosts.hosts import Host, Pair
from tests.hosts.segments import Segment
from tests.hosts.watch import Watch

__all__ = ["Actor", "Connection", "Host", "Pair", "Segment", "Watch"]
