"""`python -m tools.kernels`: the ground truth on other kernels, under emulation; writes the table in docs/kernels.md.

What was found stays below build/kernels, by what was tested: a run that was cut goes on where it was, and only what
changed since is run again.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

from tests.hosts.cases import CASES, TIERS
from tools.kernels import image, packages, results
from tools.kernels.boot import boot
from tools.kernels.packages import Kernel, NotThere

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "build/kernels"
PAGE = ROOT / "docs/kernels.md"
TESTED = ("src/whyreset", "tests/hosts", "tests/kernels", "tools/kernels")
#: Parts of the first that have no say in what a reset is told as.
UNTESTED = ("alerts", "demo", "outputs/terminal")
#: Tiers that a kernel is also asked for, beside its best: each of the lesser ones runs for real on one that has it.
ALSO = {"6.1": ("drops",), "6.12": ("functions",), "": ("passive reasons",)}
#: How much slower an emulated machine is than the one that tests were written on.
PATIENCE = 8
#: Cases for one boot: a machine that hangs takes no more than these with it.
PORTION = 40
SECONDS_A_CASE = 90


def digest() -> str:
    """What was tested, in short."""
    total = hashlib.sha256()
    for folder in TESTED:
        for path in sorted((ROOT / folder).rglob("*")):
            skipped = any(path.is_relative_to(ROOT / TESTED[0] / part) for part in UNTESTED)
            if path.is_file() and path.suffix in (".py", ".so", ".o") and not skipped:
                total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]


def run(kernel: Kernel, tier: str, wanted: list[str]) -> results.Run | None:
    """The cases on one kernel at one tier (the best where it is empty), but for those that were told already."""
    name = f"{kernel.release}{'-' + tier.replace(' ', '-') if tier else ''}"
    kept = FOLDER / f"{name}-{digest()}.results"
    left = [each for each in wanted if each not in _done(kept)]
    archive = FOLDER / f"{kernel.release}.cpio"
    if left:
        image.build(kernel, ROOT, archive, (ROOT / "tools/kernels/init.py").read_text())
    for start in range(0, len(left), PORTION):
        found = results.gather(results.read(kept))
        if found is not None and found.tier == "counters":
            break  # no reset can be told there
        _run_portion(kernel, archive, tier, left[start : start + PORTION], kept)
    return results.gather(results.read(kept))


def _run_portion(kernel: Kernel, archive: Path, tier: str, cases: list[str], kept: Path) -> None:
    print(f"Linux {kernel.release}{', ' + tier if tier else ''}: {', '.join(cases)}", flush=True)
    told, log = FOLDER / f"{kernel.release}.told", FOLDER / f"{kernel.release}.log"
    words = f"WHYRESET_PATIENCE={PATIENCE} CASES={','.join(cases)} TIER={tier.replace(' ', '_')}"
    began = time.monotonic()
    ended = boot(kernel, archive, log, told, words=words, seconds=300 + SECONDS_A_CASE * len(cases))
    with kept.open("a") as file:
        for line in results.read(told):
            file.write(json.dumps(line) + "\n")
            _report(line)
    print(f"    {time.monotonic() - began:.0f} s", flush=True)
    if missed := [each for each in cases if each not in _done(kept)]:
        how = "ended" if ended else "was stopped"
        print(f"    the machine {how} without the right word on {', '.join(missed)}; its console: {log}", flush=True)


def _done(kept: Path) -> set[str]:
    """The cases that were told as what they are; others are tried again."""
    lines = [line for line in results.read(kept) if "case" in line]
    return {f"{line['case']}-v{line['version']}" for line in lines if line["outcome"] in ("right", "skipped")}


def _report(line: results.Line) -> None:
    if "failed" in line:
        print(f"    {line['failed']}", flush=True)
    elif "case" in line and line["outcome"] not in ("right", "skipped"):
        print(f"    {line['case']}-v{line['version']} {line['outcome']}:", *line["words"], sep="\n        ", flush=True)


def main() -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="kernels", description="Run the ground truth on other kernels.")
    parser.add_argument(
        "--kernel", action="append", help=f"a series of kernels; by default {', '.join(packages.SERIES)}"
    )
    parser.add_argument("--tier", action="append", choices=("best", *TIERS[1:]), help="only at this tier")
    parser.add_argument("--case", action="append", help="only this case, for example 04a or 04a-v6")
    arguments = parser.parse_args()
    everything = {f"{case.id}-v{version}": case.id for case in CASES for version in case.versions}
    wanted = [key for key, case in everything.items() if not arguments.case or {key, case} & set(arguments.case)]
    runs: list[results.Run] = []
    try:
        for series in arguments.kernel or packages.SERIES:
            kernel = packages.unpack("" if series == "newest" else series, FOLDER)
            for tier in arguments.tier or ("best", *ALSO.get(series, ())):
                # of the lesser ones IPv4 is enough
                cases = [key for key in wanted if tier == "best" or key.endswith("-v4")]
                found = run(kernel, "" if tier == "best" else tier, cases)
                runs += [found] if found else []
    except NotThere as missing:
        print(f"kernels: {missing}", file=sys.stderr)
        return 1
    if not (arguments.case or arguments.kernel or arguments.tier):
        results.write(PAGE, runs)
    wrong = [(each.title, line) for each in runs for line in each.wrong()]
    for title, line in wrong:
        print(f"{title}: {line['case']}-v{line['version']} {line['outcome']}", flush=True)
    print(f"{sum(len(each.cases) for each in runs)} cases, {len(wrong)} not as they should be", flush=True)
    return 1 if wrong or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
