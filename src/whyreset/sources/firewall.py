"""A namespace's firewall rules that answer with resets, and what their counters say: nftables and iptables.

The firewall's own tools are asked (`nft -j list ruleset`, `iptables-legacy-save -c`), in the namespace, and are never
waited for: rules may be tens of thousands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from whyreset.sources.firewall_tools import PATIENCE_SECONDS, Listed, OwnTools, Tools

_MOST_BYTES = 8 << 20
_MOST_RULES = 1024
_MOST_TEXT = 200
_RESET = "tcp reset"
_SAVED = re.compile(r"\[(\d+):\d+\] (-A .*)")

Ports = Callable[[int], bool]


class Rule(Struct, frozen=True, kw_only=True):
    """A rule that answers with resets."""

    #: Tells it from all others.
    key: str
    text: str
    #: How often it matched; None where it has no counter.
    packets: int | None
    #: Ports to which the segments went that it answers, as (first, last); empty for any. The reset comes from there.
    ports: tuple[tuple[int, int], ...] = ()

    #: Of IP, which it is for; 0 for both.
    version: int = 0

    def fits(self, port: int | None, version: int) -> bool:
        """Whether it may have sent a reset from this port (None: from many)."""
        if self.version not in (0, version):
            return False
        return port is None or not self.ports or any(first <= port <= last for first, last in self.ports)


class Rules(Struct, frozen=True, kw_only=True):
    """What was read at one time."""

    #: CLOCK_BOOTTIME when it was asked for.
    time_ns: int
    rules: tuple[Rule, ...] = ()
    #: What could not be read, in words.
    unread: tuple[str, ...] = ()


class Firewall:
    """Asks for the rules of one namespace.

    Args:
        path: of the namespace; "" for our own.
        tools: runs the firewall's tools in the namespace at that path.
    """

    def __init__(self, path: str = "", tools: Callable[[str], Tools] = OwnTools) -> None:
        self.path = path
        self._tools = tools(path)
        self._unread: list[str] = []

    def ask(self) -> None:
        """Begins to read, unless that is under way."""
        self._tools.ask()

    def answer(self) -> Rules | None:
        """What was read; None while it is not complete."""
        said = self._tools.answer()
        if said is None:
            return None
        self._unread = list(said.unasked)
        rules = [rule for listed in said.listed for rule in self._read(listed)]
        return Rules(time_ns=said.time_ns, rules=tuple(rules[:_MOST_RULES]), unread=tuple(self._unread))

    def close(self) -> None:
        """Ends what runs."""
        self._tools.close()

    def _read(self, listed: Listed) -> list[Rule]:
        name = listed.name
        with open(listed.output, "rb") as output:
            if listed.code is None:
                self._unread.append(f"{name} took more than {PATIENCE_SECONDS:.0f} s to list its rules")
                return []
            if listed.code:
                self._unread.append(f"{name} lists no rules (exit code {listed.code})")
                return []
            output.seek(0)
            data = output.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            self._unread.append(f"{name} lists more rules than can be looked at")
            return []
        with suppress(ValueError, TypeError, KeyError, AttributeError, IndexError):
            return list(nft_rules(data) if name == "nft" else saved_rules(name, data.decode(errors="replace")))
        self._unread.append(f"{name} lists rules in a form that is not known")
        return []


def nft_rules(data: bytes) -> Iterator[Rule]:
    """The rules in what `nft -j list ruleset` says (libnftables-json(5)) that answer with resets."""
    items: list[dict[str, Any]] = msgspec.json.decode(data)["nftables"]
    named = {
        (each["family"], each["table"], each["name"]): int(each["packets"])
        for item in items
        if (each := item.get("counter")) is not None
    }
    for item in items:
        rule = item.get("rule")
        if rule is None:
            continue
        statements: list[Mapping[str, Any]] = rule.get("expr", [])
        if not any(_resets(each) for each in statements):
            continue
        packets = None
        ports: tuple[tuple[int, int], ...] = ()
        words = []
        for each in statements:
            if "counter" in each:
                packets = _packets(each["counter"], named, rule)
            if (found := _nft_ports(each)) is not None:
                ports = found
                words.append(f"dport {','.join(_range(*port) for port in found)}")
        place = f"{rule['family']} {rule['table']} {rule['chain']}"
        counted = "" if packets is None else f", counter {packets}"
        text = f"nft {place}, handle {rule['handle']}{', ' if words else ''}{' '.join(words)}{counted}"
        yield Rule(
            key=f"{place} {rule['handle']}",
            text=text[:_MOST_TEXT],
            packets=packets,
            ports=ports,
            version={"ip": 4, "ip6": 6}.get(rule["family"], 0),
        )


def _resets(statement: Mapping[str, Any]) -> bool:
    if "reject" in statement:
        return bool(statement["reject"] and statement["reject"].get("type") == _RESET)
    # rules of iptables-nft; how they reject is not told
    return bool(statement.get("xt", {}).get("name") == "REJECT")


def _packets(counter: Any, named: Mapping[tuple[str, str, str], int], rule: Mapping[str, Any]) -> int | None:
    if isinstance(counter, str):
        return named.get((rule["family"], rule["table"], counter))
    return int(counter["packets"]) if counter else None


def _nft_ports(statement: Mapping[str, Any]) -> tuple[tuple[int, int], ...] | None:
    match = statement.get("match")
    if match is None or match.get("op") not in ("==", "in"):
        return None
    payload = match["left"].get("payload") if isinstance(match["left"], dict) else None
    if payload is None or payload.get("field") != "dport":
        return None
    right = match["right"]
    values = right.get("set", [right]) if isinstance(right, dict) else [right]
    found = []
    for value in values:
        if isinstance(value, int):
            found.append((value, value))
        elif isinstance(value, dict) and "range" in value:
            found.append((int(value["range"][0]), int(value["range"][1])))
        else:  # a name of a set: it may hold anything
            return None
    return tuple(found)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def saved_rules(tool: str, text: str) -> Iterator[Rule]:
    """The rules in what `iptables-save -c` says that answer with resets."""
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        if "--reject-with tcp-reset" not in line or not (found := _SAVED.fullmatch(line)):
            continue
        words = shlex.split(found[2])
        ports: tuple[tuple[int, int], ...] = ()
        for word, value, before in zip(words, words[1:], ["", *words], strict=False):
            if word in ("--dport", "--dports", "--destination-port", "--destination-ports") and before != "!":
                ports = tuple(_saved_range(part) for part in value.split(","))
        yield Rule(
            key=f"{tool} {table} {found[2]}",
            text=f"{tool} {table}: {found[2]}, counter {found[1]}"[:_MOST_TEXT],
            packets=int(found[1]),
            ports=ports,
            version=6 if tool.startswith("ip6") else 4,
        )


def _saved_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    return int(first), int(last or first)
