from whyreset.core.merge import Merge
from whyreset.core.taps import Sink

class Sightings(Sink):
    """Tells a Merge of each reset among the packets of one namespace.

    Args:
        ring: the namespace, by the number that `Merge.ring` gave it.
    """

    #: Resets among the packets so far.
    resets: int
    def __init__(self, merge: Merge, ring: int) -> None: ...
