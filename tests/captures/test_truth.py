"""What packets alone say of each recorded case, held against what really happened in it.

Two things for every reset: never a wrong answer (the truth is the answer, or among what the answer leaves open); and
as deep an answer as packets allow, by the table below, which was written by hand for each case.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.cases import CASES
from tests.hosts.cases.model import FAMILY
from whyreset.captures import explain
from whyreset.observed import ObservedReset

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/truth.json"))
ALL = [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in sorted(HERE.glob("*/*.pcap"))]

#: Cases in which somebody gave up of its own accord.
GAVE_UP = (
    *(("02", "unread-data"), ("04e", "unread-data"), ("11a", "unread-data")),
    *(("03a", "linger-zero"), ("03e", "linger-zero"), ("03f", "linger-zero"), ("12sT", "linger-zero")),
    *(("03b", "disconnect"), ("03c", "disconnect"), ("03g", "disconnect")),
    *(("18a", "disconnect"), ("18b", "disconnect"), ("19a", "linger-zero")),
    *(("11c", "not-accepted"), ("11d", "not-accepted"), ("11e", "not-accepted"), ("16b", "not-accepted")),
    *(("16a", "destroyed"), ("18c", "linger2-expired"), ("18d", "linger2-expired")),
    ("08", "too-many-orphans"),
)
#: What packets tell where they do not tell the slug: by case and true cause, name and certainty. Elsewhere they tell
#: the slug itself, which is likely.
TOLD: dict[tuple[str, str], tuple[str, str]] = {
    # how, it does not say
    **dict.fromkeys(GAVE_UP, ("abort", "likely")),
    # the protocol itself says it
    ("12sF", "scan-probe"): ("scan-probe", "certain"),
    ("12sX", "scan-probe"): ("scan-probe", "certain"),
    ("12sN", "scan-probe"): ("scan-probe", "certain"),
    ("15d", "bad-handshake-ack"): ("bad-handshake-ack", "certain"),
    ("19b", "late-duplicate"): ("late-duplicate", "certain"),
    ("20a", "mptcp"): ("mptcp", "certain"),
    ("20b", "mptcp"): ("mptcp", "certain"),
    ("20c", "mptcp"): ("mptcp", "certain"),
    # a firewall refuses as a stack does
    ("14a", "firewall-reject"): ("closed-port", "likely"),
    ("14b", "firewall-reject"): ("closed-port", "likely"),
    ("14c", "firewall-reject"): ("unknown", "unknown"),
    # a listener that kept the embryo, or none
    ("18e", "invalid-syn"): ("closed-port", "likely"),
    # both wait for whether a stack sent the SYN
    ("06c", "time-wait-assassination"): ("time-wait", "likely"),
    ("06e", "time-wait-assassination"): ("time-wait", "likely"),
    ("19c", "time-wait-reuse"): ("time-wait", "likely"),
    # who sent a SYN does not show; with nmap's TTLs it often does (12sS)
    ("06d", "unsolicited-syn-ack"): ("half-open", "likely"),
    ("13b", "unsolicited-syn-ack"): ("half-open", "likely"),
    ("17b", "unsolicited-syn-ack"): ("half-open", "likely"),
    ("18i", "paws"): ("half-open", "likely"),
    ("17c", "stray-segment"): ("half-open", "likely"),
    ("07d", "bad-handshake-ack"): ("stray-segment", "likely"),
    # a forger on the same wire, with the right number and TTL, before or after all else
    ("06b0", "forged"): ("half-open", "likely"),
    ("06b1", "forged"): ("half-open", "likely"),
    ("13j", "forged"): ("unknown", "unknown"),
    ("13e", "forged"): ("unknown", "unknown"),
}
#: Cases whose forgeries differ in what can be told: by what surrounds each, and by IPv4's identification.
MIXED = {
    "13g": {("forged", "certain"), ("forged", "likely")},
    "13h": {("forged", "likely"), ("unknown", "unknown")},
    "13k": {("forged", "certain"), ("forged", "likely")},
}
#: nmap chooses the TTL of its SYN by chance.
BY_CHANCE = {"12sS": {("unsolicited-syn-ack", "likely"), ("half-open", "likely")}}


@cache
def truth_of(folder: Path) -> dict[str, Any]:
    """What happened in a case."""
    told: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    return told


@cache
def explained(path: Path) -> tuple[ObservedReset, ...]:
    """What packets tell."""
    return tuple(explain(str(path)))


def causes_of(path: Path) -> dict[int, str]:
    """The true causes by frame."""
    by_cause = truth_of(path.parent)["resets"][path.name]
    return {frame: cause for cause, frames in by_cause.items() for frame in frames}


def test_every_case_is_recorded() -> None:
    """Each way that the hosts provoke for real is here, in each version of IP that it has."""
    recorded = {truth_of(folder)["case"]: set(truth_of(folder)["resets"]) for folder in FOLDERS}
    assert recorded == {case.id: {f"v{version}.pcap" for version in case.versions} for case in CASES}


@pytest.mark.parametrize("path", ALL)
def test_every_reset_is_found_and_no_other(path: Path) -> None:
    """The frames are those that tshark counts."""
    assert [reset.seen.frame for reset in explained(path)] == sorted(causes_of(path))


@pytest.mark.parametrize("path", ALL)
def test_no_answer_is_wrong(path: Path) -> None:
    """The truth is the answer or among its candidates, its family too where nothing else is left open."""
    for reset in explained(path):
        cause, truth = reset.cause, causes_of(path)[reset.seen.frame]
        assert truth == cause.name or truth in cause.candidates, (reset.seen.frame, truth, cause)
        if cause.certainty == "certain":
            assert truth == cause.name
        if {FAMILY[name] for name in cause.candidates} == {cause.family}:
            assert FAMILY[truth] == cause.family


@pytest.mark.parametrize("path", ALL)
def test_answer_is_as_deep_as_packets_allow(path: Path) -> None:
    """Neither less than packets tell nor more."""
    case = truth_of(path.parent)["case"]
    for reset in explained(path):
        truth = causes_of(path)[reset.seen.frame]
        told = (reset.cause.name, reset.cause.certainty)
        if truth == "forged" and case in MIXED:
            assert told in MIXED[case]
        elif truth == "unsolicited-syn-ack" and case in BY_CHANCE:
            assert told in BY_CHANCE[case]
        else:
            assert told == TOLD.get((case, truth), (truth, "likely")), reset.seen.frame


def test_table_is_about_what_there_is() -> None:
    """Each row of the table is used."""
    there = {
        (truth_of(path.parent)["case"], cause) for path in HERE.glob("*/*.pcap") for cause in causes_of(path).values()
    }
    assert TOLD.keys() <= there
