"""Kernels that give no reason: what takes its place, and that it never says more than was seen."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.causes.test_ground_truth import SENT
from whyreset import causes
from whyreset.causes.older import infer
from whyreset.model import Facts

LISTENER = {"state": "LISTEN", "trigger": "A"}
CLOSED = {"state": "CLOSE", "in_closer": True, "released": True, "has_file": True}
MEMORY = {"state": "FIN_WAIT1", "orphaned": True}

#: facts without a reason; the reason in whose place they stand, and whether nothing else leads there
INFERRED: tuple[tuple[dict[str, Any], str, bool], ...] = (
    ({"trigger": "S"}, "NO_SOCKET", True),
    ({"trigger": ""}, "NO_SOCKET", True),
    ({"state": "TIME_WAIT", "trigger": "PA"}, "TCP_TIMEWAIT_SOCKET", True),
    ({**LISTENER, "substate": "NEW_SYN_RECV"}, "INVALID_SYN", True),
    ({**LISTENER, "substate": "LISTEN", "embryos": True}, "TCP_FLAGS", True),
    ({**LISTENER}, "TCP_FLAGS", True),
    ({**LISTENER, "embryos": True}, "TCP_FLAGS", False),
    ({**LISTENER, "embryos": True, "abort_on_overflow": True, "accept_queue_full": True}, "INVALID_SYN", False),
    ({**LISTENER, "embryos": True, "abort_on_overflow": True, "ended": "orderly"}, "TCP_FLAGS", False),
    ({"state": "LISTEN", "substate": "LISTEN", "trigger": "S"}, "MPTCP_RST_EUNSPEC", False),
    ({"state": "SYN_SENT", "trigger": "SA", "segment": "old"}, "TCP_INVALID_ACK_SEQUENCE", False),
    ({"state": "SYN_SENT", "trigger": "SA", "segment": "fits"}, "TCP_RFC7323_PAWS", False),
    ({"state": "SYN_RECV", "trigger": "A", "segment": "new"}, "TCP_ACK_UNSENT_DATA", False),
    ({"state": "SYN_RECV", "trigger": "A", "segment": "old"}, "TCP_TOO_OLD_ACK", False),
    ({"state": "CLOSE", "trigger": "PA", "orphaned": True}, "TCP_ABORT_ON_DATA", False),
    ({**CLOSED, "unread": True}, "TCP_ABORT_ON_CLOSE", False),
    ({**CLOSED, "unread": True, "linger_zero": True}, "TCP_ABORT_ON_CLOSE", False),
    ({**CLOSED}, "TCP_ABORT_ON_CLOSE", False),
    ({**CLOSED, "linger_zero": True}, "TCP_STATE", False),
    ({"state": "CLOSE", "in_closer": True, "has_file": True, "unread": True}, "TCP_STATE", False),
    ({"state": "CLOSE"}, "TCP_STATE", False),
    ({**CLOSED, "orphaned": True}, "TCP_ABORT_ON_MEMORY", False),
    ({**CLOSED, "orphaned": True, "linger2_negative": True}, "TCP_ABORT_ON_MEMORY", False),
    (
        {**CLOSED, "orphaned": True, "linger2_negative": True, "state_before": "FIN_WAIT2"},
        *("TCP_ABORT_ON_LINGER", False),
    ),
    (MEMORY, "TCP_ABORT_ON_MEMORY", False),
    ({**MEMORY, "state": "FIN_WAIT2"}, "TCP_STATE", False),
    ({"state": "ESTABLISHED", "keepalive": True}, "TCP_KEEPALIVE_TIMEOUT", False),
    ({"state": "ESTABLISHED", "keepalive": True, "in_closer": True}, "TCP_STATE", False),
    ({"state": "ESTABLISHED"}, "TCP_STATE", False),
)

#: facts without a reason that several would fit
OPEN: dict[str, dict[str, Any]] = {
    "a listener's queue that may have been full": {**LISTENER, "embryos": True, "abort_on_overflow": True},
    "a SYN that met a listener, or a request": {"state": "LISTEN", "trigger": "S", "embryos": True},
    "a FIN that met a listener": {"state": "LISTEN", "trigger": "F", "substate": "LISTEN"},
    "a segment for an established connection": {"state": "ESTABLISHED", "trigger": "PA"},
    "a socket of the kernel's own that was closed": {**CLOSED, "kernel_socket": True},
    "a socket of the kernel's own that was destroyed": {
        "state": "ESTABLISHED",
        "kernel_socket": True,
        "in_closer": True,
    },
    "no details": {"crowded": True},
}


def facts(given: dict[str, Any], reason: str = "") -> Facts:
    """Facts of a reset that was sent."""
    return msgspec.convert({**given, "direction": "sent", "reason": reason}, Facts, strict=True)


@pytest.mark.parametrize("none", ["", "NOT_SPECIFIED"])
@pytest.mark.parametrize(("given", "reason", "exact"), INFERRED)
def test_a_missing_reason_follows_from_what_was_seen(
    given: dict[str, Any], reason: str, exact: bool, none: str
) -> None:
    """By the places from which the kernel sends resets, with such a socket in such a state."""
    inferred = infer(facts(given, none))
    assert inferred is not None
    assert (inferred.reason, inferred.exact) == (reason, exact)


@pytest.mark.parametrize("given", OPEN.values(), ids=list(OPEN))
def test_what_several_reasons_fit_stays_open(given: dict[str, Any]) -> None:
    """No reason is made up: the cause is unknown, and says what would tell."""
    assert infer(facts(given)) is None
    cause = causes.explain(facts(given))
    assert (cause.name, cause.certainty) == ("unknown", "unknown")


def test_a_reason_that_was_given_is_not_second_guessed() -> None:
    """Nor is one asked for where a reset was received: the kernel never gives one there."""
    assert infer(facts({"trigger": "S"}, "NO_SOCKET")) is None
    assert infer(Facts(direction="received", state="ESTABLISHED")) is None


def test_what_is_inferred_is_said_as_such() -> None:
    """The evidence does not claim the kernel's word; what it does not prove is likely, and says what would."""
    cause = causes.explain(facts({**CLOSED, "unread": True}))
    assert (cause.name, cause.certainty) == ("unread-data", "likely")
    assert "gives no reason" in cause.evidence[0]
    assert "6.12" in cause.missing
    assert not any(sentence.startswith("kernel reason") for sentence in cause.evidence)


