"""What the cause modules share: making a Cause, and sentences that several of them need.

Words in braces are filled from the reset that is shown, in `evidence` only: those of WORDS.
"""

from __future__ import annotations

from whyreset.model import Cause, Facts

#: What evidence may ask for in braces. `port` is the service's, `remote` the other side's address, `owner` and `closer`
#: are processes, `side` is the owner where more is known of it than that it listens, `unread` and `length` (of the
#: trigger's payload) are «5 bytes», `queue` and `limit` the accept queue's connections, `ended` and `idle` times since
#: the connection ended and since data came or went, `exit` how the closer ended, `peer` the owner at the other end,
#: `last` who held a listener last, `local` this side's address. Of resets past the stack, `rules` are the firewall's
#: that fit, and `sockets` the raw and packet sockets with who holds them.
WORDS = frozenset(
    {
        *("port", "remote", "owner", "closer", "unread", "length", "queue", "limit", "ended", "idle", "exit", "peer"),
        *("last", "local", "rules", "side", "sockets"),
    }
)

#: What the peer had to do with it, by the state that the connection left: it decides the harm.
_BEFORE = {
    "ESTABLISHED": "the connection was established: what was on its way is lost to both sides",
    "CLOSE_WAIT": "the peer had closed its side already (CLOSE-WAIT)",
    "FIN_WAIT1": "this side had sent FIN already, not acknowledged (FIN-WAIT-1)",
    "FIN_WAIT2": "this side had closed already (FIN-WAIT-2)",
    "SYN_SENT": "the connection was still being opened (SYN-SENT)",
    "SYN_RECV": "the handshake was not complete (SYN-RECEIVED)",
    "LAST_ACK": "both sides had closed (LAST-ACK)",
    "CLOSING": "both sides had closed at once (CLOSING)",
}

#: How the connection had ended that a segment without a socket once belonged to.
ENDED = {
    "orderly": "closed in order",
    "half-closed": "closed by this side alone",
    "reset-sent": "reset by this host",
    "reset-received": "reset by the peer",
    "abandoned": "given up while it was being opened",
    "silent": "ended without a word to the peer (time-out, or on purpose)",
}


def certain(name: str, family: str, *evidence: str) -> Cause:
    """A cause that follows from the protocol or the kernel's own word joined with what was seen."""
    return Cause(name=name, family=family, certainty="certain", evidence=evidence)


def likely(name: str, family: str, *evidence: str, missing: str, candidates: tuple[str, ...] = ()) -> Cause:
    """Good evidence short of proof; `missing` says what would prove it."""
    return Cause(
        name=name, family=family, certainty="likely", evidence=evidence, candidates=candidates, missing=missing
    )


def reason(facts: Facts) -> str:
    return f"kernel reason {facts.reason}"


def before(facts: Facts) -> tuple[str, ...]:
    """The state that the connection left, in words; nothing where it is not known."""
    sentence = _BEFORE.get(facts.state_before or facts.state)
    return (sentence,) if sentence else ()


def closing(facts: Facts) -> tuple[str, ...]:
    """Who made an active reset, and whether it was dying: dying is not closing."""
    if not facts.in_closer:
        return ()
    if facts.exiting:
        return ("{closer} was exiting ({exit}): its sockets were closed for it",)
    return ("closed by its owner {closer}",) if facts.by_owner else ("closed by {closer}",)


def has_no_connection(facts: Facts) -> bool:
    """A segment that belongs to no connection: no socket, or only a listener (tcp_v4_rcv, tcp_rcv_state_process)."""
    return (
        facts.direction == "sent"
        and facts.trigger is not None
        and (facts.reason == "NO_SOCKET" or (facts.reason == "TCP_FLAGS" and facts.state == "LISTEN"))
    )


def gave_up_on_ack(facts: Facts) -> bool:
    """TCP_LINGER2 is negative, and the ACK of an orphan's FIN has come (tcp_rcv_state_process(), FIN-WAIT-1).

    Where the FIN is not acknowledged yet, or the socket not closed, the same reason speaks of data.
    """
    return facts.reason == "TCP_ABORT_ON_DATA" and facts.linger2_negative and facts.orphaned and not facts.data_unacked


def is_orphan_timer(facts: Facts) -> bool:
    """An orphan's time in FIN-WAIT-2 is over (tcp_keepalive_timer()); a process would hold the lock."""
    return facts.reason == "TCP_STATE" and facts.state == "FIN_WAIT2" and facts.orphaned and not facts.in_closer


def is_fast_close(facts: Facts) -> bool:
    """Multipath TCP aborts a whole connection by resetting its subflows (mptcp_do_fastclose()).

    Newer kernels send TCP_ABORT_ON_CLOSE while the state still stands, where TCP itself sets CLOSE first. Older ones
    set SO_LINGER 0 on the subflow and close it: a socket of the kernel's own that hangs on an application's file, or
    that was taken off it.
    """
    if facts.trigger is not None:
        return False
    if facts.reason == "TCP_ABORT_ON_CLOSE" and facts.state not in ("", "CLOSE"):
        return True
    return (
        facts.reason in ("TCP_ABORT_ON_CLOSE", "TCP_STATE", "TCP_DISCONNECT_WITH_DATA")
        and facts.state == "CLOSE"
        and facts.kernel_socket
        and facts.linger_zero
        and facts.in_closer
        and (facts.released or not facts.has_file)
    )


def remembered(facts: Facts) -> str:
    return "a segment of {owner}'s connection, " + ENDED[facts.ended] + " {ended} before"
