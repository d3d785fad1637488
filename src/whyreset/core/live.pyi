from collections.abc import Callable

from whyreset.core.segments import Analyzer
from whyreset.core.taps import Sink

class Live(Sink):
    """Feeds an Analyzer with the packets of interfaces; each counts where it shows first, its copies are left out.

    Args:
        names: an interface's name by its index, as it is now.
    """

    #: Copies that were left out.
    repeated: int
    def __init__(self, analyzer: Analyzer, names: Callable[[int], str]) -> None: ...
    def forget_names(self) -> None:
        """Interfaces may have other names by now: they are asked for again."""
