"""What resets mean together: one module and one page for each kind of finding.

The order is the one in which they explain resets: the more particular before the more general.
"""

from __future__ import annotations

from whyreset.findings.accept_queue_overflow import AcceptQueueOverflow
from whyreset.findings.base import Finder
from whyreset.findings.dependency_refuses import DependencyRefuses
from whyreset.findings.dependency_silent import DependencySilent
from whyreset.findings.keepalive_losses import KeepaliveLosses
from whyreset.findings.memory_pressure import MemoryPressure
from whyreset.findings.service_down import ServiceDown
from whyreset.findings.stale_peers import StalePeers
from whyreset.findings.syn_queue_overflow import SynQueueOverflow
from whyreset.findings.time_wait_trouble import TimeWaitTrouble
from whyreset.findings.too_many_orphans import TooManyOrphans

FINDERS: tuple[type[Finder], ...] = (
    ServiceDown,
    AcceptQueueOverflow,
    SynQueueOverflow,
    TooManyOrphans,
    MemoryPressure,
    StalePeers,
    TimeWaitTrouble,
    KeepaliveLosses,
    DependencyRefuses,
    DependencySilent,
)
