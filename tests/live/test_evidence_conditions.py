"""Evidence under bad conditions: interfaces that change, large segments, tags, full disks, floods."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND
from tests.core.packets import IP, VLAN, ethernet, ipv4, tcp
from tests.evidence import tshark
from tests.evidence.test_output import small_files
from tests.hosts import Host, Pair
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import await_true
from tests.live.test_capture import PORT, Capture, explained, path
from tests.live.test_wire import OURS, refused
from tests.outputs import values
from whyreset.evidence.frames import segment_of
from whyreset.model import Finding, Notice, Subject
from whyreset.recording import AFTER_NS, Recording

__all__ = ["path"]
SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


@contextmanager
def recording(host: Host, folder: Path, *, size: int | None = None) -> Iterator[Recording]:
    """The flight recorder, at work in a host, without what the kernel program tells."""
    made = Recording(str(folder), size=size)
    with host.inside():
        made.__enter__()
    try:
        yield made
    finally:
        made.__exit__()


def seen(recording: Recording) -> set[int]:
    """Ports of what is remembered."""
    recording.tick((), (), time.time_ns())
    segments = [segment_of(each.frame) for each in recording._recorder.play()]
    return {port for segment in segments if segment for port in (segment.sport, segment.dport)}


def finish(recording: Recording) -> list[Notice]:
    """What it tells while its file comes to its end, as if that time had passed."""
    later = AFTER_NS + 5 * SECOND
    return [
        notice
        for _ in range(4)
        for notice in recording.tick((), (), time.time_ns() + later, time.monotonic_ns() + later)
    ]


def test_names_of_interfaces_are_those_of_then(pair: Pair, tmp_path: Path) -> None:
    """One is renamed, another is there for a moment only; what they were called stands beside their packets."""
    with recording(pair.b, tmp_path) as recorder:
        refused(pair.a, OURS, 1001)
        await_true(lambda: 1001 in seen(recorder), "the first reset")
        pair.b.run("ip", "link", "set", "eth0", "down")
        pair.b.run("ip", "link", "set", "eth0", "name", "lan0", "up")
        recorder.tick((), (), time.time_ns())
        refused(pair.a, OURS, 1002)
        inside = f"/proc/{os.getpid()}/fd/{pair.b.descriptor}"
        pair.a.run("ip", "link", "add", "short", "type", "veth", "peer", "name", "brief", "netns", inside)
        for host, name, address in ((pair.a, "short", "198.51.100.1"), (pair.b, "brief", "198.51.100.2")):
            host.run("ip", "addr", "add", f"{address}/24", "dev", name)
            host.run("ip", "link", "set", name, "up")
        refused(pair.a, "198.51.100.2", 1003)
        pair.b.run("ip", "link", "del", "brief")
        await_true(lambda: {1002, 1003} <= seen(recorder), "the other resets")
        notice = recorder.arm("finding flood", "a test", time.time_ns())
        assert notice is not None
        assert notice.text.startswith("evidence from before the finding flood is being written to ")
        finish(recorder)
    (file,) = tmp_path.iterdir()
    rows = tshark.fields(file, "tcp.port", "frame.interface_name")
    named = {port: row[1] for row in rows for port in row[0].split("|") if port in ("1001", "1002", "1003")}
    assert named == {"1001": "eth0", "1002": "lan0", "1003": "brief"}
    assert "flood" in file.name


def test_armed_for_a_connection_its_segments_are_there_and_no_others(pair: Pair, tmp_path: Path) -> None:
    """From the moment it is armed: headers, both ways."""
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, recording(pair.b, tmp_path) as recorder:
        listener.bind((OURS, PORT))
        listener.listen()
        ends = []
        for _ in range(2):
            client = pair.a.socket(socket.AF_INET, socket.SOCK_STREAM)
            client.connect((OURS, PORT))
            ends.append((client, listener.accept()[0]))
        wanted, other = (client.getsockname() for client, _ in ends)
        recorder.arm("finding half-open", "", time.time_ns(), connections=[(OURS, PORT, *wanted)])
        for client, server in ends:
            client.send(b"precious secret")
            assert server.recv(100)
            server.send(b"answer")
            assert client.recv(100)

        def data() -> list[tuple[int, int]]:
            recorder.tick((), (), time.time_ns())
            found = [segment_of(each.frame) for each in recorder._recorder.play()]
            return [(each.sport, each.dport) for each in found if each and "P" in each.flags]

        await_true(lambda: len(data()) >= 2, "both segments")
        assert set(data()) == {(wanted[1], PORT), (PORT, wanted[1])}
        assert other[1] not in {port for pair_of in data() for port in pair_of}
        finish(recorder)
        for client, server in ends:
            client.close()
            server.close()
    (file,) = tmp_path.iterdir()
    assert b"precious" not in file.read_bytes()
    assert "15" in [row[0] for row in tshark.fields(file, "tcp.len")]


def test_what_arms_it_meanwhile_goes_into_the_same_file(pair: Pair, tmp_path: Path) -> None:
    """And more than one run makes is not written."""
    with recording(pair.b, tmp_path) as recorder:
        first = recorder.arm("alert one", "", time.time_ns())
        second = recorder.arm("finding two", "", time.time_ns(), ports=[80])
        assert first is not None
        assert second is not None
        assert second.text.startswith("evidence of the finding two goes into ")
        assert len(os.listdir(tmp_path)) == 1
        assert recorder._armed.ports == (80,)
        finish(recorder)
        assert recorder._writer is None
        assert not recorder._armed.ports


def test_a_flood_beyond_its_memory_is_told(pair: Pair, tmp_path: Path) -> None:
    """What is overwritten before its time is said, with how far back it still remembers."""
    answer_everyone(pair)
    with recording(pair.b, tmp_path, size=1 << 16) as recorder:
        flood(pair, 5000, spoofed=True, rate=20_000)
        notices: list[Notice] = []

        def told() -> bool:
            notices.extend(recorder.tick((), (), time.time_ns()))
            return any(notice.name == "recorder-overwritten" for notice in notices)

        await_true(told, "a notice")
        (notice,) = [notice for notice in notices if notice.name == "recorder-overwritten"]
        assert notice.count is not None
        assert notice.count > 1000
        assert "it remembers the last 0 s alone" in notice.text
        recorder.tick((), (), time.time_ns())
        assert not recorder.tick((), (), time.time_ns())  # once a minute


def test_a_full_disk_ends_the_file_and_not_the_recorder(pair: Pair, tmp_path: Path) -> None:
    """One notice says what is kept; the next alert has a file again."""
    answer_everyone(pair)
    with recording(pair.b, tmp_path) as recorder:
        flood(pair, 2000, spoofed=True, rate=20_000)
        await_true(lambda: bool(recorder.tick((), (), time.time_ns()) or recorder._recorder.count >= 4000), "packets")
        recorder.arm("alert one", "", time.time_ns())
        with small_files():
            notices = finish(recorder)
        assert [notice.name for notice in notices] == ["evidence-lost"]
        assert "may not grow any more: what was written of" in notices[0].text
        assert recorder._writer is None
        time.sleep(1.01)  # files are named by the second
        assert recorder.arm("alert one", "", time.time_ns()) is not None
        finish(recorder)
    for file in tmp_path.iterdir():
        tshark.capinfos(file)


def mounted(options: str, folder: Path, *words: str, after: str = "") -> str:
    """A shell's words that run the command with a file system of its own on a folder; nothing of it stays."""
    run = " ".join((*COMMAND, *words))
    return f"mount -t tmpfs -o {options} tmpfs {folder} && {{ {run}; code=$?; {after} exit $code; }}"


