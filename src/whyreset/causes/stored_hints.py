"""What stored counters say beside their fingerprint: sentences for whoever looks for the cause afterwards.

Each is a fact about counters and what follows from it; none names a cause alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

#: Counters are the same when they differ by less than this part; stored ones are rounded and a step late.
_ALIKE = 0.05
#: A rate fell when it came to less than this part of what it was, and it was at least so many a second.
_FELL, _BUSY = 0.3, 1.0
#: Fewer than this part of the resets are not worth a sentence.
_WORTH = 0.02


def hints(
    moved: Mapping[str, int],
    usual: Mapping[str, float],
    seconds: float,
    *,
    abort_on_overflow: bool | None,
    stored: Collection[str],
) -> Iterator[str]:
    """What the counters of a surge hint at.

    Args:
        moved: by how much each counter moved in it beyond what is usual.
        usual: how much each moves a second when there is none.
        seconds: how long it was.
        abort_on_overflow: net.ipv4.tcp_abort_on_overflow; None where it is not known.
        stored: the counters that are known.
    """
    resets = moved.get("OutRsts", 0)
    if resets <= 0:
        return
    yield from _of_connections(moved, resets, stored)
    yield from _of_queues(moved, resets, abort_on_overflow, stored)
    for counter, what in (("PassiveOpens", "accepted"), ("ActiveOpens", "opened")):
        before = usual.get(counter, 0.0)
        now = before + moved.get(counter, 0) / seconds
        if counter in stored and before >= _BUSY and now < _FELL * before:
            after = "a service stopped accepting" if counter == "PassiveOpens" else "a client here stopped asking"
            yield f"connections {what} fell from {before:,.0f}/s to {now:,.1f}/s ({counter}): {after}"


def _of_connections(moved: Mapping[str, int], resets: int, stored: Collection[str]) -> Iterator[str]:
    fails, established = moved.get("AttemptFails", 0), moved.get("EstabResets", 0)
    if "AttemptFails" in stored and abs(fails - resets) <= _ALIKE * resets:
        yield (
            f"as many connection attempts of this host failed ({fails:,} AttemptFails): perhaps it refused its own "
            "clients, so that client and port are both on it"
        )
    aborts = sum(moved.get(each, 0) for each in ("TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger"))
    if "EstabResets" in stored and "TCPAbortOnClose" not in stored:
        if established <= _WORTH * resets:
            yield (
                f"established connections were hardly touched ({established:,} EstabResets): resets without a "
                "connection (closed port, half-open, probes) are likelier than aborts"
            )
        else:
            yield (
                f"{established:,} established connections were reset by either side (EstabResets): at most so many "
                "are aborts of this host"
            )
    elif "EstabResets" in stored and aborts > _WORTH * resets and abs(established - 2 * aborts) <= _ALIKE * aborts:
        yield (
            f"as many established connections again were reset by their peers ({established:,} EstabResets in all): "
            "perhaps the other ends of these, on this same host"
        )
    elif "EstabResets" in stored and established - aborts > _WORTH * resets:
        yield (
            f"{established - aborts:,} established connections more were reset than abort counters tell (EstabResets): "
            "resets that were received, or sockets destroyed, disconnected or never accepted"
        )
    timeouts = moved.get("TCPAbortOnTimeout", 0)
    if "TCPKeepAlive" not in stored and timeouts > _WORTH * resets:
        yield (
            f"{timeouts:,} connections were given up for want of an answer (TCPAbortOnTimeout): resets where keepalive "
            "was on, else none was sent"
        )


def _of_queues(
    moved: Mapping[str, int], resets: int, abort_on_overflow: bool | None, stored: Collection[str]
) -> Iterator[str]:
    overflows = moved.get("ListenOverflows", 0)
    if overflows > _WORTH * resets:
        words = f"an accept queue was full {overflows:,} times (ListenOverflows): a program accepts too slowly"
        if abort_on_overflow is None:
            yield f"{words}; that resets only where net.ipv4.tcp_abort_on_overflow is 1"
        elif abort_on_overflow:
            yield f"{words}; net.ipv4.tcp_abort_on_overflow is 1 here now, so that it may have reset"
        else:
            yield f"{words}; net.ipv4.tcp_abort_on_overflow is 0 here now, and then that resets nothing by itself"
    cookies = moved.get("SyncookiesSent", 0)
    if "SyncookiesSent" in stored and cookies > _WORTH * resets:
        yield f"{cookies:,} SYN cookies were sent: a SYN queue was full (a flood of SYNs, or a slow accept)"
