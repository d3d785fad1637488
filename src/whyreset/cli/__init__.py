"""The command line: one file a command, no logic."""

from __future__ import annotations

import os
import sys

import typer

from whyreset.cli import schema, watch

app = typer.Typer(
    name="whyreset",
    help="Why this host sends TCP resets, who sends them, and what to do about it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("watch")(watch.watch)
app.command("schema")(schema.schema)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and leave.", is_eager=True)) -> None:
    if show:
        from whyreset import __version__

        print(f"whyreset {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point. A closed pipe (`| head`) ends the command in silence."""
    try:
        app()
    except BrokenPipeError:
        # what is still buffered has nowhere to go; without this Python complains at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
