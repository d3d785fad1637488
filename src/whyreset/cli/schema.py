"""`whyreset schema`: the JSON Schema of the lines that commands write."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of one line of --json output."""
    import msgspec

    from whyreset.outputs import lines

    click.echo(msgspec.json.format(msgspec.json.encode(lines.schema()), indent=2).decode())
