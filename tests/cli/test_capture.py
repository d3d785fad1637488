"""Mistakes that a person makes with `whyreset capture` and `whyreset extcap`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.whyreset import COMMAND, is_one_sentence, run

MISTAKES: dict[str, tuple[list[str], str]] = {
    "no file": ([], "--output"),
    "a file of another kind": (["-o", "x.txt"], ".pcapng"),
    "a duration of nothing": (["-o", "x.pcapng", "--duration", "0"], "--duration"),
    "a duration that is not a number": (["-o", "x.pcapng", "--duration", "nan"], "--duration"),
    "no such cause": (["-o", "x.pcapng", "--cause", "rain"], "rain"),
    "too little of a packet": (["-o", "x.pcapng", "--snaplen", "10"], "--snaplen"),
    "all segments of nothing": (["-o", "x.pcapng", "--segments"], "--port"),
    "files without rotation": (["-o", "x.pcapng", "--files", "3"], "--rotate"),
    "rotated standard output": (["-o", "-", "--rotate", "1"], "standard output"),
}


@pytest.mark.parametrize(("words", "names"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_gets_one_sentence(words: list[str], names: str, tmp_path: Path) -> None:
    """With exit code 2, and nothing is written."""
    ended = run("capture", *words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert is_one_sentence(ended.stderr), ended.stderr
    assert names in ended.stderr
    assert not os.listdir(tmp_path)


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    """It is said what to do, with exit code 1, and the file stays."""
    path = tmp_path / "x.pcapng"
    path.write_text("precious")
    ended = run("capture", "-o", str(path))
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert "--force" in ended.stderr
    assert path.read_text() == "precious"


def test_without_rights_it_says_what_it_needs(tmp_path: Path) -> None:
    """Nobody may read packets: one sentence, exit code 1, no file left behind."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give rights up")
    drop = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    ended = run("capture", "-o", str(tmp_path / "x.pcapng"), before=drop)
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr), ended.stderr
    assert "CAP_NET_RAW" in ended.stderr
    assert not os.listdir(tmp_path)


def test_extcap_answers_wireshark() -> None:
    """Interface, link type and options, in extcap's grammar; options of newer versions are passed over."""
    told = run("extcap", "--extcap-interfaces", "--extcap-version=9.9").stdout
    assert told.splitlines()[1] == "interface {value=whyreset}{display=TCP resets, explained}"
    assert run("extcap", "--extcap-interface", "whyreset", "--extcap-dlts").stdout.startswith("dlt {number=1}")
    config = run("extcap", "--extcap-interface=whyreset", "--extcap-config").stdout
    assert all(line.startswith("arg {number=") and "{call=--" in line for line in config.splitlines())


@pytest.mark.parametrize(
    ("words", "names"),
    [([], "--install"), (["--extcap-interface", "eth0", "--capture"], "eth0"), (["--capture"], "--fifo")],
)
def test_extcap_used_wrongly(words: list[str], names: str) -> None:
    """One sentence that names what is missing."""
    ended = run("extcap", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert is_one_sentence(ended.stderr)
    assert names in ended.stderr


def test_extcap_is_installed_and_others_programs_stay(tmp_path: Path) -> None:
    """A script that can be run goes into the folder; twice is once, and what is not ours is left alone."""
    for _ in range(2):
        ended = run("extcap", "--install", "--folder", str(tmp_path / "extcap"))
        assert (ended.returncode, ended.stderr) == (0, "")
    script = tmp_path / "extcap" / "whyreset"
    assert os.access(script, os.X_OK)
    assert COMMAND[0] in script.read_text()
    script.write_text("somebody else's")
    ended = run("extcap", "--install", "--folder", str(tmp_path / "extcap"))
    assert ended.returncode == 1
    assert "not ours" in ended.stderr
    assert script.read_text() == "somebody else's"