def test_a_capture_on_a_full_disk_keeps_whole_blocks(pair: Pair, tmp_path: Path) -> None:
    """One sentence, exit code 1, and what was written before can be read."""
    answer_everyone(pair)
    kept, small = tmp_path / "kept.pcapng", tmp_path / "small"
    small.mkdir()
    words = ("capture", "-o", f"{small}/x.pcapng", "--duration", "30")
    script = mounted("size=64k", small, *words, after=f"cp {small}/x.pcapng {kept};")
    with pair.b.start("unshare", "--mount", "sh", "-c", script, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "capturing into" in process.stderr.readline()
        flood(pair, 2000, spoofed=True, rate=5000)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(said.strip().splitlines()) == 1
    assert "there is no room left on the disk: what was written of" in said
    assert len(tshark.packets(kept)) > 20
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [("capture", "-o", "{}/x.pcapng"), ("watch", "--json", "--evidence", "{}")])
def test_a_disk_that_cannot_be_written_is_one_sentence(pair: Pair, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Before anything is attached for long, and not only when an alert comes."""
    script = mounted("ro", tmp_path, *(word.format(tmp_path) for word in words))
    done = pair.b.run("unshare", "--mount", "sh", "-c", script, check=False, timeout=60)
    assert done.code == 1
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert "cannot write" in done.err


def test_large_segments_are_kept_whole_or_by_their_headers(pair: Pair, path: Path) -> None:
    """The kernel's segments of up to 64 kB, which it cuts later (GSO), and jumbo frames."""
    for host in (pair.a, pair.b):
        host.run("ip", "link", "set", "eth0", "mtu", "9000")
    headers = path.with_name("headers.pcapng")
    sent = bytes(range(256)) * 2000
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((OURS, PORT))
        listener.listen()
        words = ("--segments", "--port", str(PORT))
        with Capture(pair.b, headers, *words) as one, Capture(pair.b, path, *words, "--snaplen", "262144") as two:
            with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.connect((OURS, PORT))
                accepted, _ = listener.accept()
                accepted.sendall(sent)
                accepted.close()
                while client.recv(1 << 20):
                    pass
            one.await_packets(10)
            two.await_packets(10)
    for file in (headers, path):
        rows = tshark.fields(file, "frame.len", "frame.cap_len", "tcp.len", "tcp.srcport")
        lengths = [int(row[2]) for row in rows if row[3] == str(PORT)]
        assert sum(lengths) == len(sent)
        assert max(lengths) > 20_000
        assert max(int(row[1]) for row in rows) < 200 or file == path
        assert file == headers or all(row[0] == row[1] for row in rows)
        tshark.capinfos(file)
    assert sent[:4096] in path.read_bytes()
    assert sent[:64] not in headers.read_bytes()


def test_tags_that_the_kernel_took_off_are_back_in_the_file(pair: Pair, path: Path) -> None:
    """One, and the outer one of two: a receiver finds it in the metadata; the file has the frame as it was."""
    tag, inner = struct.pack(">HH", 5, IP), struct.pack(">HHHH", 6, VLAN, 7, IP)
    frames = [ethernet(tag + ipv4(tcp("R", sport=1001)), VLAN), ethernet(inner + ipv4(tcp("R", sport=1002)), 0x88A8)]
    with pair.a.inside():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sender, Capture(pair.b, path) as capture:
        sender.bind(("eth0", 0))
        for frame in frames:
            sender.send(frame)
        capture.await_packets(2)
    rows = tshark.fields(path, "tcp.srcport", "vlan.id", "ieee8021ad.id", "frame.len")
    assert rows == [["1001", "5", "", str(len(frames[0]))], ["1002", "7", "6", str(len(frames[1]))]]
    assert all(frame in path.read_bytes() for frame in frames)


def test_a_flood_is_captured_within_its_memory_and_the_rest_is_told(pair: Pair, path: Path) -> None:
    """A short one; `make bench ARGS=evidence` has the minute of 100,000 a second."""
    answer_everyone(pair)
    with Capture(pair.b, path) as capture:
        flood(pair, 150_000, spoofed=True, rate=100_000)
        await_true(lambda: path.stat().st_size > 5 << 20, "much of it", 20)
        resident = int(Path(f"/proc/{capture.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        capture.stop()
    assert resident < 80 << 20
    last = capture.said.splitlines()[-1]
    assert "packets lost for want of room" in last
    tshark.capinfos(path)
    kept = int(last.split(" packets")[0].rpartition(" ")[2].replace(",", ""))
    lost = int(last.split(" packets lost")[0].rpartition(" ")[2].replace(",", ""))
    assert kept + lost == pytest.approx(300_000, abs=200)


def test_a_word_freezes_what_is_remembered(pair: Pair, tmp_path: Path) -> None:
    """USR1 to `watch --evidence`: what provoked a reset is there though nobody armed anything before."""
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((OURS, PORT))
        listener.listen()
        words = ("watch", "--json", "--evidence", str(tmp_path))
        with pair.b.start(*COMMAND, *words, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert '"start"' in process.stdout.readline()
            with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.connect((OURS, PORT))
                accepted, _ = listener.accept()
                accepted.close()
                pair.b.await_states(PORT, "FIN_WAIT2")
                client.send(b"precious secret")
                while '"data-after-close"' not in process.stdout.readline():
                    pass
            process.send_signal(signal.SIGUSR1)
            while '"name":"evidence"' not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
    (file,) = tmp_path.iterdir()
    rows = tshark.fields(file, "tcp.len", "frame.comment")
    (copied,) = [row for row in rows if "this provoked a reset (data-after-close)" in row[1]]
    assert "copied by the kernel program" in copied[1]
    assert copied[0] == "15"
    (line,) = explained(file)
    assert (line["cause"], line["owner"]["pid"]) == ("data-after-close", os.getpid())
    assert b"precious" not in file.read_bytes()


def finding(port: int, severity: str = "warning", state: str = "open", resets: tuple[int, ...] = ()) -> Finding:
    """What the judge says."""
    return Finding(
        id="f1",
        name="service-down",
        state=state,  # type: ignore[arg-type]
        time_ns=time.time_ns(),
        subject=Subject(port=port),
        since_ns=0,
        count=3,
        confidence="likely",
        severity=severity,  # type: ignore[arg-type]
        sentence="api stopped",
        evidence=(),
        resets=resets,
    )


def test_a_finding_of_weight_arms_it_for_what_it_is_about(pair: Pair, tmp_path: Path) -> None:
    """Its port, and the connections of the resets that show it; what is harmless, or goes on, arms nothing."""
    with recording(pair.b, tmp_path) as recorder:
        told = values.reset(number=7, sample={"local": OURS, "local_port": 9, "remote": "192.0.2.1", "remote_port": 5})
        calm = [finding(80, "harmless"), finding(80, state="update")]
        assert not recorder.tick([told], (), time.time_ns(), findings=calm)
        (notice,) = recorder.tick((), (), time.time_ns(), findings=[finding(80, resets=(7,))])
        assert "before the finding service-down" in notice.text
        assert recorder._armed.ports == (80,)
        assert recorder._armed.connections == ((OURS, 9, "192.0.2.1", 5),)
        assert [file.name.endswith("-service-down.pcapng") for file in tmp_path.iterdir()] == [True]
