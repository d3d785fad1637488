"""What every source promises: it says whether it can run here and why not, runs, and counts what it loses."""

from __future__ import annotations

from typing import Protocol

from whyreset.model import Missing


class Source(Protocol):
    """Something that observes resets or counters."""

    #: The word for it in output and on the command line.
    name: str

    def can_run(self) -> Missing | None:
        """None if it can run here, else what is missing, in words an operator can act on."""

    def start(self) -> None:
        """Begins to observe; what happens after this returned will be seen."""

    def close(self) -> None:
        """Leaves nothing behind; harmless when called twice."""


class SourceError(Exception):
    """A source cannot run; the message is one sentence for the user."""
