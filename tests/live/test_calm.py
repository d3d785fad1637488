"""What the agent does when there is nothing to do."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests import needs
from tests.hosts import Host
from tests.hosts.hosts import await_true
from whyreset.agent import Agent, Settings
from whyreset.model import Reset
from whyreset.sources.kernel import KernelSource
from whyreset.sources.program import Program


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


@pytest.fixture
def host() -> Iterator[Host]:
    """A host of our own."""
    with Host("a") as alone:
        yield alone


def test_a_visit_that_would_find_nothing_is_saved(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rings are only read where something waits in them, and in any case once a second."""
    reads = 0
    take = KernelSource.take

    def counted(*words: object, **named: object) -> object:
        nonlocal reads
        reads += 1
        return take(*words, **named)  # type: ignore[arg-type]

    def of_ours(resets: tuple[Reset, ...]) -> bool:
        return any(reset.sample.netns_cookie == host.cookie for reset in resets)

    monkeypatch.setattr(KernelSource, "take", counted)
    with Agent(Settings()) as agent:
        agent.tick()  # the first counts
        await_true(lambda: bool(agent.tick()) and not agent._owners.behind, "a look at all processes")
        # nothing seems to wait: so it shows which visits read all the same
        monkeypatch.setattr(Program, "waiting", lambda _: False)
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
            probe.connect(("127.0.0.1", 9))
        reads, began = 0, time.monotonic()
        await_true(lambda: of_ours(agent.tick().resets), "the reset to be told")
        assert reads == 1 or time.monotonic() - began > 1
        monkeypatch.undo()
