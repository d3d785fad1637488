"""Families of causes by the kernel's counters alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.causes.fingerprint import shares

NAMES = (
    *("OutRsts", "TCPAbortOnClose", "TCPAbortOnLinger", "TCPAbortOnData", "TCPAbortOnMemory", "TCPAbortOnTimeout"),
    *("TCPKeepAlive", "SyncookiesFailed", "ListenOverflows", "EmbryonicRsts", "EstabResets", "TW", "AttemptFails"),
)

#: what moved; families and their counts; what the rest may be
FOUND: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "nothing": ({}, {}),
    "no reset": ({"TCPAbortOnData": 3, "EmbryonicRsts": 2, "TCPAbortOnTimeout": 1}, {}),
    "closed ports": ({"OutRsts": 7, "AttemptFails": 7}, {"unknown": 7}),
    "unread data": ({"OutRsts": 5, "TCPAbortOnClose": 5, "EstabResets": 5}, {"abort": 5}),
    "both": ({"OutRsts": 12, "TCPAbortOnClose": 5, "EstabResets": 5}, {"abort": 5, "unknown": 7}),
    "linger zero without a reset": ({"OutRsts": 2, "TCPAbortOnData": 9}, {"abort": 2}),
    "memory": ({"OutRsts": 4, "TCPAbortOnMemory": 3}, {"memory": 3, "unknown": 1}),
    "keepalive": ({"OutRsts": 1, "TCPAbortOnTimeout": 1, "TCPKeepAlive": 3}, {"abort": 1}),
    "retransmissions given up": ({"OutRsts": 1, "TCPAbortOnTimeout": 1}, {"unknown": 1}),
    "bad cookies": ({"OutRsts": 3, "SyncookiesFailed": 3}, {"half-open": 3}),
    "full accept queue": ({"OutRsts": 3, "ListenOverflows": 9, "EmbryonicRsts": 3}, {"listen-queue": 3}),
}


@pytest.mark.parametrize(("moved", "families"), FOUND.values(), ids=list(FOUND))
def test_families_follow_from_what_moved(moved: dict[str, int], families: dict[str, int]) -> None:
    """A counter that moves with each reset of a family says how many; what moved none stays open."""
    assert {each.family: each.count for each in shares(moved, abort_on_overflow=True)} == families


def test_a_full_queue_that_resets_nothing_has_no_share() -> None:
    """Without tcp_abort_on_overflow the same counters move, and no reset is sent for it."""
    moved = {"OutRsts": 3, "ListenOverflows": 9, "EmbryonicRsts": 3}
    [rest] = shares(moved, abort_on_overflow=False)
    assert (rest.family, rest.certainty, rest.count) == ("unknown", "unknown", 3)


def test_the_rest_may_be_of_the_listen_queue_only_where_a_handshake_was_refused() -> None:
    """Each refusal moves a counter, which a reset that came moves too: so it is no proof."""
    [rest] = shares({"OutRsts": 1}, abort_on_overflow=False)
    assert "listen-queue" not in rest.candidates
    [rest] = shares({"OutRsts": 1, "EmbryonicRsts": 1}, abort_on_overflow=False)
    assert "listen-queue" in rest.candidates


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1 << 40)), st.booleans())
def test_shares_are_of_what_was_counted(moved: dict[str, int], abort_on_overflow: bool) -> None:
    """They sum up to it, each family once, none empty, none certain."""
    found = shares(moved, abort_on_overflow=abort_on_overflow)
    assert sum(each.count for each in found) == moved.get("OutRsts", 0)
    assert len({each.family for each in found}) == len(found)
    for each in found:
        assert each.count > 0
        assert each.certainty == ("unknown" if each.family == "unknown" else "likely")
        assert bool(each.counters) == (each.certainty == "likely")
        assert bool(each.candidates) == (each.certainty == "unknown")


# ---- where only some counters were stored ----

#: What Netdata 1.37, node_exporter 1.5 and sysstat 12.6 keep unless told otherwise.
NETDATA = frozenset(NAMES) - {"TCPKeepAlive", "EmbryonicRsts", "TW"}
EXPORTER = frozenset({"OutRsts", "ListenOverflows", "SyncookiesFailed"})
SYSSTAT = frozenset({"OutRsts", "EstabResets", "AttemptFails"})


@pytest.mark.parametrize("stored", [NETDATA, EXPORTER, SYSSTAT])
def test_a_family_whose_counter_is_not_stored_stays_possible(stored: frozenset[str]) -> None:
    """Nothing is excluded by a counter that nobody has."""
    [rest] = shares({"OutRsts": 9}, abort_on_overflow=None, stored=stored)
    assert ("memory" in rest.candidates) == ("TCPAbortOnMemory" not in stored)
    assert {"closed-port", "half-open", "abort", "listen-queue"} <= set(rest.candidates)


@pytest.mark.parametrize(("setting", "place"), [(None, 0), (True, 0), (False, -1)])
def test_half_of_the_queues_fingerprint_puts_it_first(setting: bool | None, place: int) -> None:
    """Unless the setting says that a full queue resets nothing: then only a refused handshake is left."""
    moved = {"OutRsts": 9, "ListenOverflows": 20}
    [rest] = shares(moved, abort_on_overflow=setting, stored=NETDATA)
    assert rest.family == "unknown"
    assert rest.candidates[place] == "listen-queue"


def test_connections_that_were_reset_put_aborts_first() -> None:
    """Where no abort counter is stored; with too few of them they cannot be the most of it."""
    [rest] = shares({"OutRsts": 9, "EstabResets": 8}, abort_on_overflow=None, stored=SYSSTAT)
    assert rest.candidates[0] == "abort"
    [rest] = shares({"OutRsts": 9, "EstabResets": 1}, abort_on_overflow=None, stored=SYSSTAT)
    assert rest.candidates[0] == "closed-port"


def test_connections_given_up_may_be_keepalive() -> None:
    """Without the counter of probes nothing is claimed, and nothing else is likelier."""
    [rest] = shares({"OutRsts": 9, "TCPAbortOnTimeout": 9}, abort_on_overflow=None, stored=NETDATA)
    assert (rest.family, rest.candidates[0]) == ("unknown", "abort")


def test_shares_name_the_causes_that_their_counters_speak_of() -> None:
    """The family's, each once."""
    [share] = shares({"OutRsts": 9, "TCPAbortOnData": 4, "TCPAbortOnLinger": 5}, abort_on_overflow=None)
    assert share.causes == ("linger2-expired", "linger-zero", "data-after-close")


@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1 << 40)),
    st.none() | st.booleans(),
    st.frozensets(st.sampled_from(NAMES)),
)
def test_what_was_stored_never_changes_a_claim(
    moved: dict[str, int], setting: bool | None, stored: frozenset[str]
) -> None:
    """It changes what the rest may be, and nothing else."""
    known = {name: value for name, value in moved.items() if name in stored or name == "OutRsts"}
    found = shares(known, abort_on_overflow=setting, stored=stored)
    assert [each for each in found if each.family != "unknown"] == [
        each for each in shares(known, abort_on_overflow=bool(setting)) if each.family != "unknown"
    ]
    assert sum(each.count for each in found) == known.get("OutRsts", 0)
