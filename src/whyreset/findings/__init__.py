"""What resets mean together: one module and one page for each kind of finding.

The order is the one in which they explain resets: the more particular before the more general.
"""

from __future__ import annotations

from whyreset.findings.abort_habit import AbortHabit
from whyreset.findings.base import Finder
from whyreset.findings.deploy import Deploy
from whyreset.findings.limit_reached import LimitReached
from whyreset.findings.relayed_abort import RelayedAbort
from whyreset.findings.self_inflicted import SelfInflicted
from whyreset.findings.service_down import ServiceDown
from whyreset.findings.service_flapping import ServiceFlapping
from whyreset.findings.service_missing import ServiceMissing
from whyreset.findings.worker_crash import WorkerCrash

FINDERS: tuple[type[Finder], ...] = (
    SelfInflicted,
    Deploy,
    ServiceFlapping,
    ServiceDown,
    WorkerCrash,
    LimitReached,
    RelayedAbort,
    ServiceMissing,
    AbortHabit,
)
