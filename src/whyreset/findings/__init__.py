"""What resets mean together: one module and one page for each kind of finding.

The order is the one in which they explain resets: the more particular before the more general.
"""

from __future__ import annotations

from whyreset.findings.accept_queue_overflow import AcceptQueueOverflow
from whyreset.findings.base import Finder
from whyreset.findings.dependency_refuses import DependencyRefuses
from whyreset.findings.dependency_silent import DependencySilent
from whyreset.findings.service_down import ServiceDown
from whyreset.findings.syn_queue_overflow import SynQueueOverflow

FINDERS: tuple[type[Finder], ...] = (
    ServiceDown,
    AcceptQueueOverflow,
    SynQueueOverflow,
    DependencyRefuses,
    DependencySilent,
)
