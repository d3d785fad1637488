"""What was told of two hosts, and questions about it. Every figure counts resets, not lines."""

from collections import Counter
from typing import Any, Literal

from tests.hosts import Host, Pair, Watch

Line = dict[str, Any]
Direction = Literal["sent", "received"]
TWIN = "seen on this host when it was sent"
#: What a busy host answers without any trouble: a segment that came too late, a FIN that it sent again and the peer's
#: TIME-WAIT acknowledged again (a tail loss probe goes out after 8 ms).
ECHOES = ("in-flight", "late-duplicate", "time-wait-assassination")


class Told:
    """The resets of one host in one direction."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def __repr__(self) -> str:
        kinds = Counter[tuple[str, ...]]()
        for line in self.lines:
            kernel = line.get("kernel", {})
            kinds[line["cause"], line["certainty"], kernel.get("reason", ""), kernel.get("state", "")] += line["count"]
        return f"Told({dict(kinds)})"

    @property
    def causes(self) -> dict[str, int]:
        """How many resets of each cause."""
        return self.count("cause")

    def count(self, path: str) -> dict[Any, int]:
        """How many resets with each value at a dotted path; None where there is none."""
        counts = Counter[Any]()
        for line in self.lines:
            counts[_value(line, path)] += line["count"]
        return dict(counts)

    def values(self, path: str) -> set[Any]:
        """The values at a dotted path."""
        return set(self.count(path))

    @property
    def troubles(self) -> "Told":
        """Those that are more than echoes: a busy host sends one segment or another too late, and each is answered."""
        return Told([line for line in self.lines if line["cause"] not in ECHOES])

    def of(self, *causes: str) -> "Told":
        """Those of these causes."""
        return Told([line for line in self.lines if line["cause"] in causes])

    def owned_by(self, pid: int) -> "Told":
        """Those of this owner."""
        return Told([line for line in self.lines if line.get("owner", {}).get("pid") == pid])

    def saying(self, *words: str) -> int:
        """How many resets have all these words in one sentence of their evidence."""
        return sum(
            line["count"] for line in self.lines if any(all(map(each.__contains__, words)) for each in line["evidence"])
        )

    def __len__(self) -> int:
        return sum(line["count"] for line in self.lines)


class Tellings:
    """What was told of both hosts of a pair since the beginning."""

    def __init__(self, lines: dict[str, list[Line]]) -> None:
        self._lines = lines

    def __call__(self, host: Host, direction: Direction) -> Told:
        return Told([line for line in self._lines[host.name] if line["direction"] == direction])


def tellings(watch: Watch, pair: Pair, timeout: float = 20.0) -> Tellings:
    """All that was told of a pair, once it is whole: each account closes, nothing is unknown.

    Every reset that one of them received was sent by the other, and is explained by that alone. Every echo belongs to
    a reset of its own connection.
    """
    lines = watch.told(pair.a, pair.b, timeout=timeout)
    for host in (pair.a, pair.b):
        account = _settled_account(watch, host, timeout)
        assert account["seen"] + account["lost"] == account["counted"], account
        assert account["explained"] == account["seen"], account
        assert account["uncounted"] == account["unseen"] == account["unknown"] == 0, account
        assert not account["lost"], (account, watch.losses())
    told = [line for host in lines.values() for line in host]
    assert not [line for line in told if line["cause"] == "unknown"]
    received = [line for line in told if line["direction"] == "received"]
    assert not [line for line in received if TWIN not in line["evidence"]], watch.losses()
    for mine in lines.values():
        if all(line["count"] == 1 for line in mine):
            reset = {_ends(line) for line in mine if line["cause"] != "in-flight"}
            assert not [line for line in mine if line["cause"] == "in-flight" and _ends(line) not in reset]
    return Tellings(lines)


def _ends(line: Line) -> frozenset[tuple[str, int]]:
    return frozenset([(line["src"], line["sport"]), (line["dst"], line["dport"])])


def _settled_account(watch: Watch, host: Host, timeout: float) -> Line:
    """The last account of a host, once it has all that the kernel has counted by then."""

    def last() -> Line | None:
        lines = reversed(watch.lines)
        return next((line for line in lines if line["type"] == "count" and line["netns_cookie"] == host.cookie), None)

    def settled(_: object) -> Line | None:
        account, counted = last(), host.counters()["OutRsts"]
        return account if account and counted == account["counted"] == account["seen"] + account["lost"] else None

    try:
        return watch.wait(settled, timeout)
    except TimeoutError as error:
        error.add_note(f"the kernel counted {host.counters()['OutRsts']} resets, the last account is {last()}")
        raise


def _value(line: Line, path: str) -> Any:
    value: Any = line
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None and "sample" in line:
        return _value(line["sample"], path)
    return value
