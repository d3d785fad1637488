"""The filter words: which resets are shown."""

from typing import Any

import pytest

from tests.outputs.values import CAUSE, reset
from whyreset.filter import Filter
from whyreset.model import Cause, Finding, Subject

UNSURE = Cause(name="half-open", family="half-open", certainty="likely", candidates=("late-duplicate",))
NOTHING = {"local_port": 0, "remote_port": 0, "local": "", "remote": ""}

WANTED: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "nothing asked": ({}, {}, True),
    "both directions": ({"direction": "both"}, {"facts": {"direction": "received"}}, True),
    "its direction": ({"direction": "received"}, {"facts": {"direction": "received"}}, True),
    "the other direction": ({"direction": "sent"}, {"facts": {"direction": "received"}}, False),
    "its own port": ({"ports": frozenset({8080})}, {}, True),
    "the peer's port": ({"ports": frozenset({51234})}, {}, True),
    "one of several ports": ({"ports": frozenset({1, 8080})}, {}, True),
    "another port": ({"ports": frozenset({8081})}, {}, False),
    "the service's port of a group without a sample": ({"ports": frozenset({8080})}, {"sample": NOTHING}, True),
    "another port of a group without a sample": ({"ports": frozenset({81})}, {"sample": NOTHING}, False),
    "port 0 of a group without a sample": ({"ports": frozenset({81})}, {"sample": NOTHING, "port": None}, False),
    "its cause": ({"causes": frozenset({"closed-port"})}, {}, True),
    "its family": ({"causes": frozenset({"half-open"})}, {"cause": UNSURE}, True),
    "what it may be": ({"causes": frozenset({"late-duplicate"})}, {"cause": UNSURE}, True),
    "another cause": ({"causes": frozenset({"unread-data"})}, {"cause": CAUSE}, False),
    "its namespace's number": ({"netns": frozenset({"4026531840"})}, {}, True),
    "its namespace's name": ({"netns": frozenset({"blue"})}, {"netns_name": "blue"}, True),
    "another namespace": ({"netns": frozenset({"red", "7"})}, {"netns_name": "blue"}, False),
    "no name is no name": ({"netns": frozenset({""})}, {}, False),
    "all words hold": ({"ports": frozenset({8080}), "causes": frozenset({"unread-data"})}, {}, False),
}


@pytest.mark.parametrize(("words", "fields", "wanted"), WANTED.values(), ids=list(WANTED))
def test_what_is_asked_for_is_shown(words: dict[str, Any], fields: dict[str, Any], wanted: bool) -> None:
    """Each word narrows; a word that is not given lets all through."""
    assert Filter(**words).wants(reset(**fields)) is wanted


@pytest.mark.parametrize(
    ("words", "told", "by_detail"),
    [
        ({}, "", False),
        ({"direction": "sent"}, "sent", False),
        ({"netns": frozenset({"blue", "9"})}, "netns 9 or blue", False),
        ({"ports": frozenset({443, 80})}, "port 80 or 443", True),
        ({"direction": "received", "causes": frozenset({"abort"})}, "received, cause abort", True),
    ],
)
def test_what_is_asked_for_is_told_in_words(words: dict[str, Any], told: str, by_detail: bool) -> None:
    """And whether resets that were only counted can be known to be among it."""
    chosen = Filter(**words)
    assert (chosen.words(), chosen.by_detail) == (told, by_detail)


def test_what_is_the_whole_machines_is_told_whichever_namespace_was_asked_for() -> None:
    """Memory of TCP is everybody's; a finding about one namespace is told where that was asked for."""

    def about(subject: Subject) -> Finding:
        return Finding(
            id="f1",
            name="memory-pressure",
            state="open",
            time_ns=1,
            subject=subject,
            since_ns=1,
            count=1,
            confidence="certain",
            severity="warning",
            sentence="It is short",
            evidence=(),
        )

    asked = Filter(netns=frozenset({"7"}))
    assert asked.wants_finding(about(Subject()))
    assert asked.wants_finding(about(Subject(netns=7)))
    assert not asked.wants_finding(about(Subject(netns=8)))
