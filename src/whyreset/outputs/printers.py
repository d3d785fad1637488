"""Where `watch` writes: NDJSON, or plain lines. Each tick is written at once and flushed once."""

from __future__ import annotations

from typing import Protocol, TextIO

import msgspec

from whyreset.model import Missing, Tick
from whyreset.outputs import alerts as alert_words
from whyreset.outputs import findings as finding_words
from whyreset.outputs import plain, wire
from whyreset.outputs.lines import Line


class Printer(Protocol):
    """What a way of writing can do; times are nanoseconds since the epoch."""

    def start(
        self, time_ns: int, *, version: str, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]
    ) -> None:
        """Says that everything is attached."""

    def write(self, tick: Tick) -> None:
        """Writes what one tick brought."""

    def end(self, time_ns: int, *, reason: str, totals: dict[str, int]) -> None:
        """Says why it ends, and the whole account."""

    def close(self) -> None:
        """Gives back what it took, on every way out; may be called again."""


class JsonPrinter:
    """One JSON object a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()

    def start(
        self, time_ns: int, *, version: str, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]
    ) -> None:
        self._print([wire.start_line(time_ns, version=version, sources=sources, tier=tier, missing=missing)])

    def write(self, tick: Tick) -> None:
        lines: list[Line] = [wire.reset_line(each) for each in tick.resets]
        lines += [wire.count_line(each) for each in tick.counts]
        lines += [wire.notice_line(each) for each in tick.notices]
        lines += [finding_words.finding_line(each) for each in tick.findings]
        lines += [alert_words.alert_line(each) for each in tick.alerts]
        if tick.verdict is not None:
            lines.append(finding_words.verdict_line(tick.verdict))
        self._print(lines)

    def end(self, time_ns: int, *, reason: str, totals: dict[str, int]) -> None:
        self._print([wire.end_line(time_ns, reason=reason, totals=totals)])

    def close(self) -> None:
        """Nothing was taken."""

    def _print(self, lines: list[Line]) -> None:
        if lines:
            self._out.write("".join(self._encoder.encode(line).decode() + "\n" for line in lines))
            self._out.flush()


class PlainPrinter:
    """Lines for people. The account is told at the end, and when something of it is missing."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(
        self, time_ns: int, *, version: str, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]
    ) -> None:
        lines = [
            f"whyreset {version}: watching this host's TCP resets ({', '.join(sources)}; tier {tier}); Ctrl-C ends it"
        ]
        lines += [f"not seen: {each.lost} ({each.source}: {each.why})" for each in missing]
        self._print(lines)

    def write(self, tick: Tick) -> None:
        lines = [plain.reset_text(each) for each in tick.resets]
        lines += [
            plain.count_text(each) for each in tick.counts if each.delta.get("lost") or each.delta.get("received_lost")
        ]
        lines += [plain.families_text(each) for each in tick.counts if each.families and each.delta.get("counted")]
        lines += [plain.notice_text(each) for each in tick.notices]
        lines += [finding_words.finding_text(each) for each in tick.findings]
        lines += [alert_words.alert_text(each) for each in tick.alerts]
        self._print(lines)

    def end(self, time_ns: int, *, reason: str, totals: dict[str, int]) -> None:
        self._print([plain.totals_text(totals)])

    def close(self) -> None:
        """Nothing was taken."""

    def _print(self, lines: list[str]) -> None:
        if lines:
            self._out.write("".join(line + "\n" for line in lines))
            self._out.flush()
