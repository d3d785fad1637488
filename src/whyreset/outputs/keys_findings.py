"""Parts of the lines `finding` and `verdict`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from whyreset.outputs.keys import ProcessKey


class SubjectKey(Struct, kw_only=True, omit_defaults=True):
    """What a finding is about."""

    netns: int | None = None
    netns_cookie: int | None = None
    netns_name: str = ""
    #: The service's.
    port: int | None = None
    #: This host's.
    address: str = ""
    process: ProcessKey | None = None
    #: The other side's address; of IPv6 the /64 that it is in.
    remote: str = ""


class StepKey(Struct, kw_only=True):
    """What to do next."""

    command: str
    #: What it is good for.
    why: str


class FindingShareKey(Struct, kw_only=True):
    """How many of the resets a finding explains."""

    finding: str
    name: str
    count: int
    severity: Literal["harmless", "notice", "warning", "critical"]
    confidence: Literal["certain", "likely", "suspected"]
    text: str


class VerdictKey(Struct, kw_only=True):
    """What resets mean, in a sentence, and how much of them is explained by which finding."""

    #: Begin of the time that it is of.
    since: str
    text: str
    #: Resets of that time, and those that no finding explains.
    resets: int
    unexplained: int
    #: The weightiest first.
    findings: list[FindingShareKey]
    #: Causes of what is not explained.
    causes: dict[str, int]
    steps: list[StepKey]
