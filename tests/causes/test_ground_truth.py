"""The ground truth as facts: what the kernel gave for each known way to a reset, and what that is told as.

The live tests provoke the same for real (tests/hosts/cases, by the same numbers); this is their fast double. The facts
were taken from Linux 6.18.
"""

from typing import Any

import msgspec
import pytest

from tests.hosts.cases import CASES
from whyreset import causes
from whyreset.model import Facts

NOWHERE = {"reason": "NO_SOCKET"}
LISTENER = {"reason": "TCP_FLAGS", "state": "LISTEN"}
CLOSED = {"state": "CLOSE", "state_before": "ESTABLISHED", "in_closer": True, "by_owner": True}
CLOSE = {**CLOSED, "has_file": True, "released": True}
CALL = {"state": "CLOSE", "state_before": "ESTABLISHED", "in_closer": True, "has_file": True}
ORPHAN = {"reason": "TCP_ABORT_ON_DATA", "state": "CLOSE", "orphaned": True}
DATA = {"trigger": "PA", "trigger_payload": True, "trigger_options": True}
CONNECTING = {"state": "SYN_SENT", "active_open": True, "has_file": True, "data_unacked": True}
UNACCEPTED = {"reason": "TCP_STATE", "state": "CLOSE", "state_before": "ESTABLISHED"}
SUBFLOW = {"state": "ESTABLISHED", "state_before": "ESTABLISHED", "in_closer": True, "kernel_socket": True}
GONE = {**DATA, "state_before": "ESTABLISHED", "segment": "new"}
LAST_ACK = {
    "state_before": "LAST_ACK",
    "active_open": True,
    "fin_received": True,
    "trigger": "A",
    "trigger_options": True,
    "ended": "orderly",
    "segment": "last-ack",
}
MINI = {"reason": "TCP_TIMEWAIT_SOCKET", "state": "TIME_WAIT", "state_before": "FIN_WAIT2", "substate": "FIN_WAIT2"}
SYN_ACK = {"trigger": "SA", "trigger_options": True}
IDLE = {"reason": "TCP_KEEPALIVE_TIMEOUT", "state": "ESTABLISHED", "state_before": "ESTABLISHED", "has_file": True}

