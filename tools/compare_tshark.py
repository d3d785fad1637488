"""Compare the resets that the core finds in captures with those that tshark finds: the same frames, no more, no fewer.

`python -m tools.compare_tshark FOLDER...` (or files). Resets that ICMP errors quote are none. Prints each difference;
exits with 1 if there is one. `--list FILE` compares with a list that tshark made before instead: JSON, by file name
[{"frame", "src", "sport", "dst", "dport"}].
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from whyreset.core.segments import Analyzer
from whyreset.sources.captures import read

Found = tuple[int, str, int, str, int]
SUFFIXES = {".pcap", ".pcapng", ".cap", ".trace", ".gz", ".zst", ".xz"}
#: A frame counts once, with the ends of its innermost connection.
FIELDS = ("frame.number", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "frame.protocols")


def captures(paths: list[Path]) -> Iterator[Path]:
    """The files, and those in the folders and below."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        else:
            yield path


def ours(path: Path) -> set[Found]:
    """What the core finds."""
    analyzer = Analyzer(each=True)
    for _ in read([str(path)], analyzer):
        pass
    analyzer.finish()
    found = (each.sample for each in analyzer.take())
    return {(each.frame, each.src, each.sport, each.dst, each.dport) for each in found}


def tsharks(path: Path) -> set[Found]:
    """What tshark finds, also where it stops because the file is damaged."""
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp.flags.reset == 1 && !icmp && !icmpv6"]
    command += ["-T", "fields", "-E", "occurrence=l", *(word for field in FIELDS for word in ("-e", field))]
    output = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3600).stdout
    found = set()
    for line in output.splitlines():
        frame, src4, src6, sport, dst4, dst6, dport, protocols = line.split("\t")
        inner = protocols.rfind(":ipv6") > protocols.rfind(":ip:")
        found.add((int(frame), src6 if inner else src4, int(sport), dst6 if inner else dst4, int(dport)))
    return found


def show(where: str, name: str, found: set[Found]) -> None:
    """Differences, the first few."""
    for frame, src, sport, dst, dport in sorted(found)[:5]:
        print(f"{name}: frame {frame}, {src}:{sport} > {dst}:{dport}: only {where} sees a reset")
    if len(found) > 5:
        print(f"{name}: and {len(found) - 5} more that only {where} sees")


def main() -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="compare_tshark", description="Compare with tshark.")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--list", type=Path, help="what tshark found before")
    arguments = parser.parse_args()
    listed = json.loads(arguments.list.read_text()) if arguments.list else None
    if listed is None and shutil.which("tshark") is None:
        print("tshark is not installed", file=sys.stderr)
        return 1
    files = resets = different = 0
    for path in captures(arguments.paths):
        if listed is None:
            theirs = tsharks(path)
        elif path.name in listed:
            theirs = {(x["frame"], x["src"], x["sport"], x["dst"], x["dport"]) for x in listed[path.name]}
        else:
            continue
        mine = ours(path)
        files, resets, different = files + 1, resets + len(theirs), different + (mine != theirs)
        show("tshark", str(path), theirs - mine)
        show("whyreset", str(path), mine - theirs)
    print(f"{files} captures, {resets} resets by tshark, {different} captures differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
