"""What a case is told as on kernels that tell less: the same, or less surely, or (where nothing is traced) not at all.

The rules hold for all cases; where a tier cannot tell more, the case itself says so (`Case.lesser`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.hosts.cases.model import Case, Expected

TIERS = ("reasons", "passive reasons", "functions", "drops")
#: Reasons that follow from the socket that a segment met, so that a kernel that does not name them leaves no doubt.
FOLLOW = {"NO_SOCKET", "TCP_TIMEWAIT_SOCKET", "TCP_FLAGS", "INVALID_SYN"}


def at_tier(case: Case, expected: Sequence[Expected], tier: str) -> Iterator[Expected]:
    """What should be said of a case's resets at a tier."""
    sent: Expected | None = None
    for reset in expected:
        if reset.direction == "received" and reset.twin:
            yield _twin(reset, sent)
        elif reset.direction == "received":
            yield reset
        else:
            sent = _sent(case, reset, tier)
            if sent is not None:
                yield sent


def _sent(case: Case, reset: Expected, tier: str) -> Expected | None:
    """None where the tier does not see it."""
    reason = reset.keys.get("kernel.reason")
    if tier == "reasons":
        return reset
    if tier == "passive reasons":
        if reset.trigger is not None:
            return reset
        told: Any = "NOT_SPECIFIED"
    else:
        told = None
    if tier == "drops" and reason == "TCP_TIMEWAIT_SOCKET":
        return None
    if reason not in FOLLOW and reset.certainty == "certain":
        reset = replace(reset, certainty="likely")
    changes: Mapping[str, Any] = case.lesser.get(tier, {})
    return replace(reset, **{**changes, "keys": {**reset.keys, "kernel.reason": told}})


def _twin(reset: Expected, sent: Expected | None) -> Expected:
    """The receiver's end says what the sender's says; alone it is told by what the receiver's socket was."""
    if sent is None:
        return replace(reset, twin=False, certainty="likely")
    return replace(reset, cause=sent.cause, certainty=sent.certainty, candidates=sent.candidates)
