"""What Wireshark's tools read in a file; tests skip where they are not installed."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import needs

#: What they say of who runs them.
_ROOT = 'Running as user "root" and group "root". This could be dangerous.'


def _run(*command: str) -> str:
    whole = (needs.command(command[0]), *command[1:])
    ended = subprocess.run(whole, check=False, capture_output=True, text=True, timeout=60)
    said = [line for line in ended.stderr.splitlines() if line and line != _ROOT]
    assert (ended.returncode, said) == (0, []), f"{command[0]} does not read it without a word"
    return ended.stdout


def fields(path: Path, *names: str) -> list[list[str]]:
    """A row for each packet, with these fields; a field that occurs several times is joined by «|»."""
    words = [word for name in names for word in ("-e", name)]
    told = _run("tshark", "-n", "-r", str(path), "-T", "fields", "-E", "aggregator=|", *words)
    return [line.split("\t") for line in told.splitlines()]


def packets(path: Path) -> list[dict[str, Any]]:
    """Each packet as tshark dissects it."""
    found: list[dict[str, Any]] = json.loads(_run("tshark", "-n", "-r", str(path), "-T", "json"))
    return found


def capinfos(path: Path) -> str:
    """What capinfos tells of a file."""
    return _run("capinfos", str(path))