def test_what_leaves_no_doubt_stays_certain() -> None:
    """No socket was found for a SYN: that is what a closed port is."""
    cause = causes.explain(facts({"trigger": "S"}))
    assert (cause.name, cause.certainty, cause.missing) == ("closed-port", "certain", "")


#: numbers of cases that need more than a kernel without reasons shows
DEEPER = {"20b", "20c"}


@pytest.mark.parametrize(("case", "given", "name", "certainty"), SENT, ids=[f"{row[0]}-{row[2]}" for row in SENT])
def test_the_ground_truth_holds_without_its_reasons(
    case: str, given: dict[str, Any], name: str, certainty: str
) -> None:
    """Each known way to a reset is told as the same cause, as sure or less; or honestly as unknown."""
    with_reason = facts(given, given.get("reason", ""))
    seen = replace(with_reason, reason="", **more(with_reason))
    cause = causes.explain(seen)
    assert cause.name == ("unknown" if case in DEEPER else name)
    sure = ("certain", "likely", "unknown")
    assert sure.index(cause.certainty) >= sure.index(certainty)


def more(given: Facts) -> dict[str, Any]:
    """What the kernel program adds where there is no reason: what a listener's segment met, whether an ACK fits."""
    if given.state == "LISTEN":
        return {"substate": "NEW_SYN_RECV" if given.reason == "INVALID_SYN" else "LISTEN"}
    if given.trigger is None:
        return {"keepalive": given.reason == "TCP_KEEPALIVE_TIMEOUT"}
    segments = {"TCP_RFC7323_PAWS": "fits", "TCP_ACK_UNSENT_DATA": "new", "TCP_TOO_OLD_ACK": "old"}
    return {"segment": segments.get(given.reason, given.segment)}
