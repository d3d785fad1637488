"""What holds for all facts: names, certainties and sentences of causes, and who answers where several would."""

from functools import cache
from random import Random
from string import Formatter
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.hosts.cases.model import FAMILIES, FAMILY
from whyreset import causes
from whyreset.causes.base import WORDS
from whyreset.model import Cause, Certainty, Facts, Group, Remotes
from whyreset.pipeline import Draft, _nothing, _words

NAMES = {module.NAME: module for module in causes.CAUSES}
#: enum sk_rst_reason without its prefix, and what no kernel says yet
REASONS = (
    *("", "NOT_SPECIFIED", "NO_SOCKET", "TCP_INVALID_ACK_SEQUENCE", "TCP_RFC7323_PAWS", "TCP_TOO_OLD_ACK"),
    *("TCP_ACK_UNSENT_DATA", "TCP_FLAGS", "TCP_OLD_ACK", "TCP_ABORT_ON_DATA", "TCP_TIMEWAIT_SOCKET", "INVALID_SYN"),
    *("TCP_ABORT_ON_CLOSE", "TCP_ABORT_ON_LINGER", "TCP_ABORT_ON_MEMORY", "TCP_STATE", "TCP_KEEPALIVE_TIMEOUT"),
    *("TCP_DISCONNECT_WITH_DATA", "MPTCP_RST_EUNSPEC", "MPTCP_RST_EPROHIBIT", "MPTCP_RST_NEW", "ERROR", "REASON_99"),
)
STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT"),
    *("LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV", "STATE_99"),
)
TRIGGERS = (None, "", "S", "A", "PA", "FA", "FPA", "SA", "F", "FPU", "SFA", "SF", "AU", "FSRPAU")
CHOICES: dict[str, tuple[str | None, ...]] = {
    "direction": ("sent", "received", "observed"),
    "reason": REASONS,
    "state": STATES,
    "state_before": STATES,
    "substate": ("", "TIME_WAIT", "FIN_WAIT2"),
    "trigger": TRIGGERS,
    "segment": ("", "old", "last-ack", "new"),
    "ended": ("", "orderly", "half-closed", "reset-sent", "reset-received", "abandoned", "silent"),
    "reject": ("", "moved", "uncounted", "unread"),
}
FLAGS = sorted(set(Facts.__struct_fields__) - {*CHOICES, "twin_cause", "traits"})

facts_of_all_kinds = st.fixed_dictionaries(
    {name: st.sampled_from(choices) for name, choices in CHOICES.items()} | dict.fromkeys(FLAGS, st.booleans())
).map(lambda values: msgspec.convert(values, Facts))


LISTENS = {"reason": "TCP_FLAGS", "state": "LISTEN"}

NO_CONNECTION = ({"reason": "NO_SOCKET", "state": ""}, LISTENS)

many = settings(max_examples=500, deadline=None)


@cache
def possible_facts() -> tuple[Facts, ...]:
    """Many facts as a kernel gives them for what it sends, as far as that bears on who answers.

    Half are segments without a connection: those meet a listener or nobody, and only they are joined with a connection
    that has ended. The last ACK of all is an ACK.
    """
    random = Random(1)
    many = []
    for _ in range(60_000):
        values: dict[str, Any] = {name: random.choice(choices) for name, choices in CHOICES.items()}
        values |= {name: random.random() < 0.4 for name in FLAGS}
        if random.random() < 0.5:
            values |= random.choice(NO_CONNECTION)
        if (values["reason"], values["state"]) not in (("NO_SOCKET", ""), ("TCP_FLAGS", "LISTEN")):
            values["ended"] = ""
        if not values["ended"]:
            values |= {"segment": "", "at_once": False}
        elif values["segment"] == "last-ack":
            values["trigger"] = random.choice(("A", "PA"))
        values |= {"past_stack": False, "reject": ""}  # no kernel tells of those
        many.append(msgspec.convert({**values, "direction": "sent"}, Facts))
    return tuple(many)


def answers(facts: Facts) -> list[ModuleType]:
    """The modules that would answer, in the order in which they are asked."""
    return [module for module in causes.CAUSES if module.explain(facts) is not None]


def assert_name(cause: Cause) -> None:
    """It is a slug with its family, or the name of a family that lists its candidates."""
    if cause.name in NAMES:
        assert cause.family == NAMES[cause.name].FAMILY
    else:
        assert cause.name == cause.family
        assert cause.name in FAMILIES
        assert cause.candidates
        assert {FAMILY[name] for name in cause.candidates} == {cause.family}
    assert set(cause.candidates) <= FAMILY.keys()


def assert_certainty(cause: Cause) -> None:
    """A certain cause lacks nothing and is one of the slugs; any other says what would have to be seen."""
    assert cause.certainty in get_args(Certainty)
    assert bool(cause.missing) == (cause.certainty != "certain")
    assert (cause.certainty == "unknown") == (cause.name == "unknown")
    if cause.certainty == "certain":
        assert cause.name in NAMES
        assert cause.candidates == ()


def assert_sentences(cause: Cause, words: frozenset[str] = WORDS) -> None:
    """Evidence uses the documented words in braces and no others; what is not filled has no braces."""
    assert cause.evidence
    for sentence in cause.evidence:
        assert {name for _, name, _, _ in Formatter().parse(sentence) if name is not None} <= words
        assert sentence.format_map(dict.fromkeys(words, "x"))
    assert not set("{}") & set(cause.missing)


