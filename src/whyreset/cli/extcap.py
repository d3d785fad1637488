"""`whyreset extcap`: resets with their causes, live in Wireshark."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import click

from whyreset import __version__
from whyreset.cli.running import capturing_grants, refusals, stopping
from whyreset.words import escape


# Wireshark calls with options of its own making, more of them with each version
@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("--install", is_flag=True, help="Add «TCP resets, explained» to Wireshark's interfaces.")
@click.option("--folder", type=click.Path(file_okay=False), metavar="FOLDER", help="With --install: where.")
@click.option("--extcap-interfaces", "ask_interfaces", is_flag=True, hidden=True)
@click.option("--extcap-dlts", "ask_dlts", is_flag=True, hidden=True)
@click.option("--extcap-config", "ask_config", is_flag=True, hidden=True)
@click.option("--extcap-interface", "interface", hidden=True)
@click.option("--capture", is_flag=True, hidden=True)
@click.option("--fifo", hidden=True)
@click.option("--port", hidden=True)
@click.option("--cause", hidden=True)
@click.option("--netns", hidden=True)
@click.option("--snaplen", hidden=True)
def extcap(
    *,
    install: bool,
    folder: str | None,
    ask_interfaces: bool,
    ask_dlts: bool,
    ask_config: bool,
    interface: str | None,
    capture: bool,
    fifo: str | None,
    port: str | None,
    cause: str | None,
    netns: str | None,
    snaplen: str | None,
) -> None:
    """Show resets with their causes in Wireshark while they happen.

    After --install, Wireshark and tshark list an interface «TCP resets, explained»; capturing on it needs root.
    """
    from whyreset.evidence import extcap as words

    if install:
        try:
            where = Path(folder) if folder else words.folder(root=os.geteuid() == 0)
            made = words.install(where, _command())
        except words.ExtcapError as error:
            raise click.ClickException(f"cannot install: {error}") from error
        click.echo(escape(f"{made}: Wireshark now lists «{words.DISPLAY}»; try tshark -i {words.INTERFACE}"))
        return
    if ask_interfaces:
        click.echo(words.interfaces(__version__), nl=False)
    elif interface is not None and interface != words.INTERFACE:
        raise click.UsageError(f"there is no interface {interface!r}: there is {words.INTERFACE}")
    elif ask_dlts:
        click.echo(words.link_types(), nl=False)
    elif ask_config:
        click.echo(words.options(), nl=False)
    elif capture:
        if not fifo:
            raise click.UsageError("--capture needs --fifo")
        _capture(fifo, port=port, cause=cause, netns=netns, snaplen=snaplen)
    else:
        raise click.UsageError("this is for Wireshark to call; --install makes it do so")


def _command() -> list[str]:
    """How this program was called."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [sys.executable, "-m", "whyreset"]
    return [str(called.absolute())]


def _capture(fifo: str, *, port: str | None, cause: str | None, netns: str | None, snaplen: str | None) -> None:
    from whyreset.privileges.split import split

    snap = _number("--snaplen", snaplen, 262144)
    grants = capturing_grants(fifo, netns=(netns,) if netns else (), snap=snap, force=True, rotated=False)
    with refusals("capture"), split(grants) as hands:
        from whyreset.agent import TICK_SECONDS
        from whyreset.capturing import Capturing, Wanted
        from whyreset.evidence.output import GoneError

        wanted = Wanted(
            path=fifo,
            force=True,
            snap=snap,
            ports=frozenset({_number("--port", port, 65535)} if port else ()),
            causes=frozenset({cause} if cause else ()),
            netns=(netns,) if netns else (),
        )
        stopped = stopping(signal.SIGHUP)
        hands.settle()
        try:
            with Capturing(wanted, hands) as capturing:
                for each in capturing.missing:
                    click.echo(escape(f"{each.lost}: not known, since {each.why}"), err=True)
                while not stopped:
                    capturing.wait(time.monotonic() + TICK_SECONDS)
                    hands.check()
                    capturing.tick()
                capturing.end()
        except GoneError:  # Wireshark has had enough
            pass


def _number(option: str, text: str | None, most: int) -> int:
    if not text:
        return 0
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise click.UsageError(f"{option} takes a number up to {most}")
    return int(text)
