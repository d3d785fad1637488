class Addresses:
    """How many different addresses were added: an estimate, good to 1.6 %, in 4 KiB."""

    def add(self, value: str) -> None:
        """Takes in an IPv4 or IPv6 address; ValueError or OSError where it is none."""

    def merge(self, other: bytes) -> None:
        """Takes in what another account of this process has seen (`Tally.sketch`)."""

    def count(self) -> int: ...

class Ports:
    """How many different ports were added: exact, in 8 KiB."""

    def add(self, value: str) -> None: ...
    def merge(self, other: bytes) -> None:
        """Takes in what another account has seen (`Tally.sketch`)."""

    def count(self) -> int: ...
