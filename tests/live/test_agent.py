"""`whyreset agent` on real hosts, and what is told afterwards of what it kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli.test_missing import as_nobody
from tests.cli.whyreset import is_one_sentence, run
from tests.evidence import tshark
from tests.hosts import Host, Pair
from tests.hosts.cases import Stage
from tests.live.agents import Agent, inside
from tests.live.test_alerts import SURGE, surge
from tests.live.test_capture import explained
from whyreset.outputs import lines
from whyreset.outputs.store import files

Line = dict[str, Any]
VALIDATOR = jsonschema.Draft202012Validator(lines.schema())
PORT = 8080


@pytest.fixture
def store() -> Iterator[Path]:
    """A history's file in a folder that the agent's own user comes to, and makes its own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name) / "kept" / "history.db"


def refuse(host: Host, port: int, count: int = 3) -> None:
    """So many clients ask for a closed port."""
    for _ in range(count):
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0


def kept(store: Path, *words: str) -> list[Line]:
    """The lines of a history; all are in the schema."""
    ended = run("history", "--json", "--store", str(store), *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    for line in found:
        VALIDATOR.validate(line)
    return found


def resets(found: list[Line], host: Host) -> list[Line]:
    """Those that a host sent."""
    return [
        line
        for line in found
        if line["type"] == "reset" and line["netns_cookie"] == host.cookie and line["direction"] == "sent"
    ]


def test_what_happened_is_told_afterwards(pair: Pair, store: Path) -> None:
    """The agent has ended, and its history tells who reset why; its own output told alerts and notices alone."""
    with Agent(store) as agent:
        assert "packets" in agent.start["sources"]
        refuse(pair.b, 9, 5)
        time.sleep(1.2)  # over a flush
        refuse(pair.b, 9, 2)
        assert agent.stop() == 0
        assert agent.errors == ""
    assert {line["type"] for line in agent.lines} <= {"start", "alert", "notice", "end"}
    assert (agent.lines[-1]["type"], agent.lines[-1]["reason"]) == ("end", "SIGTERM")
    found = kept(store)
    assert found[0]["type"] == "start"
    (line,) = resets(found, pair.b)
    assert (line["count"], line["cause"], line["sport"]) == (7, "closed-port", 9)
    counted = [line for line in found if line["type"] == "count" and line["netns_cookie"] == pair.b.cookie]
    assert counted[-1]["counted"] == counted[-1]["seen"] == 7
    assert resets(kept(store, "--port", "10"), pair.b) == []
    assert resets(kept(store, "--cause", "unread-data"), pair.b) == []
    assert resets(kept(store, "--since", "2030-01-01", "--until", "2030-01-02"), pair.b) == []
    assert len(resets(kept(store, "--netns", str(pair.b.inode), "--port", "9"), pair.b)) == 1
    said = run("history", "--store", str(store), "--netns", str(pair.b.inode)).stdout
    assert "7  closed port 9, nobody listens there, clients are refused" in said
    assert "no agent runs now" in said
    assert "The history begins at" in said


def test_while_it_runs_it_is_read(pair: Pair, store: Path) -> None:
    """Within two seconds, by the command and by a watch that begins; none holds up the other."""
    with Agent(store) as agent:
        refuse(pair.b, 9, 5)
        deadline = time.monotonic() + 20
        while not (found := resets(kept(store), pair.b)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert sum(line["count"] for line in found) == 5
        said = run("history", "--store", str(store)).stdout
        pid = files.holder(str(store))
        assert pid
        assert f"the agent runs (process {pid})" in " ".join(said.split())  # lines are broken
        watched = run("watch", "--json", "--duration", "0.3", "--store", str(store), "--netns", str(pair.b.inode))
        notice = next(line for line in map(json.loads, watched.stdout.splitlines()) if line["type"] == "notice")
        assert notice["text"].startswith("the agent saw in the last")
        assert "5 sent (100 % closed port 9)" in notice["text"]
        ended = run("agent", "--store", str(store))
        assert ended.returncode == 1
        assert is_one_sentence(ended.stderr)
        assert f"process {pid}" in ended.stderr
        assert agent.stop() == 0


def test_who_knows_of_before(stage: Stage, store: Path) -> None:
    """A service was killed and clients were refused while an agent ran; it has ended, and who tells it all."""
    with Agent(store) as agent:
        stage.listen(PORT)
        pid = stage.server.pid
        stage.server.crash()
        refuse(stage.b, PORT, 1)
        assert agent.stop() == 0
    ended = run("who", str(PORT), "--json", "--store", str(store), before=("unshare", "--net"))
    line = json.loads(ended.stdout)
    VALIDATOR.validate(line)
    assert "history" in line["sources"]
    former = [each for each in line["former"] if each["netns_cookie"] == stage.b.cookie]
    assert [(each["owner"]["pid"], each["end"]) for each in former] == [(pid, "killed by SIGSEGV")]
    assert any(each["netns_cookie"] == stage.b.cookie and each["cause"] == "closed-port" for each in line["resets"])
    assert line["kept_since"]
    text = run("who", str(PORT), "--store", str(store), before=("unshare", "--net")).stdout
    assert "killed by SIGSEGV" in text


def test_a_kill_loses_little_and_the_gap_is_told(machine: None, store: Path) -> None:
    """kill -9: what was seen two seconds before is there; that nobody watched until the next agent is said."""
    with Host("refusing") as host:
        with Agent(store) as agent:
            refuse(host, 9, 5)
            deadline = time.monotonic() + 20
            while not resets(kept(store), host) and time.monotonic() < deadline:
                time.sleep(0.1)
            agent.stop(signal.SIGKILL)
        time.sleep(1)
        with Agent(store) as agent:
            refuse(host, 10, 1)
            assert agent.stop() == 0
        assert sum(line["count"] for line in resets(kept(store), host)) == 6
    said = run("history", "--store", str(store)).stdout
    assert "the agent had ended without a word" in said
    starts = [line for line in kept(store) if line["type"] == "start"]
    assert len(starts) == 2


def test_a_surge_is_kept_with_its_alert_and_its_packets(machine: None, store: Path, tmp_path: Path) -> None:
    """After the alarm: history has the alert and the finding; the packets of before it come with their causes."""
    path = tmp_path / "past.pcapng"
    with Host("surging") as host, Agent(store, before=inside(host)) as agent:
        surge(host, 4).join()
        ended = run("capture", "--past", "5m", "--store", str(store), "-o", str(path))
        assert ended.returncode == 0, ended.stderr
        last = time.time()
        found = kept(store)
        only = tmp_path / "only.pcapng"
        run("capture", "--past", "5m", "--store", str(store), "-o", str(only), "--cause", "unread-data")
        assert agent.stop() == 0
    assert any(line["rule"] == SURGE and line["type"] == "alert" for line in agent.lines if line["type"] == "alert")
    assert any(line["type"] == "alert" and line["rule"] == SURGE for line in found)
    times = [float(row[0]) for row in tshark.fields(path, "frame.time_epoch")]
    assert times == sorted(times)
    assert times[-1] > last - 6  # those of the last seconds too
    lines_ = explained(path)
    sent = sum(line["count"] for line in resets(found, host))
    assert len(lines_) == sent > 100
    assert {line["cause"] for line in lines_} == {"closed-port"}
    noted = [line for line in lines_ if line["sources"] == ["recorder", "wire"]]
    assert len(noted) > len(lines_) * 0.95
    assert tshark.fields(only, "frame.number") == []


def test_owners_come_back_from_the_past(stage: Stage, store: Path, tmp_path: Path) -> None:
    """Of an abort: explain gives the cause, the owner and the closer that the agent knew."""
    path = tmp_path / "past.pcapng"
    with Agent(store, before=inside(stage.b)) as agent:
        _, client, server = stage.converse(PORT)
        client.send(b"unread")
        server.await_unread(6)
        server.close()
        ended = run("capture", "--past", "1m", "--store", str(store), "-o", str(path), "--port", str(PORT))
        assert ended.returncode == 0, ended.stderr
        assert agent.stop() == 0
    (line,) = [line for line in explained(path) if line["cause"] != "in-flight"]
    assert (line["cause"], line["owner"]["pid"], line["kernel"]["reason"]) == (
        "unread-data",
        stage.server.pid,
        "TCP_ABORT_ON_CLOSE",
    )


def test_a_service_manager_is_told(machine: None, store: Path) -> None:
    """Ready when everything is attached, alive within the watchdog's time, stopping at the end (sd_notify(3))."""
    address = store.parent.parent / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        address.chmod(0o777)  # as systemd's is
        manager.settimeout(20)
        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "2000000"}
        with Agent(store, env=env) as agent:
            assert manager.recv(4096).startswith(b"READY=1\n")
            assert manager.recv(4096) == b"WATCHDOG=1"
            agent.stop()
        said = b""
        while said != b"STOPPING=1":
            said = manager.recv(4096)


def test_a_full_disk_does_not_end_it(machine: None, store: Path) -> None:
    """It is told what is lost, watches on, and ends in order."""
    store.parent.mkdir()
    script = f'mount -t tmpfs -o size=128k none {store.parent}; exec "$@"'
    mounted = ("unshare", "--mount", "sh", "-c", script, "sh")
    with (
        Host("refusing") as host,
        Agent(store, before=mounted) as agent,
    ):
        pid = agent.process.pid
        with open(f"/proc/{pid}/root{store.parent}/filler", "wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        for port in range(1, 200):
            refuse(host, port, 1)
        time.sleep(2.5)
        assert agent.stop() == 0
    assert "Traceback" not in agent.errors
    lost = [line for line in agent.lines if line.get("name") == "history-lost"]
    assert lost
    assert "there is no room left on the disk" in lost[0]["text"]


def test_without_rights_it_counts(machine: None) -> None:
    """As a user without capabilities: families by counters are kept, and what is missing is said once."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        store = Path(folder) / "history.db"
        with Agent(store, before=as_nobody()) as agent:
            assert agent.start["tier"] == "counters"
            assert {each["source"] for each in agent.start["missing"]} >= {"kernel", "packets"}
            assert agent.stop() == 0
        assert kept(store)[0]["tier"] == "counters"


def test_nothing_is_said_of_what_nobody_kept(tmp_path: Path) -> None:
    """Without an agent: one sentence that says how to get a history; with another's file too."""
    for words in (["history"], ["capture", "--past", "5m", "-o", str(tmp_path / "x.pcapng")]):
        ended = run(*words, "--store", str(tmp_path / "none.db"))
        assert ended.returncode == 1
        assert is_one_sentence(ended.stderr)
        assert "whyreset agent" in ended.stderr
    assert list(tmp_path.iterdir()) == []
    diary = tmp_path / "diary"
    diary.write_text("dear diary")
    ended = run("agent", "--store", str(diary))
    assert is_one_sentence(ended.stderr)
    assert diary.read_text() == "dear diary"
    assert files.holder(str(diary)) == 0
    assert subprocess.run(["ls", tmp_path], capture_output=True, text=True, check=True).stdout == "diary\n"
