"""`whyreset explain` as a person or a program uses it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli.whyreset import COMMAND, run
from tests.core.test_alike import refused
from tests.evidence.test_notes import NOTE
from tests.evidence.test_pcapng import capture, packet
from tests.outputs.test_wire import SCHEMA, keys_in_schema
from whyreset.captures import Reader
from whyreset.cli import explained
from whyreset.evidence import notes

CAPTURES = Path(__file__).parent.parent / "captures"
FORGED = str(CAPTURES / "13k-exact-reset-then-data/v4.pcap")
FLOOD = str(CAPTURES / "13a-syn-flood-closed/v4.pcap")
ALL = sorted(map(str, CAPTURES.glob("*/*.pcap")))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def json_lines(*words: str, **options: Any) -> list[dict[str, Any]]:
    """The lines that it writes, each held against the published schema."""
    ended = run("explain", "--json", *words, **options)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
        keys_in_schema(line, SCHEMA["$defs"][f"{line['type'].capitalize()}Line"])
    return lines


def sentences(text: str) -> list[str]:
    """What was said on standard error, without our name; never a traceback."""
    assert "Traceback" not in text
    lines = text.splitlines()
    assert all(line.startswith("whyreset: ") and not line.endswith(".") for line in lines)
    return [line.removeprefix("whyreset: ") for line in lines]


def test_summary_is_read_in_ten_seconds() -> None:
    """What share was reset, why, who, which ports, who scans whom; on one screen."""
    ended = run("explain", "--sample")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert len(lines) <= 24
    assert "connections were reset" in lines[1]
    assert re.match(r"Port scan: 192\.0\.2\.66 tried about [34]\d ports of 192\.0\.2\.2", lines[2])
    for cause in ("closed-port?", "abort?", "data-after-close?", "half-open?", "forged", "unsolicited-syn-ack?"):
        assert any(f" {cause}: " in line for line in lines), cause
    assert any("192.0.2.2:8081 reset client 192.0.2.1" in line for line in lines)


def test_json_is_what_the_schema_says() -> None:
    """Every line of all recorded captures; frames and totals agree with each other."""
    lines = json_lines(*ALL)
    assert [line["type"] for line in lines[:1] + lines[-2:]] == ["start", "capture", "end"]
    resets = [line for line in lines if line["type"] == "reset"]
    assert len(resets) == lines[-2]["resets"] == len({(line["file"], line["frame"]) for line in resets})
    assert {"mptcp", "forged", "time-wait", "unknown"} <= {line["cause"] for line in resets}


def test_json_of_one_reset() -> None:
    """The keys that the design names, with their values."""
    line = json_lines(FORGED)[1]
    assert (line["cause"], line["family"], line["certainty"]) == ("forged", "injected", "certain")
    assert (line["file"], line["frame"], line["history"]) == (FORGED, 4, "ShAR")
    assert (line["src"], line["dst"], line["dport"]) == ("192.0.2.1", "192.0.2.2", 8080)
    assert line["sources"] == ["wire"]
    assert line["connection"]["handshake"] == "complete"
    assert line["connection"]["opener"] == "src"
    assert line["packet"]["flags"] == "R"


def test_json_of_groups_counts_all() -> None:
    """With --group like resets are one line with a count, their addresses and ports."""
    resets = [line for line in json_lines("--group", FLOOD) if line["type"] == "reset"]
    assert sum(line["count"] for line in resets) == 100
    many = max(resets, key=lambda line: line["count"])
    assert many["senders"] == {"distinct": 1, "exact": True, "top": [{"address": "192.0.2.2", "count": many["count"]}]}
    assert many["ports"]["top"][0]["port"] == 4444
    assert many["sample"]["frame"] >= 1


def test_standard_input_and_compressed_files_are_read() -> None:
    """«-» is standard input, and what compresses a file is told from its bytes."""
    plain = [line for line in json_lines(FORGED) if line["type"] == "reset"]
    with subprocess.Popen(["gzip", "-c", FORGED], stdout=subprocess.PIPE) as packer:
        piped = [line for line in json_lines("-", stdin=packer.stdout) if line["type"] == "reset"]
    assert [{**line, "file": FORGED} for line in piped] == plain


def test_filter_in_the_words_of_the_keys() -> None:
    """The filter hides resets in every form, and never changes the totals."""
    words = ("--filter", "cause=forged and connection.handshake=complete or frame>5")
    lines = json_lines(FORGED, *words)
    assert [line["frame"] for line in lines if line["type"] == "reset"] == [4, 6]
    assert [line["frame"] for line in json_lines(FORGED, "--filter", "cause=forged") if line["type"] == "reset"] == [4]
    summary = run("explain", FORGED, "--filter", "cause=forged").stdout
    assert "2 resets; 1 of 1 connections was reset (100 %); 1 of the resets are shown." in summary
    assert "half-open" not in summary


def test_filter_finds_one_of_many_alike(tmp_path: Path) -> None:
    """Also in a summary, where like resets are otherwise counted together."""
    scan = tmp_path / "scan.pcap"
    scan.write_bytes(refused(3000))
    summary = run("explain", str(scan), "--filter", "port=2000 or port=1").stdout
    assert "3,000 resets" in summary
    assert "2 of the resets are shown." in summary


def test_scan_of_many_ports_says_how_many(tmp_path: Path) -> None:
    """All of them, though few are told apart."""
    scan = tmp_path / "scan.pcap"
    scan.write_bytes(refused(65_535))
    lines = run("explain", str(scan)).stdout.splitlines()
    told = re.match(r"Port scan: 10\.0\.0\.0 tried about ([\d,]+) ports of 10\.9\.0\.0 within 1\.3 s", lines[2])
    assert told
    assert 40_000 < int(told[1].replace(",", "")) <= 65_535
    assert "  10.0.0.0 tried 65,535 ports of 10.9.0.0 within 1.3 s" in lines


def test_local_network_gives_directions() -> None:
    """Which side is ours tells what was sent from what was received."""
    lines = json_lines(FORGED, "--local", "192.0.2.2")
    assert [line["direction"] for line in lines if line["type"] == "reset"] == ["received", "sent"]


def test_what_a_recorder_noted_is_given_back(tmp_path: Path) -> None:
    """The cause, the owner and the kernel's word, in every form; and whose word that is."""
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture(packet(note=notes.encode(NOTE), comments=("unread-data, certain",)), packet()))
    noted, other = (line for line in json_lines(str(path)) if line["type"] == "reset")
    assert (noted["cause"], noted["certainty"], noted["direction"]) == ("unread-data", "certain", "sent")
    assert (noted["owner"]["pid"], noted["owner"]["unit"], noted["owner"]["via"]) == (911, "nginx.service", "listener")
    assert noted["kernel"] == {"reason": "TCP_ABORT_ON_CLOSE", "state": "ESTABLISHED"}
    assert (noted["sources"], other["sources"]) == (["recorder", "wire"], ["wire"])
    assert "recorder's word" in noted["evidence"][0]
    assert not {"owner", "kernel"} & set(other)
    assert run("explain", str(path), "--each").stdout.count("; owner nginx[911] (nginx.service)") == 1
    assert "owner nginx[911] (nginx.service)" in run("explain", str(path)).stdout
    (row, _) = csv.DictReader(io.StringIO(run("explain", str(path), "--csv").stdout))
    assert row["owner"] == "nginx[911] (nginx.service)"
    found = json_lines(str(path), "--filter", "owner.unit=nginx.service")
    assert [line["frame"] for line in found if line["type"] == "reset"] == [1]


