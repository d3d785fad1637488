from whyreset.observation import Step

class Steps:
    """The segments of one connection: the first thousand and the last thousand of them."""

    #: Those between that were not kept.
    between: int
    def all(self) -> list[Step]: ...
