"""Multipath TCP reset a subflow and gives its reason. RFC 8684 section 3.6."""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

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
    if not facts.reason.startswith(_PREFIX):
        return None
    meaning = _MEANINGS.get(facts.reason.removeprefix(_PREFIX), "a reason newer than this program")
    return certain(NAME, FAMILY, reason(facts), f"Multipath TCP gave up a subflow: {meaning}")
