"""The kernel source: how much of a batch is kept in detail."""

from typing import Any, cast

import pytest

from tests.core.fake_ring import MILLISECOND, NOW, Bench, received, reset
from whyreset.core.records import Recorder
from whyreset.sources.base import SourceError
from whyreset.sources.kernel import KernelSource
from whyreset.sources.program import Program


class FakeProgram:
    """A kernel program whose rings a test writes."""

    active_reasons = True
    bench: Bench

    def recorder(self, **limits: Any) -> Recorder:
        """A recorder with these limits."""
        self.bench = Bench(size=1 << 22, **limits)
        return self.bench.recorder

    def losses(self) -> dict[str, int]:
        """What the kernel program lost."""
        return {"closes": 1, "lives": 2, "namespaces": 3, "triggers": 4}


def started(each_per_tick: int = 0) -> tuple[KernelSource, Bench]:
    """A source that runs."""
    program = FakeProgram()
    source = KernelSource(cast(Program, program), each_per_tick=each_per_tick)
    source.start()
    return source, program.bench


LATER = NOW + 10 * MILLISECOND


@pytest.mark.parametrize("ports", [1, 20])
def test_each_keeps_no_more_single_resets_than_asked_for(ports: int) -> None:
    """One kind of resets takes half of what one visit keeps, beside the first of each group; the rest is counted."""
    source, bench = started(each_per_tick=100)
    bench.resets.write_all([reset(trigger="S", local_port=port) for _ in range(5000 // ports) for port in range(ports)])
    groups = source.take(LATER)
    assert sum(group.count for group in groups) == 5000
    assert 50 <= sum(len(group.samples) for group in groups) <= 50 + ports


def test_each_keeps_one_of_every_kind_beside_a_burst() -> None:
    """What is rare is not hidden by what is frequent."""
    source, bench = started(each_per_tick=100)
    burst = [reset(trigger="S", remote_port=port) for port in range(1, 2001)]
    bench.resets.write_all(burst + [reset(trigger="S", local_port=port) for port in range(1, 201)])
    groups = source.take(LATER)
    assert len(groups) == 201
    assert all(group.samples for group in groups)


def test_without_each_a_group_keeps_a_few() -> None:
    """Groups are the rule; each shows one of its resets, and of one kind only so many are told apart."""
    source, bench = started()
    bench.resets.write_all([reset(trigger="S", local_port=port) for port in range(1, 65) for _ in range(9)])
    bench.resets.write_all([reset(trigger="F", local_port=port) for port in range(1, 11)])
    groups = source.take(LATER)
    assert [sum(group.facts.crowded for group in groups), len(groups)] == [1, 32 + 1 + 10]
    assert {len(group.samples) for group in groups} == {1}
    assert sum(group.count for group in groups) == 64 * 9 + 10


def test_what_came_before_the_beginning_is_forgotten() -> None:
    """The account begins with the first reset after `begin`, also when one before it was still young."""
    source, bench = started()
    bench.write(reset(trigger="S", time_ns=LATER))
    source.begin(LATER)
    bench.write(received(time_ns=LATER))
    assert [group.facts.direction for group in source.take(LATER, everything=True)] == ["received"]


def test_drain_keeps_groups_for_the_next_visit() -> None:
    """Rings may be emptied in between; the figures come together."""
    source, bench = started()
    bench.write(reset(trigger="S"))
    assert source.drain(LATER) == 1
    bench.write(reset(trigger="S"))
    [group] = source.take(LATER)
    assert group.count == 2


def test_losses_name_all_that_was_lost() -> None:
    """Each figure of loss comes with what it means for the user."""
    source, bench = started()
    bench.resets.write(b"?")
    source.drain(LATER)
    losses = source.losses()
    assert {name: count for name, (count, _) in losses.items() if count} == {
        "misread": 1,
        "closes-lost": 1,
        "lives-lost": 2,
        "namespaces-lost": 3,
        "triggers-lost": 4,
    }
    assert all(text for _, text in losses.values())


def test_before_the_start_there_is_nothing_to_read() -> None:
    """Reading a source that was not started, or was closed, is an error with a sentence."""
    source, _ = started()
    source.close()
    source.close()
    with pytest.raises(SourceError, match="not started"):
        source.take(LATER)
