"""Flags that no stack sends: FIN, NULL, Xmas and the like. RFC 9293 section 3.10.7.1; nmap(1) on scan techniques."""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, reason
from whyreset.causes.packets import seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "scan-probe"
FAMILY = "probe"

_TECHNIQUES = {"F": "a FIN scan", "": "a NULL scan", "FPU": "an Xmas scan"}


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
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


def from_packets(traits: Traits) -> Cause | None:
    flags = trigger(traits)
    if traits.trigger is None or traits.handshake != "none" or traits.sender_sent_data:
        return None
    if flags == "S" or ("A" in flags and not {"S", "F"} <= set(flags)) or not traits.trigger_fits:
        return None
    what = f"{{receiver}} sent a segment with flags {flags or 'none'}: no stack sends such a segment"
    technique = _TECHNIQUES.get(flags)
    return certain(NAME, FAMILY, what + (f"; {technique} does" if technique else ""), "{sender} answered with a reset")
