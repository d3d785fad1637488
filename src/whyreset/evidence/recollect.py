"""What a file's notes are worth to whoever explains the file.

Rules. A note must name the reset that it lies beside, and a cause that there is; else it is not heeded. What packets
alone are certain of, no note overrules. All else that a note says is taken, and told to be the recorder's word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from whyreset.evidence.notes import Note, cause_of, owner_of, process_of
from whyreset.model import Cause
from whyreset.observation import Observation
from whyreset.observed import Recorded
from whyreset.words import escape


class Recollection(Struct, frozen=True, kw_only=True):
    """A reset's cause with its evidence, after the note was heard."""

    cause: Cause
    evidence: tuple[str, ...]
    #: None where the note is not believed.
    recorded: Recorded | None


def is_beside(note: Note, seen: Observation) -> bool:
    """Whether a note is of this very reset."""
    named = (note.src, note.sport, note.dst, note.dport, note.seq)
    return named == (seen.src, seen.sport, seen.dst, seen.dport, seen.seq)


def recollect(
    note: Note, seen: Observation, cause: Cause, evidence: Sequence[str], known: Collection[str]
) -> Recollection:
    """What is told of a reset that has a note.

    Args:
        note: the note.
        seen: the reset.
        cause: what packets alone tell.
        evidence: its sentences.
        known: causes and families that there are.
    """
    if not is_beside(note, seen) or note.cause not in known or note.family not in known:
        text = "a note beside it in the file is of another reset, and is not heeded"
        return Recollection(cause=cause, evidence=(*evidence, text), recorded=None)
    if cause.certainty == "certain" and cause.family != note.family:
        text = f"a note beside it in the file says {escape(note.cause)}, which the packets contradict"
        return Recollection(cause=cause, evidence=(*evidence, text), recorded=None)
    recorded = Recorded(
        reason=note.reason,
        state=note.state,
        netns_name=note.netns_name,
        owner=owner_of(note.owner) if note.owner else None,
        closer=process_of(note.closer) if note.closer else None,
        peer=owner_of(note.peer) if note.peer else None,
    )
    if note.certainty == "unknown" or note.cause == "unknown":
        return Recollection(cause=cause, evidence=tuple(evidence), recorded=recorded)
    told = ["by the recorder's word, which the file holds beside the packet", *map(escape, note.evidence)]
    if cause.name != note.cause:
        told.append(f"packets alone: {cause.name}, {cause.certainty}")
    return Recollection(cause=cause_of(note), evidence=tuple(told), recorded=recorded)
