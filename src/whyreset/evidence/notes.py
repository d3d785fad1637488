"""The recorder's notes: what a packet's block holds beside the packet, so that `explain` can give back what was known.

A file comes from anybody, so a note is a claim: it is read with bounds, it must name the packet that it lies beside,
and whoever shows it says whose word it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from whyreset.evidence.pcapng import NOTE_MARK, NOTE_MAX
from whyreset.model import Cause, Certainty, Direction, Owner, Process

_Number = Annotated[int, Meta(ge=0, lt=1 << 32)]
_Port = Annotated[int, Meta(ge=0, lt=1 << 16)]
_Text = Annotated[str, Meta(max_length=NOTE_MAX)]
_Texts = Annotated[tuple[_Text, ...], Meta(max_length=64)]


class Who(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process as a note names it."""

    pid: _Number
    comm: _Text = ""
    exe: _Text = ""
    command: _Texts = ()
    uid: _Number | None = None
    user: _Text = ""
    unit: _Text = ""
    container: _Text = ""
    container_name: _Text = ""
    pod: _Text = ""
    #: As wait(2) gives it; None while it lived.
    exit_code: _Number | None = None
    out_of_memory: bool = False
    #: Of an owner: how that was known, and whether it lived.
    via: _Text = ""
    alive: bool = False


class Note(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the recorder knew of one reset."""

    #: Which reset: as the packet has it.
    src: _Text
    sport: _Port
    dst: _Text
    dport: _Port
    seq: _Number
    direction: Direction
    cause: _Text
    family: _Text
    certainty: Certainty
    candidates: _Texts = ()
    missing: _Text = ""
    #: Sentences.
    evidence: _Texts = ()
    #: The kernel's reason by name, and the state that the connection was in.
    reason: _Text = ""
    state: _Text = ""
    netns_name: _Text = ""
    owner: Who | None = None
    closer: Who | None = None
    peer: Who | None = None


def encode(note: Note) -> bytes:
    """A note as its block's option has it; shortened until it has room, b"" where that is not enough."""
    for shorter in _SHORTER:
        data = NOTE_MARK + msgspec.json.encode(shorter(note))
        if len(data) <= NOTE_MAX:
            return data
    return b""


def decode(data: bytes) -> Note | None:
    """A note; None for what is none, whatever it holds."""
    if not data.startswith(NOTE_MARK) or len(data) > NOTE_MAX:
        return None
    try:
        return _DECODER.decode(data[len(NOTE_MARK) :])
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def who(process: Process, via: str = "", alive: bool = False) -> Who:
    """A process for a note."""
    return Who(
        pid=process.pid,
        comm=process.comm,
        exe=process.exe,
        command=process.command,
        uid=process.uid,
        user=process.user,
        unit=process.unit,
        container=process.container,
        container_name=process.container_name,
        pod=process.pod,
        exit_code=process.exit_code,
        out_of_memory=process.out_of_memory,
        via=via,
        alive=alive,
    )


def process_of(named: Who) -> Process:
    """The process that a note names."""
    return Process(
        pid=named.pid,
        comm=named.comm,
        exe=named.exe,
        command=named.command,
        uid=named.uid,
        user=named.user,
        unit=named.unit,
        container=named.container,
        container_name=named.container_name,
        pod=named.pod,
        exit_code=named.exit_code,
        out_of_memory=named.out_of_memory,
    )


def owner_of(named: Who) -> Owner:
    """The owner that a note names."""
    return Owner(process=process_of(named), via=named.via, alive=named.alive)


def cause_of(note: Note) -> Cause:
    """The cause that a note names."""
    return Cause(
        name=note.cause,
        family=note.family,
        certainty=note.certainty,
        candidates=note.candidates,
        missing=note.missing,
    )


_DECODER = msgspec.json.Decoder(Note)


def _cut(note: Note, *, words: int, length: int) -> Note:
    """With command lines of so many words, and texts of so many characters."""

    def shorter(named: Who | None) -> Who | None:
        if named is None:
            return None
        return replace(
            named,
            command=tuple(word[:length] for word in named.command[:words]),
            exe=named.exe[-length:],
            unit=named.unit[:length],
            container_name=named.container_name[:length],
            pod=named.pod[:length],
        )

    return replace(
        note,
        evidence=tuple(sentence[:length] for sentence in note.evidence),
        missing=note.missing[:length],
        owner=shorter(note.owner),
        closer=shorter(note.closer),
        peer=shorter(note.peer),
    )


_SHORTER: tuple[Callable[[Note], Note], ...] = (
    lambda note: note,
    lambda note: _cut(note, words=8, length=160),
    lambda note: _cut(note, words=2, length=80),
    lambda note: replace(_cut(note, words=0, length=60), closer=None, peer=None, evidence=()),
)
