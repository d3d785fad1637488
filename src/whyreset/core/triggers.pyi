from whyreset.core.ring import Ring
from whyreset.core.tape import Tape

class Triggers:
    """Reads the ring of segments that provoked resets.

    Args:
        ring: the mapped ring `triggers`.
    """

    #: Segments that were read, and records that were not understood.
    segments: int
    misread: int
    #: Names of interfaces, by (inode number of the namespace, index): the latest, so many at most.
    names: dict[tuple[int, int], str]
    def __init__(self, ring: Ring) -> None: ...
    def drain(self, tape: Tape | None, epoch_ns: int) -> int:
        """Puts what has come onto the tape: a namespace's inode number is the place, COPIED the direction.

        Args:
            tape: None: what has come is forgotten.
            epoch_ns: what to add to CLOCK_BOOTTIME for the time of day.

        Returns how many segments that were.
        """
