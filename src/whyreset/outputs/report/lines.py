"""One line for each reset of a capture, for people."""

from __future__ import annotations

import datetime

from whyreset.observed import ObservedReset
from whyreset.outputs.report.phrases import place
from whyreset.outputs.sentences import process_text
from whyreset.words import escape

#: What is shown of a packet's comment, in characters.
COMMENT_MAX = 200


def reset_text(reset: ObservedReset) -> str:
    """«#12 x.pcap:34 05:43:15.123456 closed-port? 192.0.2.2:8080 -> 192.0.2.1:51234: why; what would tell more»."""
    seen = reset.seen
    when = datetime.datetime.fromtimestamp(seen.time_ns // 1_000_000_000, datetime.UTC)
    clock = f"{when:%H:%M:%S}.{seen.time_ns % 1_000_000_000 // 1_000:06d}"
    cause = reset.cause.name + ("" if reset.cause.certainty == "certain" else "?")
    many = f"{reset.count:,} x " if reset.count > 1 else ""
    why = "; ".join(reset.evidence)
    others = [name for name in reset.cause.candidates if name != reset.cause.name]
    perhaps = f" [{'or' if reset.cause.name in reset.cause.candidates else 'one of'} {', '.join(others)}]"
    more = f"; to know more: {reset.cause.missing}" if reset.cause.missing else ""
    history = f" {seen.history}" if seen.history else ""
    wrapped = f" in {' in '.join(each.kind for each in reversed(seen.tunnels))}" if seen.tunnels else ""
    told = reset.recorded
    if told is not None and told.owner is not None:
        why += f"; owner {process_text(told.owner.process)}"
    if told is not None and told.closer is not None and (told.owner is None or told.closer != told.owner.process):
        why += f"; closed by {process_text(told.closer)}"
    if seen.comment and told is None:  # a comment beside a note says the same
        more += f"; comment: «{seen.comment[:COMMENT_MAX]}»"
    route = f"{place(seen.src, seen.sport)} -> {place(seen.dst, seen.dport)}"
    return escape(
        f"#{seen.number} {reset.file}:{seen.frame} {clock}  {many}{cause}  {route}{wrapped}{history}: "
        f"{why}{perhaps if others else ''}{more}"
    )