def test_csv_has_a_row_for_each_reset() -> None:
    """A header and a row each, with CRLF."""
    out = subprocess.run([*COMMAND, "explain", "--csv", FORGED], check=True, stdout=subprocess.PIPE).stdout
    assert out.count(b"\r\n") == 3
    rows = list(csv.DictReader(io.StringIO(out.decode())))
    assert [(row["frame"], row["cause"]) for row in rows] == [("4", "forged"), ("6", "half-open")]


def test_html_and_svg_are_files_of_their_own(tmp_path: Path) -> None:
    """A page with a picture, and a ladder; the terminal has its form as well."""
    page, picture = tmp_path / "x.html", tmp_path / "x.svg"
    assert run("explain", "--sample", "--html", str(page)).returncode == 0
    assert "<svg" in page.read_text()
    ended = run("explain", FORGED, "--ladder", "2", "--svg", str(picture))
    assert ended.returncode == 0
    assert "frame 4  #1 forged" in ended.stdout
    assert picture.read_text().startswith("<svg")


def test_ladder_of_a_reset_that_there_is_not() -> None:
    """How many there are is said."""
    ended = run("explain", FORGED, "--ladder", "3")
    assert ended.returncode == 1
    assert sentences(ended.stderr) == ["there is no reset 3: the captures hold 2"]
    ended = run("explain", "-", "--ladder", "1")
    assert sentences(ended.stderr) == ["a ladder needs the capture twice, and standard input can be read but once"]


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no file": ([], "name a capture"),
    "two forms": (["--json", "--csv", "x"], "exclude each other"),
    "a picture of nothing": (["--svg", "x.svg", "x"], "--svg belongs to --ladder"),
    "no such key": (["--filter", "colour=red", "x"], "there is no key 'colour'"),
    "no filter": (["--filter", "", "x"], "the filter is empty"),
    "a filter for groups": (["--json", "--group", "--filter", "port=1", "x"], "leave --group out"),
    "no network": (["--local", "home", "x"], "--local takes a network"),
    "ladder 0": (["--ladder", "0", "x"], "--ladder"),
}


