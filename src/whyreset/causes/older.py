"""Kernels that give no reason: the one that a newer kernel would give, from what was seen.

Linux names the reason of a reset that answers a segment since about 6.10, of one of its own accord since about 6.12.
The rules of the causes are written for those names; here stands what takes their place, by the places from which the
kernel sends resets at all (tcp_v4_send_reset(), tcp_send_active_reset() and who calls them).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Cause, Facts

_NONE = ("", "NOT_SPECIFIED")
_MISSING = "the kernel's own reason (Linux 6.12 and newer give it)"


class Inferred(Struct, frozen=True):
    """A kernel's reason by name; `exact` where nothing else leads there."""

    reason: str
    exact: bool = False


def infer(facts: Facts) -> Inferred | None:
    """What takes the place of the kernel's reason; None where it gave one or was not asked, or where several fit."""
    if facts.direction != "sent" or facts.reason not in _NONE or facts.traits is not None or facts.past_stack:
        return None
    return _abort(facts) if facts.trigger is None else _answer(facts, facts.trigger)


def _answer(facts: Facts, trigger: str) -> Inferred | None:
    """A segment was answered with a reset: the state says where in tcp_v4_rcv() and tcp_rcv_state_process()."""
    match facts.state:
        case "":
            return Inferred("NO_SOCKET", exact=True)
        case "TIME_WAIT":
            return Inferred("TCP_TIMEWAIT_SOCKET", exact=True)
        case "LISTEN":
            return _listener(facts, trigger)
        case "SYN_SENT":  # the two checks of tcp_rcv_synsent_state_process(), the number first
            return Inferred("TCP_RFC7323_PAWS" if facts.segment == "fits" else "TCP_INVALID_ACK_SEQUENCE")
        case "SYN_RECV":  # tcp_ack() refuses what is beyond, or too old
            return Inferred("TCP_ACK_UNSENT_DATA" if facts.segment == "new" else "TCP_TOO_OLD_ACK")
        case "CLOSE":  # tcp_done() or tcp_reset() came before: FIN-WAIT-1 or 2 with nobody to read
            return Inferred("TCP_ABORT_ON_DATA")
    return None


def _listener(facts: Facts, trigger: str) -> Inferred | None:
    """Either the segment met a half-open request (tcp_check_req()), or the listener itself."""
    if facts.substate == "NEW_SYN_RECV":
        return Inferred("INVALID_SYN", exact=True)
    known = facts.substate == "LISTEN" or not facts.embryos
    if "A" not in trigger:
        # a listener refuses no SYN but for Multipath TCP (subflow_v4_route_req())
        return Inferred("MPTCP_RST_EUNSPEC") if known and "S" in trigger else None
    if known:
        return Inferred("TCP_FLAGS", exact=True)
    if facts.abort_on_overflow and not facts.ended:
        return Inferred("INVALID_SYN") if facts.accept_queue_full else None
    return Inferred("TCP_FLAGS")


def _abort(facts: Facts) -> Inferred | None:
    """A reset of the kernel's own accord: who calls tcp_send_active_reset() in that state, with such a socket."""
    if facts.state == "":
        return None
    if facts.state != "CLOSE":
        # Multipath TCP aborts its subflows so, and an administrator a socket of the kernel's own
        return None if facts.kernel_socket and facts.in_closer else Inferred(_standing(facts))
    if facts.orphaned:  # __tcp_close(), after sock_orphan()
        given_up = facts.linger2_negative and facts.state_before == "FIN_WAIT2"
        return Inferred("TCP_ABORT_ON_LINGER" if given_up else "TCP_ABORT_ON_MEMORY")
    if facts.kernel_socket and not facts.linger_zero:  # it has no file that tells closing from Multipath TCP's reset
        return None
    if facts.in_closer and facts.released and (facts.unread or not facts.linger_zero):
        return Inferred("TCP_ABORT_ON_CLOSE")  # __tcp_close() aborts for nothing else
    return Inferred("TCP_STATE")  # tcp_disconnect()


def _standing(facts: Facts) -> str:
    """The state still stands, where tcp_close() and tcp_disconnect() set CLOSE first: a timer, or tcp_abort()."""
    if facts.in_closer:
        return "TCP_STATE"
    if facts.orphaned:
        return "TCP_STATE" if facts.state == "FIN_WAIT2" else "TCP_ABORT_ON_MEMORY"  # tcp_out_of_resources()
    return "TCP_KEEPALIVE_TIMEOUT" if facts.keepalive else "TCP_STATE"


def with_reason(facts: Facts, inferred: Inferred) -> Facts:
    """The facts that a newer kernel would have given."""
    return replace(facts, reason=inferred.reason)


def without_word(cause: Cause, inferred: Inferred) -> Cause:
    """The cause of such facts, said as what it is: not the kernel's word."""
    said = f"kernel reason {inferred.reason}"
    instead = f"this kernel gives no reason; by what was seen it is {inferred.reason}"
    evidence = tuple(instead if sentence == said else sentence for sentence in cause.evidence)
    if inferred.exact or cause.certainty != "certain":
        return replace(cause, evidence=evidence)
    return replace(cause, evidence=evidence, certainty="likely", missing=_MISSING)
