"""The stages together: what single records and groups learn from each other."""

import pytest

from tests.core.fake_ring import NOW, Bench, received, reset
from whyreset.model import Facts, Listener, Owner, Process, Record
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes
from whyreset.owners.sockets import Owners
from whyreset.pipeline import Pipeline, singles

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
    listener = Listener(
        netns_cookie=1,
        port=8080,
        address="",
        family=2,
        ipv6_only=False,
        socket_cookie=5,
        owner=(1, 0),
        closer=(1, 0),
        until_ns=until_ns,
    )
    pipeline = Pipeline(Known(listener), str)
    ((_, explained),) = pipeline.run(Bench().groups(reset(state="CLOSE", reason="TCP_ABORT_ON_CLOSE")), epoch_ns=0)
    assert (explained.stop is not None) == told
    assert any("listened there before" in sentence for sentence in explained.evidence) == told
