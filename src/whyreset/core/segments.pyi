from whyreset.core.contacts import Contacts
from whyreset.core.steps import Steps
from whyreset.observation import Conversations, Observations, Problem

#: Why a packet was passed over, with what that means in words.
SKIPPED: dict[str, str]

class Analyzer:
    """Turns the bytes of captures into resets with all that is known about them.

    Bounded in memory: `capacity` connections at most are known at a time, those that are over are forgotten first. A
    reset is given out two seconds of the capture's time later (or at `finish`), since what follows bears on it.

    Args:
        capacity: the most connections remembered, 384 bytes each; memory is taken as they come.
        each: every reset by itself; else like resets are counted together.
        follow: number of a connection (`Observation.connection`) whose segments are kept; 0 for none.
    """

    #: Why reading stopped before the end of the bytes, if it did; what came before is valid.
    problem: Problem | None
    #: Bytes of the current file that were consumed so far.
    consumed: int
    #: Packets that were read so far, over all files.
    packets_seen: int
    #: Who tried which ports; times are nanoseconds since the epoch, and there is one namespace, 0.
    contacts: Contacts
    #: The segments of the connection that is followed.
    steps: Steps
    def __init__(self, capacity: int = ..., each: bool = ..., follow: int = ...) -> None: ...
    def begin(self) -> None:
        """A next file begins (not needed for the first): its format is new, connections are carried on."""

    def feed(self, block: bytes | bytearray | memoryview) -> bool:
        """Reads the next bytes of the file, in blocks of any size. False when nothing more can be read (`problem`)."""

    def end(self) -> None:
        """The file has no more bytes: sets `problem` where it stops in the midst of a packet."""

    def finish(self) -> None:
        """No more files: `take` gives out everything."""

    def pass_time(self, now_ns: int) -> None:
        """It is later now, though no packet says so: resets that have waited enough are complete. Of live packets."""

    def take(self) -> list[Observations]:
        """What is complete since the last call, at most 1,024 groups (with `each`, every reset: ask each block)."""

    def summary(self) -> Conversations: ...
