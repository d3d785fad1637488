"""Holds what was said of the resets of a stage against what a case expects, and puts differences into words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.hosts.cases.model import ANY, Expected

Line = Mapping[str, Any]


def differences(expected: Sequence[Expected], told: Mapping[str, Sequence[Line]]) -> list[str]:
    """Sentences on each difference, none where all is as expected. `told` has the reset lines of each host by name."""
    lines = {line["id"]: line for host in told for line in told[host]}
    left = [(host, line) for host in told for line in told[host]]
    wrong: list[tuple[Expected, int]] = []
    for wanted in expected:
        missing = wanted.count
        for entry in [(host, line) for host, line in left if not _mismatch(wanted, host, line, lines)]:
            if missing >= entry[1]["count"]:
                missing -= entry[1]["count"]
                left.remove(entry)
        if missing:
            wrong.append((wanted, missing))
    return list(_in_words(wrong, left, lines))


def _in_words(
    wrong: list[tuple[Expected, int]], left: list[tuple[str, Line]], lines: Mapping[str, Line]
) -> Iterator[str]:
    """Show each missing reset beside the nearest that was told, then what nobody expected."""
    for wanted, missing in wrong:
        yield f"missing {missing} x {_show_expected(wanted)}"
        rivals = [entry for entry in left if (entry[0], entry[1]["direction"]) == (wanted.host, wanted.direction)]
        if rivals:
            found, nearest = min(
                ((_mismatch(wanted, host, line, lines), (host, line)) for host, line in rivals),
                key=lambda rival: len(rival[0]),
            )
            left.remove(nearest)
            yield f"    told {_show(*nearest)}"
            yield from (f"        {difference}" for difference in found)
    for host, line in left:
        yield f"not expected: {_show(host, line)}"


def _mismatch(wanted: Expected, host: str, line: Line, lines: Mapping[str, Line]) -> list[str]:
    """How a line differs from what is wanted."""
    asked: dict[str, object] = {
        "host": wanted.host,
        "direction": wanted.direction,
        "cause": wanted.cause,
        "family": wanted.family,
        "certainty": wanted.certainty,
        "port": wanted.port,
        "trigger.flags": wanted.trigger,
        "owner.pid": wanted.owner,
        "closer.pid": wanted.closer,
        **wanted.keys,
    }
    got = {path: _value(line, path) for path in asked} | {"host": host, "port": own_port(line)}
    if wanted.trigger is not None and got["trigger.flags"] is not None:
        asked["trigger.flags"] = ANY if wanted.trigger is ANY else sorted(str(wanted.trigger))
        got["trigger.flags"] = sorted(got["trigger.flags"])
    found = [
        f"{path}: expected {value!r}, told {got[path]!r}"
        for path, value in asked.items()
        if value is not ANY and got[path] != value
    ]
    if missing := wanted.candidates - set(line.get("candidates", ())):
        found.append(f"candidates: {sorted(missing)} missing in {line.get('candidates')}")
    twin = lines.get(line.get("twin", ""))
    if wanted.twin and not (twin and twin.get("twin") == line["id"] and twin["direction"] != line["direction"]):
        found.append(f"twin: expected one that refers back, told {line.get('twin')!r}")
    if not wanted.twin and "twin" in line:
        found.append(f"twin: expected none, told {line['twin']!r}")
    return found


def own_port(line: Line) -> int:
    """The port of the host that sent or received the reset."""
    return int(line["sport"] if line["direction"] == "sent" else line["dport"])


def _value(line: Line, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = line
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _show_expected(wanted: Expected) -> str:
    trigger = "" if wanted.trigger in (None, ANY) else f" [{wanted.trigger}]"
    verdict = f"{wanted.cause}/{wanted.family}/{wanted.certainty}"
    return f"{wanted.host} {wanted.direction} at port {wanted.port}{trigger} {verdict} owner {wanted.owner}"


def _show(host: str, line: Line) -> str:
    kernel = line.get("kernel", {})
    trigger = f" [{line['trigger']['flags']}]" if line.get("trigger") else ""
    ends = f"{line['src']}:{line['sport']} > {line['dst']}:{line['dport']}"
    verdict = f"{line['cause']}/{line['family']}/{line['certainty']}"
    people = " ".join(f"{role} {line[role]}" for role in ("owner", "closer") if role in line)
    reason = f"({kernel.get('reason')} {kernel.get('state')})"
    return f"{line['count']} x {host} {line['direction']} {ends}{trigger} {verdict} {reason} {people}".rstrip()
