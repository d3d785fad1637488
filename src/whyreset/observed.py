"""What `explain` gives out: a reset of a capture with its cause."""

from __future__ import annotations

from msgspec import Struct

from whyreset.model import Cause, Direction, Facts, Owner, Process
from whyreset.observation import Observation, Tally


class Recorded(Struct, frozen=True, kw_only=True):
    """What the recorder of a file noted beside a reset, beyond its cause: its word, which packets cannot prove."""

    #: The kernel's reason by name, and the state that the connection was in.
    reason: str = ""
    state: str = ""
    netns_name: str = ""
    owner: Owner | None = None
    closer: Process | None = None
    #: The owner at the other end, when that was on the same host.
    peer: Owner | None = None


class ObservedReset(Struct, frozen=True, kw_only=True):
    """One reset in a capture, or a group of like ones, explained."""

    #: It, or one of the group: what was seen before, of it, and after it.
    seen: Observation
    count: int
    facts: Facts
    cause: Cause
    #: The cause's evidence with the sample's figures filled in.
    evidence: tuple[str, ...]
    #: Of the first and of the last.
    time_ns: int
    last_ns: int
    #: The file, as it was named; the sample's, where a group has several.
    file: str
    #: The service's port; None where many were put together.
    port: int | None
    #: What the reset says in its payload, as its sender wrote it; "" for nothing.
    says: str = ""
    #: Of a group: who sent them, who got them, ports that name the service.
    senders: Tally
    receivers: Tally
    ports: Tally
    #: None where the file holds no note, or one that the packets contradict.
    recorded: Recorded | None = None

    @property
    def direction(self) -> Direction:
        """Sent or received, where it was said which side is ours; else observed."""
        return self.facts.direction
