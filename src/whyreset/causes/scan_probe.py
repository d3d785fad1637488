"""Flags that no stack sends: FIN, NULL, Xmas and the like. RFC 9293 section 3.10.7.1; nmap(1) on scan techniques."""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, reason
from whyreset.model import Cause, Facts

NAME = "scan-probe"
FAMILY = "probe"

_TECHNIQUES = {"F": "a FIN scan", "": "a NULL scan", "FPU": "an Xmas scan"}


def explain(facts: Facts) -> Cause | None:
    trigger = facts.trigger
    if (
        not has_no_connection(facts)
        or trigger is None
        or trigger == "S"
        or ("A" in trigger and not {"S", "F"} <= set(trigger))
    ):
        return None
    technique = _TECHNIQUES.get(trigger)
    what = f"flags {trigger or 'none'}: no stack sends such a segment"
    return certain(NAME, FAMILY, reason(facts), what + (f"; {technique} does" if technique else ""))
