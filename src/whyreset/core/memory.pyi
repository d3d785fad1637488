from whyreset.core.attempts import Attempts

class Memory:
    attempts: Attempts
    held: int
    forgotten: int
    def __init__(self, capacity: int = ...) -> None: ...
    @property
    def capacity(self) -> int: ...
