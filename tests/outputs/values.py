"""Resets, counts and notices for outputs to show."""

from typing import Any

from whyreset.model import (
    Alert,
    Cause,
    Count,
    Facts,
    Notice,
    Owner,
    Process,
    Record,
    Remotes,
    Reset,
    Segment,
    Shares,
)

EPOCH = 1_795_326_195_123_456_789  # 2026-11-22T05:43:15.123456789Z
CAUSE = Cause(name="closed-port", family="closed-port", certainty="certain", evidence=("nobody listens",))
FIGURES = ("counted", "uncounted", "seen", "explained", "unknown", "lost", "unseen", "received", "received_lost")


def record(**fields: Any) -> Record:
    """A SYN for a closed port was answered."""
    return Record(
        **{
            "number": 1,
            "time_ns": 5_000_000_000,
            "direction": "sent",
            "netns": 4026531840,
            "netns_cookie": 3,
            "family": 2,
            "local": "192.0.2.2",
            "local_port": 8080,
            "remote": "192.0.2.1",
            "remote_port": 51234,
            "interface": "eth0",
            "trigger": Segment(flags="S", seq=1, ack=0, length=0, window=1024, ttl=64),
            "reason": "NO_SOCKET",
            **fields,
        }
    )


def reset(*, facts: dict[str, Any] | None = None, sample: dict[str, Any] | None = None, **fields: Any) -> Reset:
    """One reset, explained; `facts` and `sample` change what it is made of."""
    direction = (facts or {}).get("direction", "sent")
    count = fields.get("count", 1)
    return Reset(
        **{
            "number": 1,
            "count": 1,
            "facts": Facts(**{"direction": direction, "reason": "NO_SOCKET", "trigger": "S", **(facts or {})}),
            "cause": CAUSE,
            "evidence": ("nobody listens on port 8080",),
            "sample": record(direction=direction, **(sample or {})),
            "time_ns": EPOCH,
            "last_ns": EPOCH + 1_000,
            "port": 8080,
            "netns_name": "",
            "remotes": Remotes(distinct=1, exact=True, top=(("192.0.2.1", count),)),
            **fields,
        }
    )


def process(**fields: Any) -> Process:
    """nginx."""
    return Process(**{"pid": 911, "start_ns": 7, "comm": "nginx", **fields})


def owner(via: str = "listener", *, alive: bool = True, **fields: Any) -> Owner:
    """nginx owns it."""
    return Owner(process=process(**fields), via=via, alive=alive)


def count(**fields: Any) -> Count:
    """The account of one namespace."""
    figures = {name: fields.pop(name, 0) for name in FIGURES}
    return Count(
        **{
            "time_ns": EPOCH,
            "netns": 4026531840,
            "netns_cookie": 3,
            "netns_name": "",
            "delta": dict(figures),
            "moved": {},
            **figures,
            **fields,
        }
    )


def notice(**fields: Any) -> Notice:
    """Something was lost."""
    return Notice(**{"time_ns": EPOCH, "name": "crowded", "text": "resets not told apart", **fields})


SHARES = Shares(
    resets=200,
    causes=(("closed-port", 190), ("half-open", 10)),
    owners=(("api.service", 199), ("unknown", 1)),
    remotes=(("192.0.2.1", 80), ("192.0.2.2", 60), ("192.0.2.3", 40), ("192.0.2.4", 10), ("other", 10)),
)


def alert(**fields: Any) -> Alert:
    """A surge was found."""
    return Alert(
        **{
            "id": "a1",
            "rule": "resets_sent_surge",
            "time_ns": EPOCH,
            "netns": 4026531840,
            "netns_cookie": 1,
            "event": "changed",
            "old_status": "clear",
            "new_status": "warning",
            "state": "firing",
            "told": True,
            "since_ns": EPOCH,
            "value": 212.4,
            "threshold": 38.3,
            "usual": 0.12345,
            "units": "resets/s",
            "window": 2,
            "summary": "surge of TCP resets sent",
            "streams": ("closed-port",),
            "shares": SHARES,
            **fields,
        }
    )
