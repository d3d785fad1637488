"""What holds for causes that packets alone tell: who answers, how sure, in which words."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, get_args, get_type_hints

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.causes.test_causes import NAMES, answers, assert_certainty, assert_sentences, many
from tests.hosts.cases.model import FAMILIES, FAMILY
from whyreset import causes
from whyreset.causes.packets import SEEN_WORDS
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

TRIGGERS = (None, "S", "SEC", "SA", "A", "PA", "FA", "FPA", "F", "", "FPU", "SF")
HINTS = get_type_hints(Traits)
CHOICES: dict[str, tuple[Any, ...]] = {
    name: (False, True) if kind is bool else get_args(kind) for name, kind in HINTS.items()
} | {"trigger": TRIGGERS, "flags": ("R", "RA", "RPA")}

traits_of_all_kinds = st.fixed_dictionaries({name: st.sampled_from(each) for name, each in CHOICES.items()}).map(
    lambda values: Traits(**values)
)


def told(traits: Traits) -> Cause:
    """The cause of resets that only packets show."""
    return causes.explain(Facts(direction="observed", traits=traits))


def _consistent(values: dict[str, Any], random: Random) -> dict[str, Any]:
    """The same without contradictions, as the core gives them."""
    trigger = values["trigger"]
    if values["alone"]:
        kept = {name: values[name] for name in ("flags", "state_lost", "ttl", "payload", "mptcp", "idle")}
        values = {**kept, "handshake": "none", "opener": "", "alone": True, "seq": "unknown", "ttl": "unknown"}
        return values | ({"seq": "zero", "flags": "RA"} if random.random() < 0.4 else {})
    if values["handshake"] == "none":
        values["opener"] = ""
    if values["handshake"] == "syn":
        values["opener"] = random.choice(("sender", "receiver"))
    if values["handshake"] in ("syn", "syn-ack"):
        for name in ("sender_fin", "receiver_fin"):
            values[name] = ""
        for name in ("sender_sent_data", "receiver_sent_data", "sender_keepalives", "sender_window_zero"):
            values[name] = False
    if trigger is None:
        for name in ("payload", "new_data", "again", "completes", "options"):
            values[f"trigger_{name}"] = False
        values["trigger_fits"] = ""
    else:
        values["trigger_fits"] = "seq" if "A" in trigger else "ack"
        values["flags"] = "R" if "A" in trigger else "RA"
        values["seq"] = values["seq"] if "A" in trigger else "zero"
        values["trigger_completes"] &= trigger in ("A", "PA") and values["handshake"] == "complete"
        values["trigger_new_data"] &= values["trigger_payload"]
        values["trigger_again"] &= not values["trigger_new_data"]
    if values["seq"] == "zero":
        values["flags"] = "RA"
    if values["trigger_completes"]:
        values |= {"opener": "receiver", "sender_resets": "none", "sender_sent_data": False, "sender_fin": ""}
        values |= {"receiver_fin": "", "trigger_again": False}
    return values


@cache
def possible_traits() -> tuple[Traits, ...]:
    """Many traits without contradictions."""
    random = Random(1)
    many_of_them = []
    for _ in range(80_000):
        values = {
            name: random.random() < 0.3 if HINTS[name] is bool else random.choice(each)
            for name, each in CHOICES.items()
        }
        if random.random() < 0.9:
            values["mptcp"] = ""
        many_of_them.append(Traits(**_consistent(values, random)))
    return tuple(many_of_them)


def assert_name(cause: Cause) -> None:
    """It is a slug with its family, or a family's name; packets may leave something open beside the family."""
    if cause.name in NAMES:
        assert cause.family == NAMES[cause.name].FAMILY
        assert not cause.candidates or cause.name in cause.candidates or cause.name == "unknown"
    else:
        assert cause.name == cause.family
        assert cause.name in FAMILIES
        assert cause.family in {FAMILY[name] for name in cause.candidates}
    assert set(cause.candidates) <= FAMILY.keys()
    assert len(set(cause.candidates)) == len(cause.candidates)


@given(traits_of_all_kinds)
@many
def test_any_traits_have_a_sound_cause(traits: Traits) -> None:
    """Whatever the traits, also those that contradict each other: a known name, a fit certainty, known words."""
    cause = told(traits)
    assert_name(cause)
    assert_certainty(cause)
    assert_sentences(cause, SEEN_WORDS)


def test_every_answer_to_possible_traits_is_sound() -> None:
    """The same for each of the answers to many traits without contradictions."""
    for cause in {told(traits) for traits in possible_traits()}:
        assert_name(cause)
        assert_certainty(cause)
        assert_sentences(cause, SEEN_WORDS)


def test_what_packets_tell_is_asked_only_without_a_kernels_reason() -> None:
    """Where the kernel gave its reason, what packets tell changes nothing."""
    for traits in possible_traits()[:2000]:
        facts = Facts(direction="sent", reason="NO_SOCKET", trigger="S", trigger_options=True)
        assert causes.explain(replace(facts, traits=traits)) == causes.explain(facts)


#: What `half-open` would claim, too: it is what is left of answers to segments with ACK, and asked after these.
SPECIAL_ANSWERS = {
    *("data-after-close", "linger2-expired", "accept-queue-full", "in-flight"),
    *("time-wait-assassination", "late-duplicate"),
}


def test_two_causes_claim_the_same_traits_only_where_one_is_what_is_left() -> None:
    """The order decides nothing but this: forged resets may have any form, `half-open` is what others leave."""
    found = set()
    for traits in possible_traits():
        claimed = [module.NAME for module in answers(Facts(direction="observed", traits=traits))]
        assert claimed.pop() == "unknown"
        assert "forged" not in claimed[1:]
        claimed = [name for name in claimed if name != "forged"]
        if len(claimed) > 1:
            special, rest = claimed
            assert rest == "half-open", traits
            found.add(special)
    assert found == SPECIAL_ANSWERS
