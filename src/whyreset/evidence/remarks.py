"""What is written beside a packet: a comment for people, a note for `explain`, and the process."""

from __future__ import annotations

from collections.abc import Callable

from whyreset.evidence.join import Explained
from whyreset.evidence.journeys import Spot
from whyreset.evidence.notes import Note, encode, who
from whyreset.evidence.writer import Known
from whyreset.model import Reset
from whyreset.words import describe_exit, escape, name, service

_NOTHING = Known()
_UNEXPLAINED = (
    "no explanation: this host's TCP stack told nothing of this reset (it was forwarded, or made by a firewall or a "
    "raw socket), or its record was lost in a flood"
)


_COPIED = "copied by the kernel program where it provoked a reset; no interface that was recorded showed it"


def known_of(packet: Explained, say: Callable[[Reset], str], called: Callable[[Spot], str] | None = None) -> Known:
    """What is written beside a packet.

    Args:
        packet: the packet.
        say: a reset's cause in an operator's words.
        called: the name of an interface; without it the way of a reset over several is left out.
    """
    if packet.reset is not None and packet.segment is not None:
        reset = packet.reset
        shown = reset.owner.process if reset.owner else reset.closer
        told = comment_of(packet, say(reset))
        way = _path(packet, called) if called is not None and len(packet.path) > 1 else ""
        return Known(
            comments=(f"{told}. Seen: {way}" if way else told,),
            note=encode(note_of(packet)),
            process=(shown.pid, shown.start_ns, name(shown)) if shown else None,
        )
    if packet.provoked is not None or packet.frame.is_copy:
        cause = f" ({packet.provoked.cause.name})" if packet.provoked else ""
        return Known(comments=(f"this provoked a reset{cause}", *((_COPIED,) if packet.frame.is_copy else ())))
    if packet.segment is not None and "R" in packet.segment.flags:
        return Known(comments=(_UNEXPLAINED,))
    return _NOTHING


def comment_of(packet: Explained, told: str) -> str:
    """«closed-port, certain: closed port 8080, nobody listens there, clients are refused. Owner: …»."""
    reset = packet.reset
    assert reset is not None
    cause = reset.cause
    parts = [f"{cause.name}, {cause.certainty}: {told}"]
    if reset.owner is not None:
        owner = reset.owner
        known = f" (known by: {owner.via})" if owner.via else ""
        ended = f", {describe_exit(owner.process) or 'gone by then'}" if not owner.alive else ""
        parts.append(f"Owner: {_process(reset, 'owner')}{ended}{known}")
    if reset.closer is not None and (reset.owner is None or reset.closer.pid != reset.owner.process.pid):
        parts.append(f"Closed by: {_process(reset, 'closer')}")
    if reset.facts.reason and not any(reset.facts.reason in sentence for sentence in reset.evidence):
        parts.append(f"Kernel's reason: {reset.facts.reason}")
    if cause.candidates:
        parts.append(f"May be: {', '.join(cause.candidates)}")
    if reset.evidence:
        parts.append(f"Evidence: {'; '.join(reset.evidence)}")
    if packet.among:
        parts.append(f"One of {packet.among:,} like resets, which were not kept one by one")
    return escape(". ".join(parts))


def note_of(packet: Explained) -> Note:
    """The same for this program."""
    reset, segment = packet.reset, packet.segment
    assert reset is not None
    assert segment is not None
    # of many that were counted together only the cause is known of each
    alone = not packet.among
    owner, closer, peer = reset.owner, reset.closer, reset.peer
    return Note(
        src=segment.src,
        sport=segment.sport,
        dst=segment.dst,
        dport=segment.dport,
        seq=segment.seq,
        direction=reset.facts.direction,
        cause=reset.cause.name,
        family=reset.cause.family,
        certainty=reset.cause.certainty,
        candidates=reset.cause.candidates,
        missing=reset.cause.missing,
        evidence=reset.evidence if alone else (f"one of {packet.among:,} like resets, not kept one by one",),
        reason=reset.facts.reason,
        state=reset.facts.state_before if reset.facts.state in ("CLOSE", "TIME_WAIT") else reset.facts.state,
        netns_name=reset.netns_name,
        owner=who(owner.process, owner.via, owner.alive) if owner else None,
        closer=who(closer) if closer and alone else None,
        peer=who(peer.process, peer.via, peer.alive) if peer and alone else None,
    )


def _path(packet: Explained, called: Callable[[Spot], str]) -> str:
    """«in by veth0, in by br0, out by eth0 as 192.0.2.2:8080 to 192.0.2.1:51234»."""
    first, parts = packet.path[0].segment, []
    for spot in packet.path:
        src, sport, dst, dport = spot.segment.ends
        other = "" if spot.segment.ends == first.ends else f" as {_end(src, sport)} to {_end(dst, dport)}"
        parts.append(f"{spot.way} by {escape(called(spot))}{other}")
    return ", ".join(parts)


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _process(reset: Reset, role: str) -> str:
    process = reset.closer if role == "closer" or reset.owner is None else reset.owner.process
    assert process is not None
    part = service(process)
    user = f", user {escape(process.user)}" if process.user else ""
    return f"{name(process)}{f' ({part})' if part else ''}{user}"
