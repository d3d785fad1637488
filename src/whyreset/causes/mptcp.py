"""Multipath TCP reset a subflow, refused one, or aborted the connection. RFC 8684 sections 3.5 and 3.6.

mptcp_subflow_reset(), subflow_v4_route_req(), mptcp_do_fastclose().
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, is_fast_close, reason
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "mptcp"
FAMILY = "protocol"

_PREFIX = "MPTCP_RST_"
#: RFC 8684 section 3.6, the reset option's reason codes.
_MEANINGS = {
    "EUNSPEC": "unspecified error",
    "EMPTCP": "MPTCP-specific error",
    "ERESOURCE": "lack of resources",
    "EPROHIBIT": "administratively prohibited",
    "EWQ2BIG": "too much outstanding data",
    "EBADPERF": "unacceptable performance",
    "EMIDDLEBOX": "middlebox interference",
}


def explain(facts: Facts) -> Cause | None:
    if facts.traits is not None and not facts.reason:
        return from_packets(facts.traits)
    if is_fast_close(facts) and not (facts.linger_zero and facts.state != "CLOSE"):
        return certain(
            NAME,
            FAMILY,
            reason(facts),
            "Multipath TCP aborted the whole connection (MP_FASTCLOSE)",
            "it does so for unread data, SO_LINGER 0, connect(AF_UNSPEC), connections not accepted, and time-outs",
            *before(facts),
        )
    if not facts.reason.startswith(_PREFIX):
        return None
    meaning = _MEANINGS.get(facts.reason.removeprefix(_PREFIX), "a reason newer than this program")
    did = "refused" if "S" in (facts.trigger or "") else "gave up"
    return certain(NAME, FAMILY, reason(facts), f"Multipath TCP {did} a subflow: {meaning}")


def from_packets(traits: Traits) -> Cause | None:
    if traits.mptcp == "fastclose":
        return certain(
            NAME,
            FAMILY,
            "MP_FASTCLOSE in the reset: Multipath TCP at {sender} aborted the whole connection",
            "it does so for unread data, SO_LINGER 0, connect(AF_UNSPEC), connections not accepted, and time-outs",
        )
    if traits.mptcp == "tcprst":
        did = "refused" if traits.handshake in ("none", "syn") else "gave up"
        return certain(NAME, FAMILY, f"MP_TCPRST in the reset: Multipath TCP at {{sender}} {did} a subflow: {{mptcp}}")
    return None
