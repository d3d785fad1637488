"""Resets that are put together: what several findings keep of a port, beside what is their own."""

from __future__ import annotations

from typing import Self

from msgspec import Struct, field

from whyreset.findings.base import subject_of
from whyreset.model import Reset, Subject

#: Resets that a finding names as examples.
_EXAMPLES = 3


class Tally(Struct, kw_only=True):
    """Like resets, counted."""

    subject: Subject
    first_ns: int
    last_ns: int
    count: int = 0
    #: Of these, those whose cause is certain.
    certain: int = 0
    #: Numbers of the first.
    resets: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, reset: Reset, port: int | None) -> Self:
        """One that is still empty, of that port and of who owns the reset."""
        subject = subject_of(reset, port=port, process=reset.owner.process if reset.owner else None)
        return cls(subject=subject, first_ns=reset.time_ns, last_ns=reset.last_ns)

    def add(self, reset: Reset) -> None:
        """Counts one more."""
        self.last_ns = max(self.last_ns, reset.last_ns)
        self.count += reset.count
        self.certain += reset.count if reset.cause.certainty == "certain" else 0
        if len(self.resets) < _EXAMPLES:
            self.resets.append(reset.number)
