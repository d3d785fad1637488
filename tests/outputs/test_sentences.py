"""Plain words for each cause: all have them, they fit the side that is told, and claim no harm that was none."""

from typing import Any

import pytest

from tests.outputs.values import reset
from whyreset import causes
from whyreset.model import Cause, Remotes
from whyreset.outputs import sentences

NAMES = sorted({module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES})
QUIET = {"in-flight", "late-duplicate", "time-wait-reuse", "time-wait-assassination"}


def said(name: str, certainty: str = "certain", **facts: Any) -> sentences.Saying:
    """What is said of a reset with this cause."""
    return sentences.say(reset(cause=Cause(name=name, family="x", certainty=certainty), facts=facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_each_cause_and_family_has_words(name: str) -> None:
    """Whoever adds a cause says in plain words what happened and what it means."""
    saying = sentences.SAYINGS[name]
    assert saying.what
    assert saying.meaning
    assert name not in saying.what or "-" not in name


def test_each_saying_is_of_a_cause_that_is_or_is_planned() -> None:
    """No words are left behind by a cause that was renamed."""
    planned = {"forged", "injected"}
    assert set(sentences.SAYINGS) <= set(NAMES) | planned
    assert set(sentences.RECEIVED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_only_harmless_causes_are_quiet(name: str) -> None:
    """What is harmless or part of another reset is never presented as trouble of its own."""
    assert said(name).quiet == (name in QUIET)


def test_a_cause_without_words_is_told_by_its_name() -> None:
    """Escaped like all that is not ours."""
    assert said("new\x1b").what == "new\\x1b"


@pytest.mark.parametrize(
    ("direction", "twin", "active_open", "other"),
    [
        ("sent", False, False, "client"),
        ("sent", False, True, "server"),
        ("received", False, False, "client"),
        ("received", False, True, "server"),
        # of a reset that was seen at its sender too, the sender's words are said: its other side is this one
        ("received", True, False, "server"),
        ("received", True, True, "client"),
    ],
)
def test_the_other_side_is_called_by_its_part(direction: str, twin: bool, active_open: bool, other: str) -> None:
    """Client or server, as this host had opened the connection or not."""
    cause = Cause(name="data-after-close", family="abort", certainty="certain")
    facts = {"direction": direction, "active_open": active_open, "twin_cause": cause if twin else None}
    saying = sentences.say(reset(cause=cause, facts=facts))
    told = saying.what + saying.meaning
    assert other in told
    assert ({"client", "server"} - {other}).pop() not in told


@pytest.mark.parametrize(
    ("name", "facts", "meaning", "quiet"),
    [
        ("linger-zero", {"state_before": "ESTABLISHED"}, "what was on its way is lost", False),
        ("linger-zero", {"state_before": "CLOSE_WAIT"}, "harmless, the client had finished already", True),
        (
            "linger-zero",
            {"state_before": "CLOSE_WAIT", "data_unacked": True},
            "one side had closed already, what was still unsent or unread is lost",
            False,
        ),
        ("disconnect", {"state_before": "FIN_WAIT2"}, "one side had closed already", False),
        ("linger-zero", {"exiting": True}, "its process ended; what was on its way is lost", False),
        ("unread-data", {"unread": True}, "the client's last data is lost", False),
        ("unread-data", {}, "the connection ends without an orderly close", False),
        ("half-open", {"ended": "silent"}, "the client did not know that it was over", False),
        ("half-open", {"ended": "abandoned"}, "it answers a connect that was given up before", False),
        (
            "half-open",
            {"ended": "reset-received", "segment": "new"},
            "it was cut here by a reset that the client did not send",
            False,
        ),
    ],
)
def test_the_state_before_decides_the_harm(name: str, facts: dict[str, Any], meaning: str, quiet: bool) -> None:
    """The same cause may have cost somebody's bytes, or nobody anything."""
    saying = said(name, **facts)
    assert (saying.meaning, saying.quiet) == (meaning, quiet)


@pytest.mark.parametrize(("name", "doubt"), [("half-open", True), ("stray-segment", False), ("closed-port", False)])
def test_what_is_only_likely_is_said_to_be(name: str, doubt: bool) -> None:
    """Except where the words claim nothing that might be wrong."""
    assert said(name, "likely").likely == doubt
    assert not said(name).likely


def test_what_was_received_from_elsewhere_has_words_of_its_own() -> None:
    """Only its sender knows why; the words claim no more."""
    assert said("closed-port", "likely", direction="received").what == "refused"
    assert said("unknown", "unknown", direction="received", active_open=True).what == "cut off by the server"


@pytest.mark.parametrize(
    ("remotes", "text"),
    [
        (None, "192.0.2.9"),
        (Remotes(distinct=1, exact=True, top=(("192.0.2.1", 5),)), "192.0.2.1"),
        (Remotes(distinct=3, exact=True, top=(("a", 1), ("b", 1), ("c", 1))), "a and 2 more"),
        (Remotes(distinct=9, exact=True, top=(("a", 90), ("b", 10))), "a and 8 more"),
        (Remotes(distinct=9, exact=True, top=(("a", 5), ("b", 5), ("c", 5))), "9 addresses"),
        (Remotes(distinct=1200, exact=False, top=(("a", 900), ("b", 1))), "about 1,200 addresses"),
        (Remotes(distinct=9, exact=True, top=()), "9 addresses"),
    ],
)
def test_one_of_many_addresses_is_named_only_where_it_stands_out(remotes: Remotes | None, text: str) -> None:
    """Sources of floods are forged: none of them is presented as the culprit."""
    assert sentences.remotes_text(remotes, "192.0.2.9") == text