#: number of the case; facts of the reset that was sent; cause and certainty
SENT: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("01", {**NOWHERE, "trigger": "S", "trigger_options": True}, "closed-port", "certain"),
    ("02", {**CLOSE, "reason": "TCP_ABORT_ON_CLOSE", "unread": True}, "unread-data", "certain"),
    ("03a", {**CLOSE, "reason": "TCP_STATE", "linger_zero": True}, "linger-zero", "certain"),
    ("03b", {**CALL, "reason": "TCP_STATE"}, "disconnect", "certain"),
    ("03c", {**CALL, "reason": "TCP_STATE", "data_unacked": True}, "disconnect", "certain"),
    (
        "03d",
        {**ORPHAN, "state_before": "FIN_WAIT2", "linger2_negative": True, "trigger": "A", "trigger_options": True},
        *("linger2-expired", "certain"),
    ),
    (
        "03e",
        {**CLOSE, "reason": "TCP_ABORT_ON_CLOSE", "unread": True, "linger_zero": True},
        *("linger-zero", "certain"),
    ),
    (
        "03f",
        {**CLOSE, "reason": "TCP_STATE", "state_before": "CLOSE_WAIT", "linger_zero": True, "fin_received": True},
        *("linger-zero", "certain"),
    ),
    ("03g", {**CALL, "reason": "TCP_STATE", "state_before": "FIN_WAIT2", "by_owner": True}, "disconnect", "certain"),
    ("04a", {**MINI, **DATA}, "data-after-close", "certain"),
    ("04b", {**ORPHAN, **DATA, "state_before": "FIN_WAIT1", "data_unacked": True}, "data-after-close", "certain"),
    (
        "04b",
        {**LISTENER, **GONE, "state_before": "FIN_WAIT1", "ended": "reset-sent"},
        *("half-open", "certain"),
    ),
    ("04c", {**ORPHAN, **DATA, "state_before": "FIN_WAIT2"}, "data-after-close", "certain"),
    ("04e", {**CLOSE, "reason": "TCP_ABORT_ON_CLOSE", "unread": True}, "unread-data", "certain"),
    ("05a", {**LISTENER, **GONE, "ended": "reset-sent"}, "half-open", "certain"),
    ("05b", {**LISTENER, **GONE, "ended": "reset-sent"}, "half-open", "certain"),
    ("05c", {**NOWHERE, **GONE, "ended": "reset-sent"}, "half-open", "certain"),
    ("06a0", {**NOWHERE, **LAST_ACK}, "time-wait-assassination", "likely"),
    ("06a1", {**NOWHERE, **LAST_ACK, "at_once": True}, "time-wait-assassination", "likely"),
    ("06c", {**NOWHERE, **LAST_ACK}, "time-wait-assassination", "likely"),
    ("06d", {**NOWHERE, **LAST_ACK, **SYN_ACK, "segment": "new"}, "unsolicited-syn-ack", "certain"),
    ("06e", {**NOWHERE, **LAST_ACK}, "time-wait-assassination", "likely"),
    (
        "07b1",
        {
            **DATA,
            "reason": "INVALID_SYN",
            "state": "LISTEN",
            "accept_queue_full": True,
            "abort_on_overflow": True,
            "embryos": True,
        },
        *("accept-queue-full", "certain"),
    ),
    ("07c1", {**NOWHERE, **SYN_ACK}, "unsolicited-syn-ack", "certain"),
    ("07c0", {**NOWHERE, **SYN_ACK}, "unsolicited-syn-ack", "certain"),
    ("07d", {**LISTENER, "trigger": "A", "cookies_recent": True, "embryos": True}, "bad-handshake-ack", "likely"),
    (
        "08",
        {**CLOSED, "reason": "TCP_ABORT_ON_MEMORY", "state_before": "FIN_WAIT1", "orphaned": True},
        *("too-many-orphans", "certain"),
    ),
    (
        "08",
        {"reason": "TCP_ABORT_ON_MEMORY", "state": "FIN_WAIT1", "orphaned": True, "data_unacked": True},
        *("too-many-orphans", "certain"),
    ),
    ("09", IDLE, "keepalive-timeout", "certain"),
    ("10b", {**IDLE, "user_timeout": True}, "keepalive-timeout", "certain"),
    (
        "11a",
        {**CLOSE, "reason": "TCP_ABORT_ON_CLOSE", "unread": True, "exiting": True},
        *("unread-data", "certain"),
    ),
    ("11c", {**UNACCEPTED, "exiting": True}, "not-accepted", "certain"),
    ("11d", {**UNACCEPTED, "exiting": True}, "not-accepted", "certain"),
    ("11e", {**NOWHERE, "trigger": "S", "trigger_options": True}, "closed-port", "certain"),
    ("12sT", {**CLOSE, "reason": "TCP_STATE", "linger_zero": True, "active_open": True}, "linger-zero", "certain"),
    ("12sS", {**NOWHERE, **SYN_ACK}, "unsolicited-syn-ack", "certain"),
    ("12sF", {**NOWHERE, "trigger": "F"}, "scan-probe", "certain"),
    ("12sX", {**NOWHERE, "trigger": "FPU"}, "scan-probe", "certain"),
    ("12sN", {**NOWHERE, "trigger": ""}, "scan-probe", "certain"),
    ("12sA", {**NOWHERE, "trigger": "A"}, "stray-segment", "likely"),
    ("12sW", {**LISTENER, "trigger": "A"}, "stray-segment", "likely"),
    ("12sM", {**LISTENER, "trigger": "FA"}, "stray-segment", "likely"),
    ("13a", {**NOWHERE, "trigger": "S"}, "closed-port", "certain"),
    ("13b", {**NOWHERE, **SYN_ACK}, "unsolicited-syn-ack", "certain"),
    ("13c", {**LISTENER, "trigger": "A"}, "stray-segment", "likely"),
    ("13d", {**NOWHERE, "trigger": "A"}, "stray-segment", "likely"),
    ("13f", {**NOWHERE, "trigger": "FA"}, "stray-segment", "likely"),
    ("13k", {**LISTENER, **GONE, "ended": "reset-received"}, "half-open", "certain"),
    ("13k", {**LISTENER, **GONE, "ended": "reset-received", "at_once": True}, "half-open", "likely"),
    (
        "15d",
        {**CONNECTING, "reason": "TCP_INVALID_ACK_SEQUENCE", "trigger": "SA"},
        *("bad-handshake-ack", "certain"),
    ),
    (
        "16a",
        {**CALL, "reason": "TCP_STATE", "state": "ESTABLISHED"},
        *("destroyed", "certain"),
    ),
    ("16b", UNACCEPTED, "not-accepted", "certain"),
    ("17a", {**LISTENER, "trigger": "A", "embryos": True}, "half-open", "likely"),
    ("17b", {**NOWHERE, **SYN_ACK}, "unsolicited-syn-ack", "certain"),
    ("17c", {**NOWHERE, "trigger": "A"}, "stray-segment", "likely"),
    ("17d", {**NOWHERE, "trigger": "S", "trigger_options": True}, "closed-port", "certain"),
    (
        "18a",
        {**CALL, "reason": "TCP_DISCONNECT_WITH_DATA", "state_before": "LAST_ACK", "fin_received": True},
        *("disconnect", "certain"),
    ),
    (
        "18b",
        {**CALL, "reason": "TCP_DISCONNECT_WITH_DATA", "state_before": "CLOSING", "fin_received": True},
        *("disconnect", "certain"),
    ),
    (
        "18c",
        {
            **CLOSED,
            "reason": "TCP_ABORT_ON_LINGER",
            "state_before": "FIN_WAIT2",
            "orphaned": True,
            "linger2_negative": True,
        },
        *("linger2-expired", "certain"),
    ),
    (
        "18d",
        {"reason": "TCP_STATE", "state": "FIN_WAIT2", "state_before": "FIN_WAIT2", "orphaned": True},
        *("linger2-expired", "certain"),
    ),
    ("18e", {"reason": "INVALID_SYN", "state": "LISTEN", "trigger": "S", "embryos": True}, "invalid-syn", "certain"),
    ("18f", {**MINI, "trigger": "S"}, "time-wait-segment", "certain"),
    (
        "18g",
        {**CONNECTING, "reason": "TCP_TOO_OLD_ACK", "state": "SYN_RECV", "trigger": "A"},
        *("old-ack", "certain"),
    ),
    (
        "18h",
        {**CONNECTING, "reason": "TCP_ACK_UNSENT_DATA", "state": "SYN_RECV", "trigger": "A"},
        *("unsent-ack", "certain"),
    ),
    ("18i", {**CONNECTING, **SYN_ACK, "reason": "TCP_RFC7323_PAWS"}, "paws", "certain"),
    (
        "19a",
        {**LISTENER, **GONE, "trigger_options": False, "ended": "reset-sent", "at_once": True},
        *("in-flight", "certain"),
    ),
    (
        "19b",
        {
            **LISTENER,
            "trigger": "FA",
            "state_before": "LAST_ACK",
            "fin_received": True,
            "ended": "orderly",
            "segment": "old",
        },
        *("late-duplicate", "certain"),
    ),
    (
        "19c",
        {
            **CONNECTING,
            "reason": "TCP_INVALID_ACK_SEQUENCE",
            "in_closer": True,
            "by_owner": True,
            "trigger": "A",
            "trigger_options": True,
        },
        *("time-wait-reuse", "likely"),
    ),
    ("20a", {**SYN_ACK, "reason": "MPTCP_RST_EMPTCP", "state": "LISTEN", "trigger": "S"}, "mptcp", "certain"),
    (
        "20b",
        {**SUBFLOW, "reason": "TCP_ABORT_ON_CLOSE", "has_file": True, "released": True},
        *("mptcp", "certain"),
    ),
    ("20c", {**SUBFLOW, "reason": "TCP_ABORT_ON_CLOSE", "has_file": True}, "mptcp", "certain"),
)

