"""The filter words that commands share: which resets someone asked for."""

from __future__ import annotations

from msgspec import Struct

from whyreset.model import Reset


class Filter(Struct, frozen=True, kw_only=True):
    """What is asked for; an empty or None word lets all through.

    A filter hides lines, it never changes the account.
    """

    direction: str = "both"
    #: Names or inode numbers of namespaces.
    netns: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()
    #: Slugs or families.
    causes: frozenset[str] = frozenset()

    def words(self) -> str:
        """What is asked for, in words; "" for everything."""
        parts = [] if self.direction == "both" else [self.direction]
        for name, chosen in (
            ("port", sorted(self.ports)),
            ("cause", sorted(self.causes)),
            ("netns", sorted(self.netns)),
        ):
            if chosen:
                parts.append(f"{name} {' or '.join(map(str, chosen))}")
        return ", ".join(parts)

    @property
    def by_detail(self) -> bool:
        """Whether it asks for something that is not known of resets that were only counted."""
        return bool(self.ports or self.causes)

    def wants_netns(self, inode: int, name: str) -> bool:
        """Whether this namespace was asked for."""
        return not self.netns or str(inode) in self.netns or (bool(name) and name in self.netns)

    def wants(self, reset: Reset) -> bool:
        """Whether this reset was asked for."""
        if self.direction != "both" and reset.facts.direction != self.direction:
            return False
        if self.ports and not self.ports & {reset.port, reset.sample.local_port, reset.sample.remote_port}:
            return False
        if self.causes and not self.causes & {reset.cause.name, reset.cause.family, *reset.cause.candidates}:
            return False
        return self.wants_netns(reset.sample.netns, reset.netns_name)
