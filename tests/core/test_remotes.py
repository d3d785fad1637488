"""The bounded account of a group's remote addresses: how many there were, and which were seen most."""

import ipaddress
import random
import statistics
from collections import Counter

import pytest

from tests.core.fake_ring import Bench, reset
from tests.core.layout import ResetEvent
from whyreset.model import Remotes

TOP = 16


def address(number: int, version: int = 4) -> str:
    """One of many addresses."""
    if version == 4:
        return str(ipaddress.IPv4Address(0x0A000000 + number))
    return str(ipaddress.IPv6Address((0x20010DB8 << 96) + number))


def remotes(addresses: list[str]) -> Remotes:
    """The account of one group that saw these."""
    family = ":" in addresses[0]
    local = "2001:db8:1::1" if family else "192.0.2.2"
    return Bench(size=1 << 23).group(*[reset(trigger="S", local=local, remote=each) for each in addresses]).remotes


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("distinct", [1, 2, TOP])
def test_up_to_sixteen_addresses_are_exact(distinct: int, version: int) -> None:
    """Few addresses are all kept, each with its own count, those seen most first."""
    seen = {address(number, version): 3 * number + 1 for number in range(distinct)}
    account = remotes([each for each, count in seen.items() for _ in range(count)])
    assert account.exact
    assert account.distinct == distinct
    assert dict(account.top) == seen
    assert [count for _, count in account.top] == sorted(seen.values(), reverse=True)


def test_the_seventeenth_address_makes_it_an_estimate() -> None:
    """One more than fits is said to be an estimate, no more than fit are listed, and never are fewer told than seen."""
    account = remotes([address(number) for number in range(TOP + 1)])
    assert not account.exact
    assert len(account.top) == TOP
    assert 17 <= account.distinct <= 18


def test_an_address_seen_again_is_not_another_one() -> None:
    """Repeats change counts, never the number of addresses."""
    account = remotes([address(number) for number in range(5)] * 100)
    assert (account.distinct, account.exact) == (5, True)
    assert {count for _, count in account.top} == {100}


@pytest.mark.parametrize("distinct", [100, 1_000, 100_000])
def test_the_estimate_of_many_addresses_is_near(distinct: int) -> None:
    """Registers give 6.5 % standard error: one estimate is within 45 %, and the mean of nine within 20 %.

    Seeds are random; less than one test in a million fails by chance (seven standard errors, nine for the mean).
    """
    records = [reset(trigger="S", remote=address(number)) for number in range(distinct)]
    estimates = []
    for _ in range(9):
        bench = Bench(size=1 << 26 if distinct > 10_000 else 1 << 20)
        bench.resets.write_all(records)
        estimates.append(bench.group().remotes.distinct)
    assert all(abs(each / distinct - 1) < 0.45 for each in estimates)
    assert abs(statistics.mean(estimates) / distinct - 1) < 0.2


def test_repeats_do_not_move_the_estimate() -> None:
    """The same addresses again give the same estimate."""
    bench = Bench(size=1 << 20)
    once = [reset(trigger="S", local_port=1, remote=address(number)) for number in range(300)]
    thrice = [reset(trigger="S", local_port=2, remote=address(number)) for number in range(300)] * 3
    first, second = bench.groups(*once, *thrice)
    assert first.remotes.distinct == min(second.remotes.distinct, 300)


def test_no_more_addresses_are_estimated_than_there_were_resets() -> None:
    """Else it would be said: 86 resets of 89 hosts."""
    for _ in range(20):
        group = Bench(size=1 << 20).group(*(reset(trigger="S", remote=address(number)) for number in range(300)))
        assert group.remotes.distinct <= group.count == 300


def test_a_heavy_hitter_is_found_among_many() -> None:
    """An address with more than a sixteenth of all resets is listed first, with a count that is at least its own."""
    records: list[str] = [address(number) for number in range(2_000)] + ["192.0.2.99"] * 1_000
    random.Random(7).shuffle(records)
    account = remotes(records)
    top, count = account.top[0]
    assert top == "192.0.2.99"
    assert 1_000 <= count <= 1_000 + 3_000 // TOP


def test_counts_are_upper_bounds_that_sum_to_all() -> None:
    """Space saving never loses a count: what is listed sums to what was seen, and no listed count is too small."""
    generator = random.Random(11)
    seen = [address(int(generator.paretovariate(0.6)) % 500) for _ in range(3_000)]
    account = remotes(seen)
    counts = Counter(seen)
    assert sum(count for _, count in account.top) == len(seen)
    assert all(count >= counts[each] for each, count in account.top)


def test_the_families_are_told_apart() -> None:
    """An IPv4 address and the IPv6 address that begins with the same bytes are two."""
    four: ResetEvent = reset(trigger="S", remote="32.1.13.184", local="192.0.2.2")
    six: ResetEvent = reset(trigger="S", remote="2001:db8::", local="2001:db8::1")
    account = Bench().group(four, six).remotes
    assert (account.distinct, {each for each, _ in account.top}) == (2, {"32.1.13.184", "2001:db8::"})
