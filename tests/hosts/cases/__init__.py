"""The ground truth: every way to provoke a TCP reset that is known, and the ways that look so and provoke none.

The numbers are those of the table in which the kernel's behaviour was first measured. A case is a function on a
`Stage`; `differences` holds what was said of it against what the case expects. Nothing here depends on pytest.
"""

from tests.hosts.cases import (
    abort,
    closed_port,
    half_open,
    killed,
    listen_queue,
    memory,
    protocol,
    scans,
    time_wait,
    timeouts,
)
from tests.hosts.cases.compare import differences
from tests.hosts.cases.model import ANY, Case, Expected, Missing, Stage, Version
from tests.hosts.cases.run import Told, run
from tests.hosts.cases.tiers import TIERS, at_tier

CASES: tuple[Case, ...] = (
    *closed_port.CASES,
    *abort.CASES,
    *timeouts.CASES,
    *killed.CASES,
    *half_open.CASES,
    *time_wait.CASES,
    *listen_queue.CASES,
    *memory.CASES,
    *protocol.CASES,
    *scans.CASES,
)

__all__ = [
    "ANY",
    "CASES",
    "TIERS",
    "Case",
    "Expected",
    "Missing",
    "Stage",
    "Told",
    "Version",
    "at_tier",
    "differences",
    "run",
]
