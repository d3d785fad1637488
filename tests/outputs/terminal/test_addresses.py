"""The remote addresses of a row over many ticks."""

from tests.outputs.values import EPOCH
from whyreset.model import Remotes
from whyreset.outputs.terminal.addresses import CAPACITY, Addresses

MINUTE = 60_000_000_000


def named(*counts: tuple[str, int], distinct: int | None = None, exact: bool = True) -> Remotes:
    """A tick's account of addresses."""
    return Remotes(distinct=len(counts) if distinct is None else distinct, exact=exact, top=counts)


def test_ticks_are_joined_address_by_address() -> None:
    """The most frequent come first."""
    addresses = Addresses()
    addresses.add(named(("a", 1), ("b", 2)), "", 3, EPOCH)
    addresses.add(named(("a", 5)), "", 5, EPOCH + 1)
    assert addresses.remotes() == named(("a", 6), ("b", 2))


def test_one_reset_counts_its_own_address() -> None:
    """Where a group has no account of addresses."""
    addresses = Addresses()
    addresses.add(None, "a", 2, EPOCH)
    addresses.add(None, "", 2, EPOCH)
    assert addresses.remotes() == named(("a", 2))


def test_an_estimate_makes_the_number_a_lower_bound() -> None:
    """The most that one tick had; it is never said to be exact again while it is remembered."""
    addresses = Addresses()
    addresses.add(named(("a", 9), distinct=400, exact=False), "", 500, EPOCH)
    addresses.add(named(("b", 1)), "", 1, EPOCH + 1)
    remotes = addresses.remotes()
    assert (remotes.distinct, remotes.exact) == (400, False)


def test_addresses_are_bounded() -> None:
    """A flood of addresses takes no more room, and the number is a lower bound then."""
    addresses = Addresses()
    for number in range(10_000):
        addresses.add(None, f"a{number}", 1, EPOCH)
    addresses.add(None, "often", 50_000, EPOCH)
    remotes = addresses.remotes()
    assert not remotes.exact
    assert remotes.distinct == len(remotes.top) == CAPACITY
    assert remotes.top[0][0] == "often"


def test_old_addresses_are_forgotten() -> None:
    """What came more than some minutes before the last one is not told any more; silence forgets nothing."""
    addresses = Addresses()
    addresses.add(named(("old", 9), distinct=400, exact=False), "", 9, EPOCH)
    addresses.add(named(("then", 1)), "", 1, EPOCH + 2 * MINUTE)
    assert addresses.remotes().distinct == 400
    addresses.add(named(("now", 1)), "", 1, EPOCH + 9 * MINUTE)
    assert addresses.remotes() == named(("then", 1), ("now", 1))