@given(facts_of_all_kinds)
@many
def test_any_facts_have_a_sound_cause(facts: Facts) -> None:
    """Whatever the facts, also those that no kernel gives: a known name, the certainty it can have, known words."""
    cause = causes.explain(facts)
    assert_name(cause)
    assert_certainty(cause)
    assert_sentences(cause)


def test_every_answer_to_possible_facts_is_sound() -> None:
    """The same for each of the answers to many facts of resets that were sent; every module is among those."""
    told = {causes.explain(facts) for facts in possible_facts()}
    for cause in told:
        assert_name(cause)
        assert_certainty(cause)
        assert_sentences(cause)
    assert (
        NAMES.keys() - {"forged", "firewall-reject", "not-from-stack"} == {cause.name for cause in told} & NAMES.keys()
    )


@given(facts_of_all_kinds)
@many
def test_a_twin_is_what_it_was_when_it_was_sent(facts: Facts) -> None:
    """A reset received from this same host has the cause that it had there; only one received can have that."""
    twin = Cause(name="half-open", family="half-open", certainty="likely", candidates=("half-open",), missing="more")
    with_twin = replace(facts, twin_cause=twin)
    if facts.direction == "received":
        told = causes.explain(with_twin)
        assert (told.name, told.family, told.certainty) == (twin.name, twin.family, twin.certainty)
        assert (told.candidates, told.missing) == (twin.candidates, twin.missing)
    else:
        assert causes.explain(with_twin) == causes.explain(facts)


def test_words_are_those_that_the_pipeline_fills() -> None:
    """The words that causes may use are those that the pipeline has, no more and no fewer."""
    facts = Facts(direction="sent")
    group = Group(
        number=1,
        facts=facts,
        count=1,
        first_ns=1,
        last_ns=1,
        netns=1,
        netns_cookie=1,
        port=80,
        remotes=Remotes(distinct=1, exact=True, top=()),
        samples=(),
        twin=None,
    )
    assert _words(Draft(group=group, facts=facts), _nothing(group)).keys() == WORDS


# ---- order ----

#: Modules that claim the same facts, the one that is asked first before the other; facts that both claim; and why the
#: first is right. Any other two that answer alike are a mistake: the cause would hang on the order of a tuple.
#: `unknown` claims all facts and is asked last.
OVERLAPS: dict[tuple[str, str], tuple[dict[str, Any], str]] = {
    ("accept-queue-full", "invalid-syn"): (
        {
            "reason": "INVALID_SYN",
            "state": "LISTEN",
            "trigger": "A",
            "accept_queue_full": True,
            "abort_on_overflow": True,
        },
        "a full queue is the one reason for an embryonic reset that can be seen",
    ),
    ("data-after-close", "time-wait-segment"): (
        {
            "reason": "TCP_TIMEWAIT_SOCKET",
            "state": "TIME_WAIT",
            "substate": "FIN_WAIT2",
            "trigger": "PA",
            "trigger_payload": True,
        },
        "an orphan in FIN-WAIT-2 is kept as a TIME-WAIT mini socket; data for it is data after close all the same",
    ),
    ("in-flight", "half-open"): (
        {**LISTENS, "trigger": "PA", "segment": "new", "ended": "reset-sent", "at_once": True},
        "what was on its way when the connection was reset was not sent by a peer that did not know",
    ),
    ("time-wait-assassination", "late-duplicate"): (
        {**LISTENS, "trigger": "A", "state_before": "LAST_ACK", "segment": "last-ack", "ended": "orderly"},
        "only TIME-WAIT sends the last ACK of all again",
    ),
    ("bad-handshake-ack", "half-open"): (
        {**LISTENS, "trigger": "PA", "trigger_payload": True, "trigger_options": True, "cookies_recent": True},
        "a listener that has half-open requests or sent cookies may be in the middle of a handshake",
    ),
    ("bad-handshake-ack", "stray-segment"): (
        {**LISTENS, "trigger": "A", "cookies_recent": True},
        "the same",
    ),
}


def test_two_causes_claim_the_same_facts_only_where_that_is_written_down() -> None:
    """The order of the causes decides nothing but the pairs of OVERLAPS, and decides each of those."""
    seen = set()
    for facts in possible_facts():
        *others, last = answers(facts)
        assert last.NAME == "unknown"
        claimed = [module.NAME for module in others]
        pairs = {(first, second) for i, first in enumerate(claimed) for second in claimed[i + 1 :]}
        assert pairs <= OVERLAPS.keys(), facts
        seen |= pairs
    assert seen == OVERLAPS.keys()


@pytest.mark.parametrize("pair", OVERLAPS, ids="-before-".join)
def test_overlap_is_real_and_in_order(pair: tuple[str, str]) -> None:
    """Both causes of a pair claim its facts, and the first is the answer."""
    given_facts, why = OVERLAPS[pair]
    facts = Facts(direction="sent", **given_facts)
    assert [module.NAME for module in answers(facts)][:-1] == list(pair)
    assert causes.explain(facts).name == pair[0] or pair[0] in causes.explain(facts).candidates
    assert why
