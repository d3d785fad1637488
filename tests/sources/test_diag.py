"""Sockets as the kernel tells any process: by port on either side, with queues, also those without a file."""

import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts import Host, Pair
from whyreset.sources import diag

PORT = 8080


@pytest.fixture
def listener(pair: Pair) -> socket.socket:
    """Somebody listens in b."""
    with pair.b.inside():
        return socket.create_server(("192.0.2.2", PORT), backlog=7)


def states(view: diag.View) -> list[tuple[str, int, int]]:
    """What was seen, without the client's port."""
    return sorted((each.state, each.local_port == PORT, each.remote_port == PORT) for each in view.sockets)


def test_only_sockets_from_or_to_the_port_are_told(pair: Pair, listener: socket.socket) -> None:
    """The listener with its queue, a connection that waits in it, and the other end in its namespace."""
    with listener, pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client, pair.b.inside():
        client.connect(("192.0.2.2", PORT))
        pair.b.await_states(PORT, "ESTABLISHED")
        with socket.create_server(("127.0.0.1", PORT + 1)), socket.create_server(("127.0.0.1", PORT - 1)):
            view = diag.view(PORT)
        assert view.netns == pair.b.inode
        assert states(view) == [("ESTABLISHED", True, False), ("LISTEN", True, False)]
        (own,) = [each for each in view.sockets if each.state == "LISTEN"]
        assert (own.local, own.queue, own.netns_cookie) == ("192.0.2.2", (1, 7), pair.b.cookie)
        assert own.inode == os.fstat(listener.fileno()).st_ino
        with pair.a.inside():
            assert states(diag.view(PORT)) == [("ESTABLISHED", False, True)]
            assert diag.view(PORT + 1).sockets == []


def test_without_a_port_all_are_told(pair: Pair, listener: socket.socket) -> None:
    """A process is asked for by all its sockets."""
    with listener, pair.b.inside(), socket.create_server(("127.0.0.1", PORT + 1)):
        assert {each.local_port for each in diag.view(0).sockets} == {PORT, PORT + 1}


def test_what_no_process_holds_is_told(pair: Pair, listener: socket.socket) -> None:
    """A connection in TIME-WAIT has no file."""
    with listener, pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client, pair.b.inside():
        client.connect(("192.0.2.2", PORT))
        accepted, _ = listener.accept()
        accepted.close()
        client.close()
        pair.b.await_states(PORT, "TIME_WAIT")
        (left,) = [each for each in diag.view(PORT).sockets if each.state == "TIME_WAIT"]
        assert (left.inode, left.remote) == (0, "192.0.2.1")


@pytest.mark.parametrize("ipv6_only", [True, False])
def test_ipv6_listeners_say_whether_they_serve_ipv4(machine: None, ipv6_only: bool) -> None:
    """IPV6_V6ONLY is read of each."""
    v6 = socket.AF_INET6
    with Host("a") as host, host.inside(), socket.create_server(("::", PORT), family=v6, dualstack_ipv6=not ipv6_only):
        (own,) = diag.view(PORT).sockets
    assert (own.local, own.family, own.ipv6_only) == ("::", socket.AF_INET6, ipv6_only)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("192.0.2.2", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("2001:db8:77::2", True),
        ("192.0.2.1", False),
        ("198.51.100.1", False),
        ("2001:db8:77::1", False),
        ("2001:db8:99::1", False),
    ],
)
def test_the_kernel_tells_which_addresses_are_its_own(pair: Pair, address: str, local: bool) -> None:
    """All of loopback and of its devices, and no others, reachable or not."""
    with pair.b.inside():
        assert diag.view(PORT, address).local is local


def test_a_namespace_is_entered_and_left(pair: Pair) -> None:
    """The calling thread is home again, also after an error."""
    home = os.stat("/proc/thread-self/ns/net").st_ino
    path = f"/proc/self/fd/{pair.b.descriptor}"
    with diag.inside(path):
        assert os.stat("/proc/thread-self/ns/net").st_ino == pair.b.inode
    with pytest.raises(KeyError), diag.inside(path):
        raise KeyError
    with pytest.raises(OSError, match="No such file"), diag.inside("/proc/self/fd/9999"):
        pass
    assert os.stat("/proc/thread-self/ns/net").st_ino == home


def test_namespaces_of_processes_are_found(pair: Pair) -> None:
    """One that only a process leads to; not one that nothing leads to."""
    assert pair.b.inode not in diag.namespaces()
    with pair.b.start("sleep", "60") as sleeper:
        try:
            assert diag.namespaces()[pair.b.inode] == f"/proc/{sleeper.pid}/ns/net"
        finally:
            sleeper.kill()
    assert os.stat("/proc/self/ns/net").st_ino in diag.namespaces()


@given(st.binary(max_size=300))
def test_any_answer_is_read_without_an_error(data: bytes) -> None:
    """Lengths are not believed."""
    for _, payload in diag._messages(memoryview(data)):
        assert len(payload) <= len(data)
        diag._ipv6_only(payload)


@given(st.integers(0, 3), st.integers(0, 40), st.binary(max_size=60))
def test_a_message_with_a_wrong_length_ends_the_reading(kind: int, size: int, rest: bytes) -> None:
    """A length beyond the end, or below its own header, is where it stops."""
    data = struct.pack("=IHHII", size, kind, 0, 0, 0) + rest
    found = list(diag._messages(memoryview(data)))
    assert not found or 16 <= size <= len(data)