@pytest.mark.parametrize(("words", "said"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_gets_one_sentence(words: list[str], said: str) -> None:
    """Wrong usage ends with code 2 and says what is wrong."""
    ended = run("explain", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    (sentence,) = sentences(ended.stderr)
    assert said in sentence


@pytest.mark.parametrize("form", [[], ["--each"], ["--json"], ["--csv"]], ids=lambda form: " ".join(form) or "summary")
@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "text", "cut header", "cut gzip", "no permission"])
def test_bad_input_gets_one_sentence(kind: str, form: list[str], tmp_path: Path) -> None:
    """Nothing that can be read: one sentence, exit code 1, in each form."""
    path = tmp_path / "x.pcap"
    data = Path(FORGED).read_bytes()
    contents = {"empty": b"", "text": b"hello, world, this is text", "cut header": data[:20]}
    contents["cut gzip"] = gzip.compress(data)[:30]
    if kind == "directory":
        path = tmp_path
    elif kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "no permission":
        path = Path("/proc/self/mem")
    ended = run("explain", str(path), *form)
    assert ended.returncode == 1
    (sentence,) = sentences(ended.stderr)
    assert sentence.startswith(f"{path}: ")


def test_what_came_before_the_damage_is_reported(tmp_path: Path) -> None:
    """A capture that breaks off is explained as far as it goes, and the place is said."""
    path = tmp_path / "x.pcap"
    path.write_bytes(Path(FORGED).read_bytes()[:-10])
    ended = run("explain", str(path))
    assert ended.returncode == 1
    assert "forged" in ended.stdout
    assert f"{path}: it ends in the midst of a packet" in ended.stdout
    lines = run("explain", "--json", str(path)).stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "start",
        "reset",
        "finding",
        "verdict",
        "notice",
        "capture",
        "end",
    ]


def test_name_with_escapes_is_shown_escaped(tmp_path: Path) -> None:
    """What a file is called does nothing to a terminal."""
    path = tmp_path / "x\x1b[2J\n.pcap"
    path.write_bytes(Path(FORGED).read_bytes())
    for words in (["explain"], ["explain", "--each"], ["explain", "--ladder", "1"]):
        out = run(*words, str(path)).stdout
        assert "\x1b" not in out
        assert "x\\x1b[2J\\n.pcap" in out
    missing = run("explain", str(tmp_path / "no\x1b[2J"))
    assert "\x1b" not in missing.stderr


def test_ctrl_c_tells_what_was_found_so_far() -> None:
    """A pipe that stays open: on SIGINT the summary of what came is printed."""
    command = [*COMMAND, "explain", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        process.stdin.write(Path(FORGED).read_bytes())
        process.stdin.flush()
        _await_waiting(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"2 resets" in out
    assert b"stopped before the end: this is what was found so far" in out
    assert err == b""


def _await_waiting(pid: int) -> None:
    """Wait until the process has read all of its input and waits for more."""
    deadline = time.monotonic() + 20
    while "pipe_read" not in Path(f"/proc/{pid}/wchan").read_text():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not wait for input")
        time.sleep(0.01)


def _all_of(main: int) -> str:
    """What was written to a terminal that has no writer any more; one read gives only a part of it."""
    said = b""
    with open(main, "rb", buffering=0) as reading, suppress(OSError):
        while part := reading.read(1 << 16):
            said += part
    return said.decode()


def test_slow_reading_shows_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: a bar with how much, how fast and how long still; it goes away at the end."""
    main, terminal = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(explained, "_PATIENCE_SECONDS", 0.0)
    with open(terminal, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        reader = Reader([FLOOD, FORGED])
        with explained.progress(reader):
            assert len(list(reader)) == 102
    shown = _all_of(main)
    assert "kB" in shown
    assert "/s" in shown
    assert shown.rstrip().endswith("\x1b[2K")


def test_quick_reading_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs a bar that is gone at once; and no file has one where standard error is none."""
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    reader = Reader([FLOOD])
    with explained.progress(reader):
        list(reader)
    assert errors.getvalue() == ""
