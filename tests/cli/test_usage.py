"""Help, the version, the schema, and what a person's mistake is answered with."""

import json
import subprocess
import sys

import jsonschema
import pytest

from tests.cli.whyreset import is_one_sentence, run
from whyreset import __version__, causes
from whyreset.outputs import lines

MISTAKES: dict[str, tuple[list[str], str]] = {
    "no such command": (["nonsense"], "nonsense"),
    "no such option": (["--nonsense"], "--nonsense"),
    "no such option of a command": (["watch", "--nonsense"], "--nonsense"),
    "one word too many": (["watch", "extra"], "extra"),
    "one word too many for another": (["schema", "extra"], "extra"),
    "a port that is no number": (["watch", "--port", "http"], "--port"),
    "a port that cannot be": (["watch", "--port", "65536"], "--port"),
    "port 0": (["watch", "--port", "0"], "--port"),
    "an option without its value": (["watch", "--port"], "--port"),
    "a value for what takes none": (["watch", "--json=yes"], "--json"),
    "a duration that is no number": (["watch", "--duration", "soon"], "--duration"),
    "a duration of nothing": (["watch", "--duration", "0"], "--duration"),
    "a duration that is negative": (["watch", "--duration", "-1"], "--duration"),
    "a duration that is not a number": (["watch", "--duration", "nan"], "--duration"),
    "no such direction": (["watch", "--direction", "up"], "--direction"),
    "no such cause": (["watch", "--cause", "closed_port"], "closed_port"),
    "one of two causes wrong": (["watch", "--cause", "closed-port", "--cause", "rain"], "rain"),
    "no such scene": (["watch", "--scene", "rain"], "rain"),
    "one of two scenes wrong": (["watch", "--scene", "crash", "--scene", "rain"], "rain"),
    "a ring of another size": (["watch", "--ring-kib", "5"], "--ring-kib"),
    "who nobody": (["who"], "PORT"),
    "who a name": (["who", "http"], "a port"),
    "who too high a port": (["who", ":65536"], "65536"),
    "who too high a number": (["who", "99999999"], "4194304"),
    "who two": (["who", "80", "81"], "81"),
    "who a name's port": (["who", "localhost:80"], "numeric"),
    "who escapes": (["who", "\x1b[2J"], "a port"),
    "who an address as a pid": (["who", "--pid", "127.0.0.1:80"], "pid"),
    "a phase that is no number": (["alerts", "--phase", "x"], "--phase"),
    "a phase before the beginning": (["alerts", "--phase", "-1"], "--phase"),
    "a word for alerts": (["alerts", "list"], "list"),
    "a history of no time": (["history", "--since", "soon"], "--since"),
    "a history that ends before it begins": (["history", "--since", "1h", "--until", "2h"], "--since"),
    "a history of no cause": (["history", "--cause", "rain"], "rain"),
    "a history of no size": (["agent", "--store-size", "1"], "--store-size"),
    "packets of no time": (["capture", "-o", "x.pcapng", "--past", "soon"], "--past"),
    "packets of the past for so long": (["capture", "-o", "x.pcapng", "--past", "5m", "--duration", "9"], "--duration"),
    "a command with escapes": (["\x1b[2J\nx"], "no such command"),
}


@pytest.mark.parametrize(("words", "names"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_gets_one_sentence(words: list[str], names: str) -> None:
    """Wrong usage is said in one sentence that names what is wrong, on stderr alone, with exit code 2."""
    ended = run(*words)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert is_one_sentence(ended.stderr), ended.stderr
    assert names in ended.stderr
    assert ended.stderr.removesuffix("\n").isprintable()


def test_a_wrong_cause_is_told_what_there_is() -> None:
    """Whoever mistypes a cause sees all causes and families."""
    said = run("watch", "--cause", "rain").stderr
    for module in causes.CAUSES:
        assert module.NAME in said
        assert module.FAMILY in said


def test_without_a_command_there_is_help() -> None:
    """Who says nothing is told what can be said; it is a mistake all the same."""
    ended = run()
    assert ended.returncode == 2
    assert "watch" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(
    "words",
    [[], ["watch"], ["who"], ["explain"], ["alerts"], ["schema"]],
    ids=lambda words: " ".join(words) or "whyreset",
)
def test_help_is_no_mistake(words: list[str], flag: str) -> None:
    """Help goes to stdout with exit code 0."""
    ended = run(*words, flag)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: whyreset" + "".join(f" {word}" for word in words))


def test_help_names_every_option_that_people_use() -> None:
    """What the command can do is what its help says."""
    said = run("watch", "--help").stdout
    options = ("--json", "--duration", "--direction", "--netns", "--port", "--cause", "--each")
    more = ("--exact-owners", "--demo", "--scene", "--plain", "--verbose")
    assert all(option in said for option in options + more)
    assert "--ring-kib" not in said


def test_whoever_has_no_screen_does_not_pay_for_it() -> None:
    """Help, JSON and lines do not wait for the library that draws."""
    script = "import sys, whyreset.cli, whyreset.agent, whyreset.outputs.printers; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_who_reads_no_packets_has_none_of_what_reads_them() -> None:
    """A watch that was not asked for packets, and that can load the kernel program, holds no decoders in memory."""
    loaded = "import sys, whyreset.cli.watch, whyreset.agent, whyreset.rulefiles; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout.split()
    assert "whyreset.agent" in modules
    assert not {"whyreset.onwire", "whyreset.core.segments", "whyreset.tapping", "zipfile", "lzma"} & set(modules)


def test_the_version_is_the_packages() -> None:
    """One line with name and version."""
    ended = run("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"whyreset {__version__}\n", "")


def test_the_schema_is_a_json_schema_of_what_is_written() -> None:
    """`whyreset schema` prints the schema that the lines are held against."""
    ended = run("schema")
    assert (ended.returncode, ended.stderr) == (0, "")
    schema = json.loads(ended.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == lines.schema()


@pytest.mark.parametrize("words", [["schema"], ["--help"], ["--version"], ["alerts"], ["who", "9"]], ids=" ".join)
def test_a_full_disk_gets_one_sentence(words: list[str]) -> None:
    """What cannot be written is said, with exit code 1."""
    with open("/dev/full", "w") as full:
        ended = run(*words, stdout=full)
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr), ended.stderr
    assert "No space left" in ended.stderr


@pytest.mark.parametrize("words", [["schema"], ["watch", "--json"]], ids=" ".join)
def test_a_closed_standard_output_gets_one_sentence(words: list[str]) -> None:
    """Without anywhere to write there is nothing to do."""
    ended = run(*words, before=["sh", "-c", 'exec "$@" >&-', "sh"])
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr), ended.stderr
