"""Resets of late: put together, found by port and process, bounded, and not pushed out by a scan."""

from tests.outputs.values import owner, process, reset
from whyreset.owners.recent import Recents


def test_like_resets_are_one_entry() -> None:
    """Counts add up; first and last are kept, and what was told of the last."""
    recents = Recents()
    recents.add([reset(count=2, time_ns=100, last_ns=200, owner=owner())])
    recents.add([reset(count=3, time_ns=300, last_ns=400, owner=owner(), evidence=("later",))])
    (entry,) = recents.of_port(8080)
    assert (entry.count, entry.first_ns, entry.last_ns, entry.evidence) == (5, 100, 400, ("later",))


def test_what_differs_is_told_apart() -> None:
    """Direction, port, owner and closer each make another entry."""
    recents = Recents()
    recents.add(
        [
            reset(),
            reset(facts={"direction": "received"}),
            reset(port=81),
            reset(owner=owner()),
            reset(owner=owner(pid=5)),
            reset(owner=owner(), closer=process(pid=6)),
            reset(sample={"netns_cookie": 9}),
        ]
    )
    assert len(recents) == 7


def test_they_are_found_by_either_port_and_the_latest_comes_first() -> None:
    """Whoever asks for the client's port finds the reset too."""
    recents = Recents()
    recents.add([reset(last_ns=1), reset(last_ns=2, owner=owner())])
    assert [entry.last_ns for entry in recents.of_port(8080)] == [2, 1]
    assert len(recents.of_port(51234)) == 2
    assert recents.of_port(1) == []


def test_they_are_found_by_owner_and_by_closer() -> None:
    """A process is asked for by its number, whatever its part was."""
    recents = Recents()
    recents.add([reset(owner=owner(pid=5)), reset(closer=process(pid=6)), reset()])
    assert [len(recents.of_process(pid)) for pid in (5, 6, 7)] == [1, 1, 0]


def test_a_scan_does_not_push_out_what_services_did() -> None:
    """Entries without an owner have a bound of their own; of each kind the eldest goes first."""
    recents = Recents(capacity=3)
    recents.add([reset(port=port, owner=owner()) for port in (1, 2, 3)])
    recents.add([reset(port=port) for port in range(10, 1000)])
    assert len(recents) == 6
    assert all(recents.of_port(port) for port in (1, 2, 3, 997, 998, 999))
    recents.add([reset(port=1, owner=owner()), reset(port=4, owner=owner())])
    assert [bool(recents.of_port(port)) for port in (1, 2, 4)] == [True, False, True]
