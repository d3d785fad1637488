"""What keeps an alert from telling anybody: silences, maintenance windows, and resets that are expected.

Nothing of it hides anything: a muted alert is still shown, with what muted it, and expected resets are still counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

from msgspec import Struct

from whyreset.alerts.patterns import accepts
from whyreset.alerts.shares import owner_name
from whyreset.model import Reset
from whyreset.words import program

_DAY = 86_400


class Silence(Struct, frozen=True, kw_only=True):
    """A time in which some alerts tell nobody: once, or in the same hours of some weekdays."""

    name: str
    #: Patterns of rules, and of namespaces by name or inode number.
    rules: tuple[str, ...] = ("*",)
    netns: tuple[str, ...] = ("*",)
    #: Seconds since the epoch; 0: since ever, and for ever.
    begin: int = 0
    end: int = 0
    #: Days of the week, Monday is 0; with the second of the day (UTC) in which it begins, and how long it is.
    days: frozenset[int] = frozenset()
    at: int = 0
    seconds: int = 0

    def active(self, now: float) -> bool:
        """Whether it is that time."""
        if now < self.begin or (self.end and now >= self.end):
            return False
        if not self.days:
            return True
        midnight = int(now // _DAY) * _DAY
        # one that began on a day before may go on past midnight
        for start in range(midnight + self.at, midnight + self.at - self.seconds - _DAY, -_DAY):
            # 1 January 1970 was a Thursday
            if start <= now < start + self.seconds and (start // _DAY + 3) % 7 in self.days:
                return True
        return False

    def covers(self, rule: str, netns: int, netns_name: str, now: float) -> bool:
        """Whether it mutes this rule in this namespace now."""
        return (
            self.active(now)
            and accepts(self.rules, rule)
            and (accepts(self.netns, str(netns)) or accepts(self.netns, netns_name))
        )


class Expected(Struct, frozen=True, kw_only=True):
    """Resets that are meant to be: «HAProxy closes with linger zero on 443»; empty words fit everything."""

    name: str
    #: Slugs or families of causes.
    causes: tuple[str, ...] = ()
    #: Patterns of owners: service or program.
    owners: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset()
    remotes: tuple[IPv4Network | IPv6Network, ...] = ()

    def fits(self, reset: Reset) -> bool:
        """Whether this reset, or each of a group, is one of those. Where that cannot be told, it is not."""
        if self.causes and not {reset.cause.name, reset.cause.family} & set(self.causes):
            return False
        if self.ports and reset.port not in self.ports:
            return False
        if self.owners:
            if reset.owner is None:
                return False
            names = {owner_name(reset), program(reset.owner.process)}
            if not any(accepts(self.owners, name) for name in names):
                return False
        return not self.remotes or self._remotes_fit(reset)

    def _remotes_fit(self, reset: Reset) -> bool:
        remotes = reset.remotes
        if remotes is None or reset.count == 1:
            addresses: Iterable[str] = (reset.sample.remote,)
        elif remotes.exact and remotes.distinct == len(remotes.top):
            addresses = (address for address, _ in remotes.top)
        else:
            return False
        return all(any(_within(address, network) for network in self.remotes) for address in addresses)


def _within(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address.partition("%")[0]) in network
    except ValueError:
        return False
