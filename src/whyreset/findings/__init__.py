"""What resets mean together: one module and one page for each kind of finding.

The order is the one in which they explain resets: the more particular before the more general.
"""

from __future__ import annotations

from whyreset.findings.abort_habit import AbortHabit
from whyreset.findings.accept_queue_overflow import AcceptQueueOverflow
from whyreset.findings.backscatter import Backscatter
from whyreset.findings.base import Finder
from whyreset.findings.dependency_refuses import DependencyRefuses
from whyreset.findings.dependency_silent import DependencySilent
from whyreset.findings.deploy import Deploy
from whyreset.findings.forged_resets import ForgedResets
from whyreset.findings.health_check import HealthCheck
from whyreset.findings.keepalive_losses import KeepaliveLosses
from whyreset.findings.limit_reached import LimitReached
from whyreset.findings.memory_pressure import MemoryPressure
from whyreset.findings.port_scan import PortScan
from whyreset.findings.relayed_abort import RelayedAbort
from whyreset.findings.reset_flood import ResetFlood
from whyreset.findings.self_inflicted import SelfInflicted
from whyreset.findings.service_down import ServiceDown
from whyreset.findings.service_flapping import ServiceFlapping
from whyreset.findings.service_missing import ServiceMissing
from whyreset.findings.stale_peers import StalePeers
from whyreset.findings.syn_flood import SynFlood
from whyreset.findings.syn_queue_overflow import SynQueueOverflow
from whyreset.findings.time_wait_trouble import TimeWaitTrouble
from whyreset.findings.too_many_orphans import TooManyOrphans
from whyreset.findings.worker_crash import WorkerCrash

FINDERS: tuple[type[Finder], ...] = (
    ForgedResets,
    HealthCheck,
    PortScan,
    SynFlood,
    Backscatter,
    ResetFlood,
    SelfInflicted,
    Deploy,
    ServiceFlapping,
    ServiceDown,
    WorkerCrash,
    LimitReached,
    AcceptQueueOverflow,
    SynQueueOverflow,
    TooManyOrphans,
    MemoryPressure,
    RelayedAbort,
    StalePeers,
    TimeWaitTrouble,
    KeepaliveLosses,
    DependencyRefuses,
    DependencySilent,
    ServiceMissing,
    AbortHabit,
)
