"""What cases were told as on other kernels, kept as JSON lines; and the table of them in docs/kernels.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hosts.cases import CASES

Line = dict[str, Any]
BEGIN, END = "<!-- made by `make test-kernels`: begin -->\n", "<!-- made by `make test-kernels`: end -->\n"


@dataclass(frozen=True)
class Run:
    """All that is known of one kernel at one tier."""

    release: str
    tier: str
    missing: tuple[Mapping[str, str], ...]
    #: By case and IP version.
    cases: Mapping[tuple[str, int], Line] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """As the table names it."""
        return f"Linux {self.release.removesuffix('-amd64')}, {self.tier}"

    def wrong(self) -> list[Line]:
        """Cases that were told as something else than they are, or broke."""
        return [line for line in self.cases.values() if line["outcome"] not in ("right", "skipped")]


def read(path: Path) -> list[Line]:
    """The whole lines of a file; none where there is no file."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # cut where the machine was stopped
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def gather(lines: Iterable[Line]) -> Run | None:
    """The run that these lines tell of; None where it never began."""
    start: Line | None = None
    cases: dict[tuple[str, int], Line] = {}
    for line in lines:
        if "tier" in line:
            start = line
        elif "case" in line:
            cases[line["case"], line["version"]] = line
    return Run(start["release"], start["tier"], tuple(start["missing"]), cases) if start else None


def kernels(runs: Sequence[Run]) -> str:
    """A table of Markdown: what each kernel lets us see."""
    lines = ["| kernel | tier | what is lost | since |", "|---|---|---|---|"]
    seen: set[str] = set()
    for run in runs:
        # other sources do not depend on the kernel
        told = [each for each in run.missing if each["source"] == "kernel"]
        lost, why = ("; ".join(each[key] for each in told) for key in ("lost", "why"))
        if run.release in seen:
            why = "it was asked for, and stands for kernels that have no more"
        seen.add(run.release)
        lines.append(f"| {run.release} | {run.tier} | {lost or 'nothing'} | {why} |")
    return "\n".join(lines) + "\n"


def table(runs: Sequence[Run]) -> str:
    """A table of Markdown: cases down, kernels across."""
    runs = [run for run in runs if run.cases]
    lines = ["| # | what is done | " + " | ".join(run.title for run in runs) + " |", "|---" * (2 + len(runs)) + "|"]
    for case in CASES:
        cells = [_cell(run, case.id) for run in runs]
        lines.append(f"| {case.id} | {case.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(run: Run, case: str) -> str:
    found = [line for (name, _), line in run.cases.items() if name == case]
    if not found:
        return "not run"
    words = sorted({_words(line) for line in found})
    return "; ".join(words)


def _words(line: Line) -> str:
    if line["outcome"] == "skipped":
        return f"skipped: no {line['words'][0]}"
    if line["outcome"] != "right":
        return f"**{line['outcome']}**"
    told = ", ".join(line["told"]) or ("nothing" if not line.get("unseen") else "")
    unseen = f"{line['unseen']} unseen" if line.get("unseen") else ""
    return ", ".join(part for part in (told, unseen) if part)


def write(page: Path, runs: Sequence[Run]) -> None:
    """Put the table into the page, between its two marks."""
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{kernels(runs)}\n{table(runs)}\n{END}{after}")
