"""`whyreset past` as a user meets it: mistakes get one sentence, help and schema are there."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND, is_one_sentence, run
from tests.stored.server import Answering

ANSWERS = Path(__file__).parent.parent / "stored" / "answers"
SYSSTAT = str(ANSWERS / "sysstat.json")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--netdata", "http://localhost", "--prometheus", "http://localhost"),
        ("--sysstat", SYSSTAT, "--since", "yesterday"),
        ("--sysstat", SYSSTAT, "--since", "1h", "--until", "2h"),
        ("--sysstat", SYSSTAT, "--instance", "web1"),
    ],
)
def test_wrong_usage_gets_a_sentence(words: tuple[str, ...]) -> None:
    """And exit code 2."""
    done = run("past", *words)
    assert done.returncode == 2
    assert is_one_sentence(done.stderr)
    assert not done.stdout


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"sysstat": {"hosts": []}}', b"\0" * 100, b'{"sysstat":' * 9])
def test_a_file_that_is_none_of_sysstats_gets_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    """Whether it is missing, empty, or something else."""
    needs.command("sadf")
    path = tmp_path / "sa01"
    if content is not None:
        path.write_bytes(content)
    done = run("past", "--sysstat", str(path))
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)


def test_a_password_is_never_shown() -> None:
    """Not by a sentence about what went wrong, either."""
    done = run("past", "--netdata", "http://ann:secret@127.0.0.1:9")
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert "secret" not in done.stderr + done.stdout


@pytest.mark.parametrize("option", ["--netdata", "--prometheus"])
@pytest.mark.parametrize("body", [b"{}", b'{"data": []}', b'{"version": "v1", "mirrored_hosts": ["\\u001b[31mx"]}'])
def test_another_server_gets_a_sentence(option: str, body: bytes) -> None:
    """It answers, but not as it should; or it stores nothing of resets."""
    needs.root()
    with Answering(lambda target, headers: (200, {}, body)) as server:
        done = server.host.run(*COMMAND, "past", option, server.url, check=False)
    assert done.code == 1
    assert is_one_sentence(done.err)


def test_words_of_a_store_are_escaped(tmp_path: Path) -> None:
    """Whoever names a host may write to no terminal."""
    path = tmp_path / "evil.json"
    path.write_text(Path(SYSSTAT).read_text().replace('"web1"', '"\\u001b[31mweb1"'))
    done = run("past", "--sysstat", str(path))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert r"\x1b[31mweb1" in done.stdout


def test_a_time_without_a_surge_says_so() -> None:
    """Briefly, with what cannot be known."""
    begin = json.loads(Path(SYSSTAT).read_text())["sysstat"]["hosts"][0]
    moment = f"{begin['file-date']} {begin['file-utc-time']}+00:00"
    until = datetime.fromisoformat(moment).timestamp() + 20
    done = run("past", "--sysstat", SYSSTAT, "--until", f"@{until:.0f}", "--since", f"@{until - 20:.0f}")
    assert done.returncode == 0
    assert done.stdout.startswith("no surge of resets sent from ")
    assert "next" not in done.stdout.splitlines()


def test_a_time_of_which_nothing_is_stored_gets_a_sentence() -> None:
    """That is not the same as calm; and it says what there is."""
    done = run("past", "--sysstat", SYSSTAT, "--since", "2020-01-01", "--until", "2020-01-02")
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert "nothing of that time is stored" in done.stderr


def test_a_recording_is_told() -> None:
    """When, how many, what it may have been."""
    done = run("past", "--sysstat", SYSSTAT)
    assert done.returncode == 0
    assert done.stdout.startswith("2 surges of resets sent from ")
    assert "cannot be told apart any more" in " ".join(done.stdout.split())
