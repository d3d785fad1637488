"""What stands behind each key of `silence:` and `expect:`, in the same files and the same form as rules.

    silence: backups at night              expect: haproxy closes on purpose
      rules: 10s_* resets_*                 cause: linger-zero
      netns: *                              owner: haproxy*
      daily: 02:00 for 30m                   port: 443 8443
                                            remote: 192.0.2.0/24 2001:db8::/32

Instead of `daily`, `weekly: sat sun 02:00 for 2h`, or `from: 2026-11-22 22:00` and `until:`; times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from ipaddress import ip_network

from whyreset.alerts.mutes import Expected, Silence
from whyreset.alerts.rule_keys import Key, Wrong, duration, patterns, words_of

DAYS = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)Z?)?")
_LONGEST = 7 * 86_400


def _moment(value: str) -> int:
    match = _DATE.fullmatch(value)
    try:
        if match:
            moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}").replace(tzinfo=UTC)
            return int(moment.timestamp())
    except ValueError:
        pass
    raise Wrong(0, f"expected a date such as 2026-11-22 22:00, not {value!r}")


def _hours(value: str, days: frozenset[int], begin: int) -> dict[str, object]:
    """«02:00 for 30m», from this place on."""
    found = [(at, word) for at, word in words_of(value) if at >= begin]
    at, clock = found[0] if found else (len(value), "")
    match = _CLOCK.fullmatch(clock)
    if not match:
        raise Wrong(at, f"expected a time such as 02:00, not {clock!r}")
    if len(found) != 3 or found[1][1].lower() != "for":
        raise Wrong(found[1][0] if len(found) > 1 else len(value), "expected «for» and a duration, such as «for 30m»")
    seconds = duration(found[2][1], found[2][0])
    if not 0 < seconds <= _LONGEST:
        raise Wrong(found[2][0], f"expected a duration of a week at most, not {found[2][1]!r}")
    return {"days": days, "at": int(match[1]) * 3600 + int(match[2]) * 60, "seconds": seconds}


def _daily(value: str, _silence: Silence, _wrong: list[Wrong]) -> dict[str, object]:
    return _hours(value, frozenset(range(7)), 0)


def _weekly(value: str, _silence: Silence, _wrong: list[Wrong]) -> dict[str, object]:
    days: set[int] = set()
    for at, word in words_of(value):
        if word.lower() not in DAYS:
            if not days:
                raise Wrong(at, f"expected days ({', '.join(DAYS)}), not {word!r}")
            return _hours(value, frozenset(days), at)
        days.add(DAYS[word.lower()])
    raise Wrong(len(value), "expected a time after the days, such as «02:00 for 30m»")


def _ports(value: str, _expected: Expected, wrong: list[Wrong]) -> dict[str, object]:
    ports = set()
    for at, word in words_of(value):
        if word.isascii() and word.isdigit() and len(word) <= 5 and 0 < int(word) < 65536:
            ports.add(int(word))
        else:
            wrong.append(Wrong(at, f"expected a port, not {word!r}"))
    return {"ports": frozenset(ports)} if ports else {}


def _remotes(value: str, _expected: Expected, wrong: list[Wrong]) -> dict[str, object]:
    networks = []
    for at, word in words_of(value):
        try:
            networks.append(ip_network(word, strict=False))
        except ValueError:
            wrong.append(Wrong(at, f"expected an address or a network such as 192.0.2.0/24, not {word!r}"))
    return {"remotes": tuple(networks)} if networks else {}


SILENCE_KEYS: dict[str, Key] = {
    "rules": patterns("rules"),
    "netns": patterns("netns"),
    "from": lambda value, _silence, _wrong: {"begin": _moment(value)},
    "until": lambda value, _silence, _wrong: {"end": _moment(value)},
    "daily": _daily,
    "weekly": _weekly,
}
EXPECT_KEYS: dict[str, Key] = {
    "cause": lambda value, _expected, _wrong: {"causes": tuple(value.split())},
    "owner": patterns("owners"),
    "port": _ports,
    "remote": _remotes,
}


def expect_keys(causes: Collection[str]) -> dict[str, Key]:
    """The keys of `expect:` where only these causes and families are known; all that may be written where none is."""

    def read(value: str, _expected: Expected, wrong: list[Wrong]) -> dict[str, object]:
        for at, word in words_of(value):
            if word not in causes:
                wrong.append(Wrong(at, f"expected a cause or a family of causes, not {word!r}", word, causes))
        return {"causes": tuple(value.split())}

    return {**EXPECT_KEYS, "cause": read} if causes else EXPECT_KEYS
