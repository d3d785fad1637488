"""`whyreset alerts`: lists, checks, replays; and what a wrong file is answered with."""

import json
import os
from pathlib import Path

import jsonschema
import pytest

from benchmarks.alerts.netdata import STOCK
from tests.cli.whyreset import is_one_sentence, run
from whyreset.outputs import lines

RECORDED = Path(__file__).resolve().parents[1] / "alerts/recorded"
RULE = """
alarm: many
on: ip.tcphandshake
lookup: average -5s unaligned of OutRsts
every: 5s
warn: $this > 10
to: silent

silence: at night
daily: 02:00 for 1h

expect: haproxy
cause: linger-zero
port: 443
"""
SERIES = "second,OutRsts\n" + "".join(f"{second},{100 if second > 30 else 0}\n" for second in range(1, 60))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A quiet half minute, then a surge."""
    path = tmp_path / "series.csv"
    path.write_text(SERIES)
    return path


def test_it_lists_the_rules_that_ship() -> None:
    """Netdata's by their names, as they were understood, and the detector."""
    ended = run("alerts")
    assert (ended.returncode, ended.stderr) == (0, "")
    for name in ("10s_ipv4_tcp_resets_sent", "1m_tcp_accept_queue_overflows", "tcp_orphans", "resets_sent_surge"):
        assert any(line.startswith(name) for line in ended.stdout.splitlines())


def test_it_checks_a_file(tmp_path: Path) -> None:
    """What is in there is shown, and that nothing is wrong."""
    path = tmp_path / "mine.conf"
    path.write_text(RULE + "\nalarm: disk\non: disk.space\nevery: 1m\ncalc: 1\n")
    ended = run("alerts", "--test", str(path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        "many  (ip.tcphandshake, every 5 s)\n"
        "    lookup  average of OutRsts over 5 s, unaligned\n"
        "    warn    (${this} > 10)\n"
        "    told    after 0 s up, 0 s down; to silent\n"
        "disk  (disk.space, every 60 s)\n"
        "    never evaluated: there is no chart disk.space here\n"
        "    calc    1\n"
        "silence: at night  (daily 02:00 UTC for 60 min)\n"
        "    of * in *\n"
        "expected: haproxy\n"
        "    cause linger-zero; port 443\n"
    )


def test_a_wrong_line_is_told_and_the_rest_is_used(tmp_path: Path) -> None:
    """File, line, column and what was expected there; the exit code says that something is wrong."""
    path = tmp_path / "mine.conf"
    path.write_text(RULE.replace("$this > 10", "$this >> 10"))
    ended = run("alerts", "--test", str(path))
    assert ended.returncode == 1
    said = ended.stderr.splitlines()
    assert said == [
        f"{path}:6:13: expected an operator or the end, not '>'",
        "whyreset: one line cannot be used",
    ]
    assert ended.stdout.startswith("many  ")


def test_a_folder_of_files_and_debians_own(tmp_path: Path) -> None:
    """All its files *.conf; Debian's load as they are."""
    if not STOCK.exists():
        pytest.skip("the package netdata-core is not installed")
    for name in ("tcp_resets.conf", "tcp_mem.conf"):
        (tmp_path / name).symlink_to(STOCK / name)
    ended = run("alerts", "--test", str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "tcp_memory  (" in ended.stdout
    assert "10s_ipv4_tcp_resets_received  (" in ended.stdout


def test_it_replays_a_series(series: Path) -> None:
    """One alert a line, of Netdata's rule and of the detector, as the schema says."""
    ended = run("alerts", "--replay", str(series))
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    validator = jsonschema.Draft202012Validator(lines.schema())
    for line in told:
        validator.validate(line)
        assert line["type"] == "alert"
    first = told[0]
    assert (first["second"], first["rule"]) == (31, "resets_sent_surge")
    assert (first["old_status"], first["new_status"], first["value"]) == ("clear", "warning", 100)


def test_it_replays_from_standard_input_with_a_users_rules(tmp_path: Path) -> None:
    """A rule is tried before it is trusted."""
    path = tmp_path / "mine.conf"
    path.write_text(RULE)
    read, write = os.pipe()
    os.write(write, SERIES.encode())
    os.close(write)
    ended = run("alerts", "--test", str(path), "--replay", "-", stdin=read)
    os.close(read)
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line["rule"] for line in told} == {"many", "resets_sent_surge"}
    (mine,) = [line for line in told if line["rule"] == "many"]
    assert (mine["told"], mine["muted_by"]) == (False, "to: silent")


def test_it_reads_whatever_standard_input_holds() -> None:
    """Bytes that are no text are a wrong line, as in a file."""
    read, write = os.pipe()
    os.write(write, b"\xef\xbb\xbfsecond,OutRsts\r\n1,5\r\n2,\xff\xfe\r\n")
    os.close(write)
    ended = run("alerts", "--replay", "-", stdin=read)
    os.close(read)
    assert ended.returncode == 1
    assert ended.stderr == "whyreset: cannot replay -: line 3: expected a number for OutRsts, not '\ufffd\ufffd'\n"


def test_a_rule_for_another_host_is_said_so_and_left_out(tmp_path: Path, series: Path) -> None:
    """As in Netdata; a file may serve many hosts."""
    path = tmp_path / "mine.conf"
    path.write_text(RULE.replace("every: 5s", "every: 5s\nhosts: nobody-is-called-so"))
    ended = run("alerts", "--test", str(path))
    assert "never evaluated: it is not for this host" in ended.stdout
    ended = run("alerts", "--test", str(path), "--replay", str(series))
    assert {json.loads(line)["rule"] for line in ended.stdout.splitlines()} == {"resets_sent_surge"}


def test_what_netdata_missed_is_found() -> None:
    """The recorded ramp: nothing of Netdata's rule, and an alert of ours within a few seconds."""
    ended = run("alerts", "--replay", str(RECORDED / "ramp-of-_1_s-to-240_s.csv"))
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line["rule"] for line in told} == {"resets_sent_surge", "resets_received_surge"}
    assert [line["new_status"] for line in told if line["rule"] == "resets_sent_surge"] == ["warning", "clear"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--test", "/nowhere/x.conf"], "cannot read /nowhere/x.conf: No such file or directory"),
        (["--test", "/dev/zero"], "it is larger than 4 MiB: /dev/zero"),
        (["--test", "/bin/sh"], "it is not text in UTF-8: /bin/sh"),
        (["--test", "/proc/self"], "there is no file *.conf in /proc/self"),
        (["--replay", "/nowhere/x.csv"], "cannot read /nowhere/x.csv: No such file or directory"),
        (["--replay", "/proc/self"], "cannot read /proc/self: Is a directory"),
        (["--replay", "/dev/null"], "line 1: expected a header"),
        (["--replay", "/dev/zero"], "line 1: expected at most 10000 characters"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(words: list[str], said: str) -> None:
    """With exit code 1."""
    ended = run("alerts", *words)
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr), ended.stderr
    assert said in ended.stderr


def test_text_of_files_is_escaped(tmp_path: Path) -> None:
    """Names and complaints cannot write on the terminal."""
    path = tmp_path / "x.conf"
    path.write_text("silence: \x1b[2Jx\nrules: \x1b[2J\nalarm: a\nwarn: \x1b[2J\n")
    ended = run("alerts", "--test", str(path))
    assert "\x1b" not in ended.stdout + ended.stderr
