"""Who listens where, and whose connections were cut: remembered once for all finders that ask for services."""

from __future__ import annotations

from whyreset.findings.base import Batch
from whyreset.findings.cuts import Cuts
from whyreset.findings.ports import Ports, Restart


class Services:
    """What the finders of services share."""

    def __init__(self) -> None:
        self.ports = Ports()
        self.cuts = Cuts(self.ports)
        #: Those of the last batch.
        self.restarts: list[Restart] = []
        self._last: Batch | None = None

    def see(self, batch: Batch) -> None:
        """Takes in what came; each finder shows the same batch, which counts once."""
        if batch is not self._last:
            self._last = batch
            self.restarts = self.ports.see(batch)
            self.cuts.see(batch)


class OfServices:
    """A finder that asks for services.

    Args:
        services: shared with others; without, its own.
    """

    def __init__(self, services: Services | None = None) -> None:
        self._services = services or Services()
