from collections.abc import Callable

from whyreset.model import Group

class Merge:
    """Joins resets on the wire with what the kernel told of them: one reset is one, wherever it is seen.

    What packets show comes from `Sightings`; a `Recorder` that has this Merge tells it what the kernel told.

    Args:
        most: so many resets are remembered (a power of two, at least 1,024), some 130 bytes each; memory is taken as
            they come. What is pushed out before it was judged is `undecided`.
    """

    #: Resets of which nothing could be concluded: a loss, or too many at once.
    undecided: int
    #: Resets that went past the stack.
    past_stack: int
    #: Resets that were another one, with its address translated.
    related: int
    #: How many are in memory now.
    remembered: int
    def __init__(self, most: int = ...) -> None: ...
    def ring(
        self,
        cookie: int,
        inode: int,
        names: Callable[[int], str],
        translations: Callable[[bool, bytes], bytes | None] | None = None,
    ) -> int:
        """A namespace whose packets are read, 16 of them at the most; its number.

        Args:
            names: an interface's name by its index, as it is now.
            translations: whether it is IPv6, and the ends with which a reset left (`sources.conntrack.ENDS`) -> the
                ends that it had before they were translated; None where that is not known.
        """

    def begin(self, now_ns: int) -> None:
        """A visit begins: what is handed over from now on is seen at this time (CLOCK_BOOTTIME)."""

    def judge(self, now_ns: int, epoch_ns: int, doubtful: bool, everything: bool = False) -> None:
        """Judges what has waited long enough for all that bears on it.

        Args:
            now_ns: CLOCK_BOOTTIME.
            epoch_ns: what to add to that for the time of day.
            doubtful: something was lost in these seconds: what the kernel did not tell of is undecided.
            everything: also what has not waited enough; what is younger than a tenth of a second stays unjudged.
        """

    def take(self) -> list[Group]:
        """What went past the stack and was judged since the last call, in groups of one source and port."""

    def off_wire_of(self, cookie: int) -> int | None:
        """How many resets the kernel told of in that namespace never left it; None where its packets are not read."""
