"""Explained resets of captures for outputs to show, some of them hostile."""

from __future__ import annotations

from typing import Any

from whyreset.model import Cause, Facts
from whyreset.observation import Conversations, Later, Observation, SeenSegment, Side, Tally, Traits
from whyreset.observed import ObservedReset

EPOCH = 1_795_326_195_123_456_789  # 2026-11-22T05:43:15.123456789Z
CLOSED = Cause(
    name="closed-port",
    family="closed-port",
    certainty="likely",
    candidates=("closed-port", "firewall-reject"),
    evidence=("refused",),
    missing="the same reset seen at its sender",
)
TRAITS = Traits(flags="RA", handshake="syn", opener="receiver", seq="zero", trigger="S")
#: What others may put wherever they have a say.
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e\"'&=cmd|' /C calc'!A0\n"


def one(value: str, count: int = 1) -> Tally:
    """The account of a single value."""
    return Tally(distinct=1, exact=True, top=((value, count),))


def observation(**fields: Any) -> Observation:
    """A SYN for a closed port was answered."""
    return Observation(
        **{
            "number": 1,
            "file": 0,
            "frame": 2,
            "time_ns": EPOCH,
            "family": 4,
            "src": "192.0.2.2",
            "sport": 8080,
            "dst": "192.0.2.1",
            "dport": 51234,
            "flags": "RA",
            "seq": 0,
            "ack": 1,
            "window": 0,
            "ttl": 64,
            "ip_id": 7,
            "connection": 1,
            "began_ns": EPOCH - 1_000_000,
            "began_file": 0,
            "began_frame": 1,
            "opener": "receiver",
            "handshake": "syn",
            "history": "Sr",
            "sender": Side(),
            "receiver": Side(packets=1),
            "trigger": SeenSegment(file=0, frame=1, time_ns=EPOCH - 1_000_000, flags="S", seq=0, ack=0, length=0),
            "later": Later(complete=True),
            "traits": TRAITS,
            **fields,
        }
    )


def reset(seen: dict[str, Any] | None = None, **fields: Any) -> ObservedReset:
    """One reset, explained; `seen` changes what was observed."""
    sample = observation(**(seen or {}))
    count, port = fields.get("count", 1), fields.get("port", min(sample.sport, sample.dport))
    return ObservedReset(
        **{
            "seen": sample,
            "count": count,
            "facts": Facts(direction="observed", traits=sample.traits),
            "cause": CLOSED,
            "evidence": ("a SYN was refused",),
            "time_ns": sample.time_ns,
            "last_ns": sample.time_ns,
            "file": "x.pcap",
            "port": port,
            "senders": one(sample.src, count),
            "receivers": one(sample.dst, count),
            "ports": one(str(port), count),
            **fields,
        }
    )


def totals(**fields: Any) -> Conversations:
    """What was read of a small capture."""
    return Conversations(
        **{
            "packets": 20,
            "segments": 18,
            "bytes": 2000,
            "first_ns": EPOCH,
            "last_ns": EPOCH + 42_000_000_000,
            "connections": 8,
            "complete": 4,
            "reset": 2,
            "resets": 2,
            "evicted_open": 0,
            "evicted_unanswered": 0,
            "evicted_ended": 0,
            "hurried": 0,
            "skipped": {},
            **fields,
        }
    )
