"""What Wireshark is told of this program when it asks its extcap programs what they offer: extcap(4)."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: The interface as Wireshark names it, and as people see it in the list.
INTERFACE, DISPLAY = "whyreset", "TCP resets, explained"

_PATIENCE_SECONDS = 10


class ExtcapError(Exception):
    """One sentence for the user."""


def interfaces(version: str) -> str:
    """The answer to --extcap-interfaces."""
    return (
        f"extcap {{version={version}}}{{help=https://www.wireshark.org/docs/man-pages/extcap.html}}{{display=whyreset}}\n"
        f"interface {{value={INTERFACE}}}{{display={DISPLAY}}}\n"
    )


def link_types() -> str:
    """The answer to --extcap-dlts: what most packets have; each interface says its own once it runs."""
    return "dlt {number=1}{name=EN10MB}{display=Ethernet}\n"


def options() -> str:
    """The answer to --extcap-config: what a person may set."""
    return "".join(
        f"arg {{number={number}}}{{call={call}}}{{display={display}}}{{type={kind}}}{{tooltip={tip}}}\n"
        for number, (call, display, kind, tip) in enumerate(
            (
                ("--port", "Port", "string", "Only packets from or to this port"),
                ("--cause", "Cause", "string", "Only resets of this cause or family of causes"),
                ("--netns", "Network namespace", "string", "A name or an inode number or all; ours without it"),
                ("--snaplen", "Bytes of each packet", "string", "Payload too; without it headers alone"),
            )
        )
    )


def folder(*, root: bool) -> Path:
    """Where this user's Wireshark looks for extcap programs: one's own folder, or root's for everybody.

    Raises ExtcapError where there is no Wireshark.
    """
    command = shutil.which("tshark") or shutil.which("wireshark")
    if command is None:
        raise ExtcapError("neither wireshark nor tshark is installed: install one, or name the folder with --folder")
    try:
        told = subprocess.run(
            [command, "-G", "folders"], check=False, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ExtcapError(f"{command} does not tell its folders: name the folder with --folder") from error
    found = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in told.stdout.splitlines())
    }
    own, everybody = (
        found.get("personal extcap path", ""),
        found.get("extcap path", found.get("global extcap path", "")),
    )
    chosen = (everybody or own) if root else (own or everybody)
    if not chosen:
        raise ExtcapError(f"{command} does not tell its folders: name the folder with --folder")
    return Path(chosen)


def install(where: Path, command: Sequence[str]) -> Path:
    """Puts a small script there that calls this program; what another program put there stays.

    Args:
        where: the folder.
        command: how this program is called.

    Raises ExtcapError.
    """
    path = where / "whyreset"
    text = f'#!/bin/sh\n# made by `whyreset extcap --install`\nexec {shlex.join(command)} extcap "$@"\n'
    try:
        if path.exists() and "whyreset extcap --install" not in path.read_text(errors="replace"):
            raise ExtcapError(f"{path} is not ours, and stays as it is: name another folder with --folder")
        where.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    except OSError as error:
        raise ExtcapError(f"cannot write {path}: {error.strerror}; name another folder with --folder") from error
    return path
