"""The command line: one file a command, no logic."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TextIO

import click
from click.exceptions import NoArgsIsHelpError

from whyreset import __version__

#: Each has a module of its name here, with a function of that name.
COMMANDS = ("agent", "alerts", "capture", "explain", "extcap", "history", "past", "schema", "watch", "who")


class _Commands(click.Group):
    """Imports a command when it is asked for: none waits for what only another needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"whyreset.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="whyreset %(version)s")
def commands() -> None:
    """Why this host sends TCP resets, who sends them, and what to do about it."""


def main() -> None:
    """Entry point. A person's mistake gets one sentence; click ends a command whose pipe was closed in silence."""
    if sys.stdout is None:
        _say("standard output is closed")
        sys.exit(1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _buffered(sys.stdout)
        # what others call themselves need not be in this locale's alphabet
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = commands.main(prog_name="whyreset", standalone_mode=False)
        sys.stdout.flush()
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        _let_go_of(sys.stdout)
        sys.exit(1)
    except OSError as error:
        _say(f"cannot go on: {error.strerror or error}")
        _let_go_of(sys.stdout)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _buffered(out: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same with a buffer: PYTHONUNBUFFERED leaves none, and then a write that a signal interrupts is cut short."""
    raw = out.buffer
    return io.TextIOWrapper(io.BufferedWriter(raw), out.encoding) if isinstance(raw, io.RawIOBase) else out


def _let_go_of(out: TextIO) -> None:
    """What a full disk did not take is not tried again at exit, where Python would tell of it in its own words."""
    try:
        out.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _say(sentence: str) -> None:
    print(f"whyreset: {sentence[:1].lower()}{sentence[1:].rstrip('.')}", file=sys.stderr)