#: the same for resets that came from elsewhere, so that no sender tells why
RECEIVED: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("13j", {"state": "ESTABLISHED", "has_file": True}, "unknown", "unknown"),
    ("14a", {**CONNECTING, "in_closer": True}, "closed-port", "likely"),
    ("14b", {**CONNECTING, "in_closer": True}, "closed-port", "likely"),
    ("14c", {"state": "ESTABLISHED", "in_closer": True, "has_file": True}, "unknown", "unknown"),
)

#: ways that look as if there should be a reset, and are none that a kernel program sees
SILENT = {
    *("04d", "06b0", "06b1", "07a", "07b0", "10a", "10c", "11b", "13e", "13g", "13h", "13i", "13l", "13m"),
    *("15b", "15c", "16c"),
}

ROWS = [("sent", *row) for row in SENT] + [("received", *row) for row in RECEIVED]
EACH_ROW = pytest.mark.parametrize(
    ("direction", "case", "given", "name", "certainty"), ROWS, ids=[f"{row[1]}-{row[3]}" for row in ROWS]
)


@EACH_ROW
def test_facts_of_a_case_are_told_as_its_ground_truth(
    direction: str, case: str, given: dict[str, Any], name: str, certainty: str
) -> None:
    """What the kernel gave when the case was provoked has the cause that the case stands for."""
    cause = causes.explain(msgspec.convert({**given, "direction": direction}, Facts, strict=True))
    assert (cause.name, cause.certainty) == (name, certainty)


def test_every_case_is_here() -> None:
    """Each way that the hosts provoke for real has its facts here, or is one that stays silent."""
    here = {row[1] for row in ROWS}
    assert not here & SILENT
    assert {case.id for case in CASES} == here | SILENT
