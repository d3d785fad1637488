"""The sockets of a port or a process on this host, as far as rights and kernel show them, and what is left out."""

from __future__ import annotations

import os
import time
from collections.abc import Container

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Missing, Socket
from whyreset.questions import Question
from whyreset.sources import diag, sockets
from whyreset.sources.base import SourceError

#: How long namespaces are entered; those that are left are counted.
_ENTER_SECONDS = 0.5


class Seen(Struct, frozen=True, kw_only=True):
    """A socket, and those that hold it: (pid, start_ns), the start to a clock tick where /proc told it."""

    socket: Socket
    holders: tuple[tuple[int, int], ...] = ()


class View(Struct, frozen=True, kw_only=True):
    """What was seen."""

    #: Our own namespace's cookie.
    home: int
    seen: tuple[Seen, ...]
    #: Cookies of the namespaces that were entered, by inode number.
    cookies: dict[int, int]
    #: By cookie: whether the address that was asked for is the namespace's own; None where that cannot be told.
    local: dict[int, bool | None]
    missing: tuple[Missing, ...]


def look(question: Question, walk: int | None = None) -> View:
    """Looks now. What cannot be looked at is said; nothing is an error.

    Args:
        walk: the descriptor of a walk over open files, to be read and closed; None where there is none yet.
    """
    missing: list[Missing] = []
    walked: list[Socket] | None = None
    try:
        walked = sockets.held(question.port, question.pid, walk)
    except SourceError as error:
        lost = "sockets of network namespaces that no process is in and that have no name"
        missing.append(Missing(source="kernel", why=str(error), lost=lost))
    found: dict[int, tuple[Socket, list[tuple[int, int]]]] = {}
    for each in walked or ():
        holders = found.setdefault(each.cookie, (each, []))[1]
        if each.holder and each.holder not in holders:
            holders.append(each.holder)
    views = _views(question, walked, None if walked is None else found, missing)
    held = {} if walked is not None else _from_proc(question, views, missing)
    for each in (each for view in views for each in view.sockets):
        known, holders = found.get(each.cookie, (each, held.get(each.inode, [])))
        if not question.pid or holders:
            found[each.cookie] = replace(known, queue=each.queue, inode=each.inode), holders
    home = diag.here()
    cookies = dict([home]) | {view.netns: view.cookie for view in views}
    local = {view.cookie: view.local for view in views}
    for known, _ in found.values():
        if question.address and known.local.removeprefix("::ffff:") == question.address:
            local[known.netns_cookie] = True
    return View(
        home=home[1],
        seen=tuple(Seen(socket=socket, holders=tuple(holders)) for socket, holders in found.values()),
        cookies=cookies,
        local=local,
        missing=tuple(missing),
    )


def _views(
    question: Question, walked: list[Socket] | None, known: Container[int] | None, missing: list[Missing]
) -> list[diag.View]:
    """What sock_diag shows of each namespace that may have more to tell."""
    views: list[diag.View] = []
    refused = late = 0
    home, _ = diag.here()
    wanted = _wanted(question, walked, home)
    deadline = time.monotonic() + _ENTER_SECONDS
    there = diag.namespaces() if wanted is None or wanted - {home} else {}
    for netns in sorted({home, *there} if wanted is None else wanted, key=lambda inode: inode != home):
        try:
            if netns == home:
                views.append(diag.view(question.port, question.address, known))
            elif time.monotonic() > deadline:
                late += 1
            elif netns in there:
                with diag.inside(there[netns]):
                    views.append(diag.view(question.port, question.address, known))
        except PermissionError:
            refused += 1
        except OSError:  # it has gone
            continue
    if os.geteuid() != 0 or refused:
        lost = (
            "sockets of other network namespaces" if walked is None else "full queues and TIME-WAIT of other namespaces"
        )
        missing.append(Missing(source="namespaces", why="entering them needs root", lost=lost))
    if late:
        lost = f"full queues and TIME-WAIT of {late} network namespaces"
        missing.append(Missing(source="namespaces", why="there are too many to enter them all", lost=lost))
    return views


def _wanted(question: Question, walked: list[Socket] | None, home: int) -> set[int] | None:
    """The namespaces to enter; None for all. To enter one takes some milliseconds where the host has many connections.

    Where the walk has found who has the port, what else is there is told by those namespaces. Where it has not, any may
    hold what is left: connections in TIME-WAIT, orphans.
    """
    if walked is None:
        return _netns_of(question.pid) if question.pid else None
    if question.pid:
        return {each.netns for each in walked if each.state == "LISTEN"}
    return {home, *(each.netns for each in walked)} if walked else None


def _netns_of(pid: int) -> set[int]:
    try:
        return {os.stat(f"/proc/{pid}/ns/net").st_ino}
    except OSError:
        return set()


def _from_proc(question: Question, views: list[diag.View], missing: list[Missing]) -> dict[int, list[tuple[int, int]]]:
    """Who holds which file, where the kernel program cannot tell."""
    inodes = {each.inode for view in views for each in view.sockets if each.inode}
    pids = [question.pid] if question.pid else None
    found, hidden = sockets.holders(inodes, pids) if inodes else ({}, 0)
    if hidden:
        lost = "who holds the sockets of others"
        missing.append(
            Missing(source="processes", why=f"the files of {hidden} processes may only be read by root", lost=lost)
        )
    starts = {pid: sockets.start_ns(pid) for pids_of in found.values() for pid in pids_of}
    return {inode: [(pid, starts[pid]) for pid in pids_of if starts[pid]] for inode, pids_of in found.items()}
