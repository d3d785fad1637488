"""Wireshark live: real resets in Debian's tshark, each with its cause, while they happen."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import needs
from tests.hosts.cases import Stage
from tests.hosts.hosts import await_true
from whyreset.evidence import extcap

PORT = 8080
SECONDS = 8

#: In a mount namespace of its own, so that this machine's Wireshark stays as it is.
INSTALL = 'mount -t tmpfs none "$0" && "$1" -m whyreset extcap --install >&2 && shift 1 && exec "$@"'


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()
    needs.command("tshark")


def installed(*command: str) -> tuple[str, ...]:
    """A command in whose world this program is one of Wireshark's extcap programs."""
    return ("unshare", "--mount", "sh", "-c", INSTALL, str(extcap.folder(root=True)), sys.executable, *command)


def test_wireshark_lists_it() -> None:
    """After --install, among the interfaces; and it has options to set."""
    listed = subprocess.run(installed("tshark", "-D"), check=True, capture_output=True, text=True, timeout=60).stdout
    assert "whyreset (TCP resets, explained)" in listed


def test_wireshark_shows_resets_with_their_causes(stage: Stage, tmp_path: Path) -> None:
    """`tshark -i whyreset` for some seconds, in a namespace with real resets: comment, interface, no warning."""
    path = tmp_path / "live.pcapng"
    words = ("tshark", "-i", extcap.INTERFACE, "-a", f"duration:{SECONDS}", "-w", str(path))
    live = stage.b.start(*installed(*words), stderr=subprocess.PIPE)
    with live:
        try:
            await_true(lambda: path.exists() and path.stat().st_size > 0, "tshark to begin", 30)
            deadline = time.monotonic() + SECONDS * 2
            while live.poll() is None and time.monotonic() < deadline:
                stage.refused(PORT)
                time.sleep(0.2)  # until tshark has had its time
            _, said = live.communicate(timeout=30)
        finally:
            live.kill()
    assert live.returncode == 0, said
    assert not [line for line in said.splitlines() if "rror" in line or "arning" in line], said
    command = [shutil.which("tshark") or "", "-n", "-r", str(path), "-Y", "tcp.flags.reset==1", "-T", "fields"]
    told = subprocess.run([*command, "-e", "frame.comment"], check=True, capture_output=True, text=True, timeout=60)
    comments = told.stdout.splitlines()
    assert len(comments) > 2
    assert all(each.startswith("closed-port, certain: closed port 8080") for each in comments), comments
