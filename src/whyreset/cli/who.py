"""`whyreset who`: who has a port, who had it, how that ended, and what resets it was part of."""

from __future__ import annotations

import io
import shutil
import sys
from typing import TYPE_CHECKING

import click

from whyreset.outputs.store import DEFAULT

if TYPE_CHECKING:
    from whyreset.questions import Found


@click.command()
@click.argument("what", metavar="PORT|PID|ADDRESS:PORT")
@click.option("--pid", "as_pid", is_flag=True, help="The number is a process's, not a port's.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object (see `whyreset schema`).")
@click.option("--store", default=DEFAULT, show_default=True, metavar="FILE", help="The history that an agent keeps.")
@click.pass_context
def who(context: click.Context, *, what: str, as_pid: bool, as_json: bool, store: str) -> None:
    """Tell who has a port, in every network namespace; who had it, how that ended, and its resets of late.

    Of what was before a running `whyreset watch` knows, or the history of a `whyreset agent`. A number that can be both
    is a port, or else a process.
    The exit code is 1 where nothing is known.
    """
    from whyreset.questions import parse
    from whyreset.who import who as find

    try:
        question = parse(what, pid=as_pid)
    except ValueError as error:
        raise click.UsageError(f"who {error}") from error
    found = find(question, store)
    if as_json:
        _write_json(found)
    else:
        from whyreset.outputs.who import text

        sys.stdout.write(text(found, shutil.get_terminal_size().columns))
    context.exit(0 if found.known else 1)


def _write_json(found: Found) -> None:
    import msgspec

    from whyreset.outputs.wire_who import who_line

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    sys.stdout.write(msgspec.json.encode(who_line(found)).decode() + "\n")
