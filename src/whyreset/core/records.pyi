from collections.abc import Sequence

from whyreset.core.contacts import Contacts
from whyreset.core.memory import Memory
from whyreset.core.merge import Merge
from whyreset.core.ring import Ring
from whyreset.model import Group

class Recorder:
    memory: Memory
    contacts: Contacts
    records: int
    misread: int
    crowded: int
    echoes_of_receive: int
    def __init__(
        self,
        resets: Ring,
        closes: Ring,
        memory: Memory,
        reasons: Sequence[str],
        states: Sequence[str],
        hz: int,
        group_limit: int = ...,
        sample_limit: int = ...,
        samples_per_group: int = ...,
        kind_limit: int = ...,
        samples_per_kind: int = ...,
        merge: Merge | None = ...,
    ) -> None: ...
    def drain(self, now_ns: int, everything: bool = False) -> int: ...
    def serve(self, netns_cookie: int, port: int) -> None: ...
    def flush(self) -> list[Group]: ...
