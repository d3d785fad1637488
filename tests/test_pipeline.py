"""The stages together: what single records and groups learn from each other, and how evidence reads."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.core.fake_ring import NOW, Bench, received, reset
from whyreset.causes.base import WORDS
from whyreset.model import Facts, Listener, Owner, Process, Record
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes
from whyreset.owners.sockets import Owners
from whyreset.pipeline import _EXPLAINED, _TWINS, Draft, Pipeline, _fill, _words, singles

PORTS = range(1, 8)


def test_a_single_record_learns_its_cause_from_a_twin_that_was_only_counted() -> None:
    """Of many resets a few are kept at each end, not the same ones; each is explained by what was sent."""
    bench = Bench(samples_per_group=2)
    sent = [reset(state="CLOSE", reason="TCP_ABORT_ON_CLOSE", remote_port=port, snd_nxt=port) for port in PORTS]
    ends = {"local": "192.0.2.1", "remote": "192.0.2.2", "remote_port": 8080, "named": ["ACTIVE_OPEN"]}
    came = [received(local_port=port, rcv_nxt=port, time_ns=NOW + 9, **ends) for port in reversed(PORTS)]
    pipeline = Pipeline(Owners(Processes(), Lives()), str)
    resets = [explained for _, explained in pipeline.run(singles(bench.groups(*sent, *came)), epoch_ns=0)]
    assert [(each.facts.direction, each.count) for each in resets] == [
        *[("sent", 1), ("sent", 1), ("sent", 5)],
        *[("received", 1), ("received", 1), ("received", 5)],
    ]
    assert {each.cause.name for each in resets} == {"unread-data"}
    assert len({each.twin for each in resets if each.count == 1}) == 4


LISTENER = Listener(
    netns_cookie=1,
    port=8080,
    address="",
    family=2,
    ipv6_only=False,
    socket_cookie=5,
    owner=(1, 0),
    closer=(1, 0),
)


class Known(Owners):
    """Knows one listener."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(Processes(), Lives())
        self.listener = listener

    def owner(self, record: Record, facts: Facts) -> tuple[Owner | None, Listener | None]:
        return Owner(process=Process(pid=1), via="listener", alive=True), self.listener


@pytest.mark.parametrize(("until_ns", "told"), [(0, False), (NOW - 1, True), (NOW, True), (NOW + 1, False)])
def test_a_listener_that_stopped_after_the_reset_still_listened(until_ns: int, told: bool) -> None:
    """Its end is told only where it bears on the reset, though it may be known by then."""
    pipeline = Pipeline(Known(replace(LISTENER, until_ns=until_ns)), str)
    ((_, explained),) = pipeline.run(Bench().groups(reset(state="CLOSE", reason="TCP_ABORT_ON_CLOSE")), epoch_ns=0)
    assert (explained.stop is not None) == told
    assert any("listened there before" in sentence for sentence in explained.evidence) == told


class Nobody(Owners):
    """Knows no process at all."""

    def __init__(self) -> None:
        super().__init__(Processes(), Lives())

    def process(self, key: tuple[int, int], time_ns: int) -> Process:
        raise AssertionError("no closer is told of")

    def owner(self, record: Record, facts: Facts) -> tuple[Owner | None, Listener | None]:
        return None, None


def told(**fields: Any) -> str:
    """The evidence for one reset whose owner nobody knows."""
    ((_, explained),) = Pipeline(Nobody(), str).run(Bench().groups(reset(**fields)), epoch_ns=0)
    return "; ".join(explained.evidence)


def test_evidence_reads_well_where_the_owner_is_not_known() -> None:
    """The name stands within a sentence: «an unknown process's SYN»."""
    opening = {"state": "SYN_SENT", "reason": "TCP_INVALID_ACK_SEQUENCE", "named": ["ACTIVE_OPEN"]}
    assert "does not acknowledge an unknown process's SYN" in told(**opening, trigger="SA")


class Via(Known):
    """Knows one process, and by what."""

    def __init__(self, via: str) -> None:
        super().__init__(LISTENER)
        self.via = via

    def owner(self, record: Record, facts: Facts) -> tuple[Owner | None, Listener | None]:
        return Owner(process=Process(pid=7, comm="api"), via=self.via, alive=True), None


@pytest.mark.parametrize(
    ("via", "who"),
    [("closer", "api[7]"), ("accept", "api[7]"), ("listener", "this side"), ("one of the listeners", "this side")],
)
def test_who_only_listens_is_not_said_to_have_closed(via: str, who: str) -> None:
    """A child that inherited the listener may have used the connection."""
    late = reset(state="TIME_WAIT", reason="TCP_TIMEWAIT_SOCKET", substate=5, trigger="PA", trigger_length=4)
    ((_, explained),) = Pipeline(Via(via), str).run(Bench().groups(late), epoch_ns=0)
    assert explained.cause.name == "data-after-close"
    assert f"{who} had closed" in "; ".join(explained.evidence)


@pytest.mark.parametrize(("unread", "said"), [(1, "; 1 byte unread"), (2, "; 2 bytes unread")])
def test_evidence_counts_bytes_as_people_do(unread: int, said: str) -> None:
    """One byte is no bytes."""
    assert said in told(state="CLOSE", reason="TCP_ABORT_ON_CLOSE", unread=unread)


def test_every_word_that_evidence_may_ask_for_is_there() -> None:
    """Also where next to nothing is known."""
    group = Bench().groups(reset())[0]
    words = _words(Draft(group=group, facts=group.facts), group.samples[0])
    assert set(words) == WORDS
    assert all(_fill(f"{{{word}}}", words) for word in WORDS)


def test_a_group_of_which_nothing_was_kept_is_told_without_figures() -> None:
    """Never «a SYN for port 0»."""
    bench = Bench(samples_per_group=0)
    ((_, explained),) = Pipeline(Nobody(), str).run(bench.groups(reset(trigger="S")), epoch_ns=0)
    assert explained.evidence == ("kernel reason NO_SOCKET",)


def test_what_is_kept_for_twins_and_of_causes_is_bounded() -> None:
    """However many groups come, with their owners."""
    bench, pipeline = Bench(), Pipeline(Nobody(), str)
    for first in range(1, _TWINS + 200, 50):
        pipeline.run(
            bench.groups(*(reset(trigger="S", local_port=port) for port in range(first, first + 50))), epoch_ns=0
        )
    assert len(pipeline._sent) == _TWINS
    assert len(pipeline._explained) <= _EXPLAINED
