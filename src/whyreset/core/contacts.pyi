from whyreset.model import Contact

class Contacts:
    """Who contacted which ports of this host first, and what came of it; evidence for scans (see contacts.pyx).

    Args:
        capacity: remotes that are remembered, some 480 bytes each (rounded up to a power of two).
    """

    #: Remotes that are remembered.
    held: int
    #: Remotes that were forgotten for others before their time.
    forgotten: int
    #: First contacts that were not taken in: so many remotes were new at that port within the same second.
    passed: int
    def __init__(self, capacity: int = ...) -> None: ...
    @property
    def capacity(self) -> int: ...
    @property
    def waiting(self) -> int:
        """Remotes that changed and were not told yet."""

    def take(self, most: int) -> list[Contact]:
        """Remotes that changed since they were told last and are worth a look: so many, the most suspicious first."""
