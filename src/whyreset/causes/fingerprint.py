"""Families of causes by the kernel's counters alone: what moves beside OutRsts.

Some resets move a counter of their own, others none; so a part of what was counted can be told, and of the rest only
what it may be. It is never deeper than a family, and never more than likely.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from whyreset.model import FamilyShare

#: Counters that move with each reset of a family and else never; then those that also move without a reset, so that
#: they bound what a family has. With them the kernel function.
_EXACT = (
    ("TCPAbortOnClose", "abort"),  # __tcp_close(), data unread
    ("TCPAbortOnLinger", "abort"),  # __tcp_close(), TCP_LINGER2
    ("SyncookiesFailed", "half-open"),  # cookie_v4_check(), then the listener resets
)
_AT_MOST = (
    ("TCPAbortOnData", "abort"),  # SO_LINGER 0 also in states that need no reset; data after close
    ("TCPAbortOnMemory", "memory"),  # tcp_out_of_resources() may stay silent
)
#: Families of resets that move no counter of their own, the commonest first.
_REST = ("closed-port", "half-open", "abort", "time-wait", "probe", "protocol")

#: The causes that each counter speaks of.
CAUSES = {
    "TCPAbortOnClose": ("unread-data",),
    "TCPAbortOnLinger": ("linger2-expired",),
    "SyncookiesFailed": ("bad-handshake-ack",),
    "TCPAbortOnData": ("linger-zero", "data-after-close", "linger2-expired"),
    "TCPAbortOnMemory": ("out-of-memory", "too-many-orphans"),
    "TCPAbortOnTimeout": ("keepalive-timeout",),
    "ListenOverflows": ("accept-queue-full",),
}


def shares(
    moved: Mapping[str, int], *, abort_on_overflow: bool | None, stored: Collection[str] | None = None
) -> tuple[FamilyShare, ...]:
    """What families had which part of the resets that one namespace counted.

    Args:
        moved: by how much each counter moved, by the names of /proc/net/snmp and netstat.
        abort_on_overflow: net.ipv4.tcp_abort_on_overflow: without it a full accept queue resets nothing. None where
            that is not known.
        stored: the counters of which is known whether they moved; None for all.
    """
    left = moved.get("OutRsts", 0)
    claims: dict[str, int] = {}
    by: dict[str, list[str]] = {}
    for counter, family, claimed in _claims(moved, abort_on_overflow=abort_on_overflow):
        taken = min(claimed, left)
        if taken > 0:
            left -= taken
            claims[family] = claims.get(family, 0) + taken
            by.setdefault(family, []).append(counter)
    out = [
        FamilyShare(
            family=family,
            count=count,
            certainty="likely",
            counters=tuple(by[family]),
            causes=tuple(dict.fromkeys(cause for counter in by[family] for cause in CAUSES[counter])),
        )
        for family, count in sorted(claims.items(), key=lambda item: -item[1])
    ]
    if left > 0:
        candidates = _candidates(moved, left, abort_on_overflow, stored)
        out.append(FamilyShare(family="unknown", count=left, certainty="unknown", candidates=candidates))
    return tuple(out)


def _claims(moved: Mapping[str, int], *, abort_on_overflow: bool | None) -> list[tuple[str, str, int]]:
    """Counter, family, and how many resets that speaks for; the surest first."""
    out = [(counter, family, moved.get(counter, 0)) for counter, family in (*_EXACT, *_AT_MOST)]
    if abort_on_overflow:
        # tcp_check_req(): both move with each embryonic reset of a full queue
        out.append(
            ("ListenOverflows", "listen-queue", min(moved.get("ListenOverflows", 0), moved.get("EmbryonicRsts", 0)))
        )
    # retransmissions that were given up move the first too, and send nothing; without probes it is never keepalive
    out.append(("TCPAbortOnTimeout", "abort", min(moved.get("TCPAbortOnTimeout", 0), moved.get("TCPKeepAlive", 0))))
    return out


def _candidates(
    moved: Mapping[str, int], left: int, abort_on_overflow: bool | None, stored: Collection[str] | None
) -> tuple[str, ...]:
    """Families that the rest may be of; in front those that a counter hints at that moves for other reasons, too."""

    def lacks(counter: str) -> bool:
        return stored is not None and counter not in stored

    front, back = [], []
    if lacks("EmbryonicRsts"):
        # the half of the fingerprint that is there
        if moved.get("ListenOverflows", 0) and abort_on_overflow is not False:
            front.append("listen-queue")
        else:
            back.append("listen-queue")
    elif moved.get("EmbryonicRsts", 0):
        # tcp_check_req() refuses a second SYN, too
        back.append("listen-queue")
    if lacks("TCPAbortOnMemory"):
        back.append("memory")
    if 2 * _may_be_aborts(moved, lacks) >= left:
        front.append("abort")
    return tuple(dict.fromkeys((*front, *_REST, *back)))


def _may_be_aborts(moved: Mapping[str, int], lacks: Callable[[str], bool]) -> int:
    """Of what no counter claimed: how many counters hint at that also move without a reset of this host."""
    if lacks("TCPAbortOnClose"):
        # each abort of an established connection, and each reset that one receives (tcp_set_state())
        return moved.get("EstabResets", 0)
    return moved.get("TCPAbortOnTimeout", 0) if lacks("TCPKeepAlive") else 0
