"""`whyreset capture`: real resets in a file that says why each was sent, for Wireshark and for `explain`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND, run
from tests.core.packets import analyze
from tests.evidence import tshark
from tests.hosts import Host
from tests.hosts.cases import Stage
from tests.hosts.hosts import await_true

PORT = 8080


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


class Capture:
    """A running capture on a host; from the constructor's return on, every reset will be seen."""

    def __init__(self, host: Host, path: Path, *words: str) -> None:
        self.path = path
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by stop()
        command = (*COMMAND, "capture", "-o", str(path), "--duration", "60", *words)
        self.process = host.start(*command, stderr=self._errors)
        self.said = ""
        try:
            await_true(lambda: "capturing into" in self.stderr() or self.process.poll() is not None, "a start", 20)
        except BaseException:
            self.process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stderr(self) -> str:
        """What it said so far."""
        if not self._errors.closed:
            # its place is the command's own: it stays where that writes
            self.said = os.pread(self._errors.fileno(), 1 << 16, 0).decode()
        return self.said

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ends it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.stderr()
        self._errors.close()
        return code

    def await_packets(self, count: int) -> None:
        """Wait until the file, which is being written, holds so many; it can be read all the time."""

        def holds() -> bool:
            data = self.path.read_bytes()
            read = analyze(data)
            if read.problem is not None:
                # the kernel shows a write of several pages page by page: a moment later it is whole
                await_true(lambda: self.path.stat().st_size > len(data), "the rest of a block", 1)
                return False
            return read.summary().packets >= count

        await_true(holds, f"{count} packets in the file")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a capture goes."""
    return tmp_path / "x.pcapng"


def explained(path: Path) -> list[dict[str, Any]]:
    """What `explain` says of the resets of a file."""
    ended = run("explain", "--json", str(path))
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return [line for line in lines if line["type"] == "reset"]


def test_a_reset_is_written_with_its_cause_and_its_owner(stage: Stage, path: Path) -> None:
    """Wireshark shows both as a comment, `explain` gives both back, and the segment that provoked it is marked."""
    listener = stage.listen(PORT)
    with Capture(stage.b, path) as capture:
        listener.close()
        stage.refused(PORT)
        capture.await_packets(2)
    assert capture.process.returncode == 0
    (line,) = explained(path)
    assert (line["cause"], line["certainty"], line["direction"]) == ("closed-port", "certain", "sent")
    assert (line["owner"]["pid"], line["owner"]["via"]) == (stage.server.pid, "former listener")
    assert line["kernel"]["reason"] == "NO_SOCKET"
    assert line["sources"] == ["recorder", "wire"]
    assert "recorder's word" in line["evidence"][0]
    syn, reset = tshark.fields(path, "tcp.flags.reset", "frame.comment", "frame.interface_name")
    assert (syn[0], syn[2], reset[0]) == ("0", "eth0", "1")
    assert "provoked" in syn[1]
    assert reset[1].startswith("closed-port, certain: closed port 8080, nobody listens there")
    assert f"[{stage.server.pid}]" in reset[1]
    assert "whyreset" in tshark.capinfos(path)


def test_a_program_that_closes_with_data_unread_is_named(stage: Stage, path: Path) -> None:
    """An active reset: the kernel's word and the process, and no payload in the file."""
    listener, client, server = stage.converse(PORT)
    with Capture(stage.b, path) as capture:
        client.send(b"precious secret")
        stage.b.await_states(PORT, "ESTABLISHED", 1)
        await_true(lambda: stage.b.unread() > 0, "data to lie unread")
        server.close()
        capture.await_packets(1)
    lines = explained(path)
    assert [(line["cause"], line["owner"]["pid"]) for line in lines] == [("unread-data", stage.server.pid)]
    assert b"precious" not in path.read_bytes()
    del listener


def test_all_segments_of_a_port_show_what_provoked_a_reset(stage: Stage, path: Path) -> None:
    """Data for a closed connection: it is neither SYN nor FIN, and it is there, marked, without its payload."""
    listener, client, server = stage.converse(PORT)
    with Capture(stage.b, path, "--segments", "--port", str(PORT)) as capture:
        server.close()
        stage.b.await_states(PORT, "FIN_WAIT2")
        client.send(b"precious secret")
        capture.await_packets(4)
    (line,) = explained(path)
    assert line["cause"] == "data-after-close"
    marked = [row for row in tshark.fields(path, "tcp.len", "frame.comment") if "provoked" in row[1]]
    assert [row[0] for row in marked] == ["15"]
    assert b"precious" not in path.read_bytes()
    del listener


def test_a_capture_that_is_killed_can_be_read(stage: Stage, path: Path) -> None:
    """After SIGKILL the file has every reset that was explained, and no half block."""
    with Capture(stage.b, path) as capture:
        stage.refused(PORT)
        capture.await_packets(2)
        capture.stop(signal.SIGKILL)
    assert [line["cause"] for line in explained(path)] == ["closed-port"]
    assert len(tshark.packets(path)) == 2


def test_other_ports_and_causes_are_left_out(stage: Stage, path: Path) -> None:
    """--port and --cause say what is wanted; a trigger stays with its reset."""
    with Capture(stage.b, path, "--port", str(PORT), "--cause", "closed-port") as capture:
        stage.refused(PORT + 1)
        stage.refused(PORT)
        capture.await_packets(2)
    assert {line["sport"] for line in explained(path)} == {PORT}
    assert len(tshark.packets(path)) == 2


def test_another_namespace_is_captured_by_name(stage: Stage, path: Path) -> None:
    """From anywhere, by the inode number of a namespace that has no name."""
    client = stage.client.pid
    with Capture(stage.b, path, "--netns", str(stage.a.inode), "--interface", "eth0") as capture:
        stage.refused(PORT)
        capture.await_packets(2)
    (line,) = explained(path)
    assert (line["cause"], line["src"]) == ("closed-port", stage.address_b)
    assert f"in network namespace {stage.a.inode}" in tshark.fields(path, "frame.interface_description")[0][0]
    assert client


def test_old_pcap_says_what_it_loses(stage: Stage, tmp_path: Path) -> None:
    """Packets alone: it is said at the start, and `explain` judges by them."""
    path = tmp_path / "x.pcap"
    with Capture(stage.b, path) as capture:
        stage.refused(PORT)
        capture.await_packets(2)
    assert "a .pcap file holds packets alone" in capture.said
    (line,) = explained(path)
    assert (line["family"], "owner" in line) == ("closed-port", False)


def test_two_captures_do_not_disturb_each_other(stage: Stage, tmp_path: Path) -> None:
    """Each has all of it."""
    paths = [tmp_path / "one.pcapng", tmp_path / "two.pcapng"]
    with Capture(stage.b, paths[0]) as one, Capture(stage.b, paths[1]) as two:
        stage.refused(PORT)
        for capture in (one, two):
            capture.await_packets(2)
    assert [[line["cause"] for line in explained(path)] for path in paths] == [["closed-port"], ["closed-port"]]


def test_it_says_at_the_end_what_is_in_the_file(stage: Stage, path: Path) -> None:
    """One line: how many packets, how many resets, how large."""
    with Capture(stage.b, path) as capture:
        stage.refused(PORT)
        capture.await_packets(2)
    last = capture.said.splitlines()[-1]
    assert last.startswith(f"whyreset: {path}: 2 packets, 1 reset, ")
