"""What connection tracking says of translated addresses, asked of the kernel; and what is made of strange answers."""

from __future__ import annotations

import os
import socket
from subprocess import CalledProcessError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts import Host, Pair
from whyreset.sources.conntrack import ENDS, Conntrack

CLIENT, OURS = "192.0.2.1", "192.0.2.2"


def ends(src: str, sport: int, dst: str, dport: int) -> bytes:
    """Ends as the merge has them."""
    family = socket.AF_INET6 if ":" in src else socket.AF_INET
    return ENDS.pack(socket.inet_pton(family, src), socket.inet_pton(family, dst), sport, dport)


def nat(host: Host, words: str) -> None:
    """Load a rule of address translation; skip where the kernel cannot."""
    try:
        host.nft(f"table inet n {{ chain p {{ type nat hook prerouting priority -100; {words}; }}; }}")
    except CalledProcessError:
        pytest.skip("this machine lacks address translation in nftables (CONFIG_NFT_REDIR)")


@pytest.mark.parametrize("version", [4, 6])
def test_what_leaves_translated_had_other_ends_before(pair: Pair, version: int) -> None:
    """The connection's own tuples say which; of an untranslated one they are the same, of an unknown one nothing."""
    nat(pair.b, "tcp dport 8080 redirect to :80")
    client, ours = pair.address(pair.a, version), pair.address(pair.b, version)
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    asking = Conntrack(f"/proc/{os.getpid()}/fd/{pair.b.descriptor}")
    with pair.b.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((ours, 80))
        listener.listen()
        for port, own in ((8080, 80), (80, 80)):
            with pair.a.socket(family, socket.SOCK_STREAM) as connection:
                connection.connect((ours, port))
                there = connection.getsockname()[1]
                before = asking.before(version == 6, ends(ours, port, client, there))
                assert before == ends(ours, own, client, there)
    assert asking.before(version == 6, ends(ours, 8080, client, 1)) is None
    asking.close()


def test_where_it_cannot_be_asked_nothing_is_known(machine: None) -> None:
    """And it is not tried again."""
    asking = Conntrack("/run/netns/nowhere")
    assert asking.before(False, ends(OURS, 80, CLIENT, 1)) is None
    assert asking.before(False, ends(OURS, 80, CLIENT, 1)) is None
    asking.close()


@given(st.booleans(), st.binary(max_size=300))
def test_no_answer_is_believed_in_its_lengths(v6: bool, answer: bytes) -> None:
    """Whatever stands in it, nothing is raised."""
    asking = Conntrack()
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, kernel:
        asking._socket = ours
        kernel.send(b"\0\0\0\0\0\1" + bytes(14) + answer)
        assert asking.before(v6, bytes(36)) in (None, bytes(36))
