from collections.abc import Sequence

from whyreset.core.memory import Memory
from whyreset.core.ring import Ring
from whyreset.model import Group

class Recorder:
    def __init__(
        self,
        resets: Ring,
        closes: Ring,
        memory: Memory,
        reasons: Sequence[str],
        states: Sequence[str],
        hz: int,
        group_limit: int = 64,
        sample_limit: int = 256,
        samples_per_group: int = 3,
    ) -> None: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def records(self) -> int: ...
    @property
    def misread(self) -> int: ...
    @property
    def crowded(self) -> int: ...
    @property
    def echoes_of_receive(self) -> int: ...
    def drain(self, now_ns: int, everything: bool = False) -> int: ...
    def flush(self) -> list[Group]: ...
