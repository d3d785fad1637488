"""History: what an agent kept of the last hour, in one bounded SQLite file. `kinds` says what."""

#: Where it is unless a file is named.
DEFAULT = "/var/lib/whyreset/history.db"
#: Bytes of it with all that belongs to it, unless so many are named; and the least.
SIZE, SIZE_MIN = 64 << 20, 8 << 20


class StoreError(Exception):
    """The history cannot be used; one sentence."""
