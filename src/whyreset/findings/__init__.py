"""What resets mean together: one module and one page for each kind of finding.

The order is the one in which they explain resets: the more particular before the more general.
"""

from __future__ import annotations

from whyreset.findings.backscatter import Backscatter
from whyreset.findings.base import Finder
from whyreset.findings.forged_resets import ForgedResets
from whyreset.findings.health_check import HealthCheck
from whyreset.findings.port_scan import PortScan
from whyreset.findings.reset_flood import ResetFlood
from whyreset.findings.service_down import ServiceDown
from whyreset.findings.syn_flood import SynFlood

FINDERS: tuple[type[Finder], ...] = (
    ForgedResets,
    HealthCheck,
    PortScan,
    SynFlood,
    Backscatter,
    ResetFlood,
    ServiceDown,
)
