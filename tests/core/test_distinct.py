"""How many different addresses and ports there were: near enough, of any number, also of several accounts together."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.packets import groups
from tests.core.test_alike import refused
from whyreset.core.distinct import Addresses, Ports


def address(number: int, version: int) -> str:
    """One of many neighbours."""
    return str(ipaddress.ip_address((0x20010DB8 << 96 if version == 6 else 0x0A000000) + number))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("distinct", [1, 30, 1000, 12_000, 100_000])
def test_addresses_are_estimated(distinct: int, version: int) -> None:
    """Within five standard errors, however often each comes."""
    account = Addresses()
    for number in (*range(distinct), *range(0, distinct, 7)):
        account.add(address(number, version))
    assert account.count() == pytest.approx(distinct, rel=0.08, abs=1)


@given(st.lists(st.integers(0, 65535)))
def test_ports_are_exact(ports: list[int]) -> None:
    """Each port once."""
    account = Ports()
    for port in ports:
        account.add(str(port))
    assert account.count() == len(set(ports))


def test_accounts_of_the_core_can_be_put_together() -> None:
    """What two captures have in common counts once, what only one has counts too."""
    ports, senders = Ports(), Addresses()
    for hosts, seen in ((300, 3000), (500, 2000), (300, 3000)):
        for group in groups(refused(6000, hosts=hosts, ports=seen)):
            for account, tally in ((ports, group.ports), (senders, group.senders)):
                if tally.sketch:
                    account.merge(tally.sketch)
                for value, _ in tally.top:
                    account.add(value)
            assert group.receivers.sketch == b""
    assert ports.count() == 3000
    assert senders.count() == pytest.approx(500, rel=0.05)


def test_what_is_no_account_is_refused() -> None:
    """Bytes of another length, and words that are no address, raise."""
    for account in (Addresses(), Ports()):
        with pytest.raises(ValueError, match="no account"):
            account.merge(b"\0" * 7)
        with pytest.raises((ValueError, OSError)):
            account.add("neither")
