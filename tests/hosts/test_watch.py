"""Watch reads lines; what goes wrong with the command is said, never waited for."""

import sys

import pytest

from tests.hosts import Watch

START = """import json, signal, sys
print(json.dumps({"type": "start", "schema": 1}), flush=True)
"""
PATIENT = """
def end(*_):
    print(json.dumps({"type": "end", "reason": "interrupted"}), flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print(json.dumps({"type": "notice"}), flush=True)
while True:
    signal.pause()
"""


def _command(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def test_stop_interrupts_and_returns_the_end_line() -> None:
    """The command gets SIGINT; its last line and exit code are kept."""
    with Watch(command=_command(START + PATIENT)) as watch:
        assert watch.start["schema"] == 1
        watch.wait(lambda lines: any(line["type"] == "notice" for line in lines))
        end = watch.stop()
        assert (end, watch.process.returncode) == ({"type": "end", "reason": "interrupted"}, 0)


def test_command_that_cannot_start_is_told_with_its_error() -> None:
    """A command that ends before its start line fails at once, with what it said."""
    with pytest.raises(RuntimeError, match="no rights"):
        Watch(command=_command("import sys; sys.exit('no rights')"))


def test_line_that_is_no_json_is_an_error() -> None:
    """Whatever else the command prints among its lines is not passed over."""
    with (
        Watch(command=_command(START + "print('Traceback', flush=True)" + PATIENT)) as watch,
        pytest.raises(RuntimeError, match="Traceback"),
    ):
        watch.wait(lambda _: False)


def test_waiting_in_vain_times_out() -> None:
    """What is not said within the timeout raises TimeoutError."""
    with Watch(command=_command(START + PATIENT)) as watch, pytest.raises(TimeoutError):
        watch.wait(lambda _: False, timeout=0.1)
