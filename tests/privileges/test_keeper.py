"""A keeper does what its run was granted, and nothing for a worker that has fallen into other hands."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import needs
from tests.hosts import Host
from tests.hosts.hosts import await_true
from tests.privileges.parted import worker
from whyreset.privileges import requests
from whyreset.privileges.grants import Grants
from whyreset.privileges.keeper import _DONE, Keeper, needed
from whyreset.privileges.requests import NotGrantedError
from whyreset.privileges.rights import (
    CAP_CHOWN,
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    CAP_NET_ADMIN,
    CAP_NET_RAW,
    CAP_SYS_ADMIN,
    CAP_SYS_PTRACE,
)
from whyreset.sources.loading import ALL


@pytest.fixture(autouse=True)
def _root() -> None:
    needs.root()


def test_each_request_is_done_by_something() -> None:
    """The list of requests and the table of what is done for them are the same; Put has what came with it."""
    assert set(get_args(requests.Request)) == {*_DONE, requests.Put}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    """Nothing else comes out of what a worker sends."""
    try:
        request = requests.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    assert isinstance(request, get_args(requests.Request))


GARBAGE = {
    "no MessagePack": "b'\\xc1' * 40",
    "an unknown request": "requests.encode(['Execute', '/bin/sh'])",
    "a request without its words": "requests.encode(['Look'])",
    "a pid that is none": "requests.encode(['Look', -1])",
    "a number beyond its bounds": "requests.encode(['Dropped', 100000])",
    "another type": "requests.encode(['Look', '../../etc/shadow'])",
    "too many words": "requests.encode(['RawSockets', '', list(range(65))])",
    "more than a request may hold": "requests.encode(['IsLocal', '', 'x' * 9000])",
    "nested without end": "b'\\x91' * 8000",
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=list(GARBAGE))
def test_what_no_worker_of_ours_would_send_ends_it(sent: str) -> None:
    """At once, without an answer; and whoever goes on asking learns that it has ended."""
    said = worker(f"""
line.send({sent})
try:
    line.receive(1000, 1)
    tell(answered=True)
except Exception as error:
    tell(answered=False, error=type(error).__name__)
try:
    hands.check()
    tell(gone=False)
except HandsError as error:
    tell(gone=str(error))
""")
    assert (said["answered"], said["error"]) == (False, "GoneError")
    assert "has ended" in said["gone"]


REFUSED = {
    "load what was not granted": ("requests.Load()", "loading=None"),
    "count without it": ("requests.Count(True)", "loading=None"),
    "walk without it": ("requests.OpenWalk()", "loading=None"),
    "unload without it": ("requests.Unload()", "loading=None"),
    "packets without a grant": ("requests.OpenPackets(Shape())", ""),
    "packets of another namespace": ("requests.OpenPackets(Shape(path='/proc/1/ns/net'))", "packets=1"),
    "all of each packet": ("requests.OpenPackets(Shape(snap_bytes=65535))", "packets=1"),
    "every segment": ("requests.OpenPackets(Shape(wanted=Wanted(everything=True)))", "packets=1"),
    "every segment though the kernel tells": (
        "requests.OpenPackets(Shape(wanted=Wanted(everything=True)))",
        "packets=1, everything=True, loading=ALL",
    ),
    "a port that is none": ("requests.OpenPackets(Shape(wanted=Wanted(ports=(-1,))))", "packets=1"),
    "a number that is none": ("requests.OpenPackets(Shape(wanted=Wanted(ports=(1 << 60,))))", "packets=1"),
    "a host that is none": ("requests.OpenPackets(Shape(wanted=Wanted(hosts=('nowhere',))))", "packets=1"),
    "too many ports": ("requests.OpenPackets(Shape(wanted=Wanted(ports=tuple(range(1, 99)))))", "packets=1"),
    "a ring without end": ("requests.OpenPackets(Shape(blocks=1 << 30))", "packets=1"),
    "a ring of less than nothing": ("requests.OpenPackets(Shape(blocks=-1))", "packets=1"),
    "a socket that is not open": ("requests.Want(0, Wanted())", "packets=1"),
    "the firewall without packets": ("requests.AskTools('')", ""),
    "the firewall of another namespace": ("requests.AskTools('/proc/1/ns/net')", "packets=1"),
    "raw sockets of another namespace": ("requests.RawSockets('/run/netns/x', ())", "packets=1"),
    "addresses of another namespace": ("requests.IsLocal('/run/netns/x', '192.0.2.1')", "packets=1"),
    "to hold another namespace": ("requests.Hold('/proc/1/ns/net')", "packets=1"),
    "whether another namespace is used": ("requests.IsUsed('/proc/1/ns/net')", "packets=1"),
    "to let go of what is not held": ("requests.LetGo('/proc/1/ns/net')", "packets=1"),
    "who holds sockets": ("requests.SocketHolders()", "packets=1"),
    "who holds sockets though the kernel tells": ("requests.SocketHolders()", "everything=True, loading=ALL"),
    "a look into namespaces": ("requests.LookInto(())", "looking=False"),
    "who has raw sockets": ("requests.RawSenders(1)", "looking=False"),
    "what runs beside": ("requests.Beside()", ""),
    "a file": ("requests.OpenFile('/tmp/x.pcapng', False)", ""),
    "another file than the capture's": ("requests.OpenFile('/tmp/y.pcapng', False)", "capture='/tmp/x.pcapng'"),
    "to write over it": ("requests.OpenFile('/tmp/x.pcapng', True)", "capture='/tmp/x.pcapng'"),
    "one of many where there is one": ("requests.OpenFile('/tmp/x-00001.pcapng', False)", "capture='/tmp/x.pcapng'"),
    "a way out of the folder": ("requests.OpenFile('/tmp/../etc/cron.d/x.pcapng', False)", "evidence='/tmp'"),
    "another name in the folder": ("requests.OpenFile('/tmp/authorized_keys', False)", "evidence='/tmp'"),
    "to remove what it did not make": ("requests.RemoveFile('/tmp/x.pcapng')", "capture='/tmp/x.pcapng'"),
    "to make a folder": ("requests.MakeFolder('/tmp/whyreset-x')", "evidence='/tmp/whyreset-y'"),
    "to put something elsewhere": ("requests.Put('/tmp/y'), os.open('/dev/null', 0)", "state='/tmp/x'"),
    "to put nothing": ("requests.Put('/tmp/x')", "state='/tmp/x'"),
}


@pytest.mark.parametrize(("request_", "grants"), REFUSED.values(), ids=list(REFUSED))
def test_what_was_not_granted_is_refused(request_: str, grants: str) -> None:
    """With a sentence, and the keeper goes on."""
    said = worker(f"tell(why=refused({request_}), alive=alive())", grants)
    assert said["why"].startswith("not granted: "), said
    assert said["alive"]


def test_there_are_as_many_packet_sockets_as_were_granted() -> None:
    """And one place to be asked at, and one program beside."""
    said = worker(
        """
first = hands.open_packets(Shape())
tell(second=refused(requests.OpenPackets(Shape())))
listener = hands.listen(os.getpid())
tell(listening=listener is not None, again=refused(requests.Listen()))
""",
        "packets=1",
    )
    assert said["second"] == "not granted: another packet socket"
    assert said["listening"]
    assert said["again"].startswith("not granted")


def test_a_mapped_ring_is_read_without_its_socket() -> None:
    """By which a worker could send what it likes, and let pass what it likes."""
    said = worker(
        """
packets, listing = Packets(opener=hands.open_packets), Listing(100)
packets.start()
left = packets.inode in (os.fstat(each).st_ino for each in range(3, 100) if is_open(each))
end = time.monotonic() + 10
while time.monotonic() < end and not listing.frames:
    with socket.socket() as probe:
        probe.connect_ex(('127.0.0.1', 9))
    time.sleep(0.02)
    packets.drain([listing])
tell(left=left, frames=len(listing.frames), lost=packets.count_dropped(), name=packets.interface(1, 1 << 40))
packets.close()
""",
        "packets=1",
    )
    assert not said["left"]
    assert said["frames"] > 0
    assert (said["lost"], said["name"]) == (0, "lo")


def test_descriptors_that_come_unasked_are_closed() -> None:
    """Nobody can fill its table."""
    said = worker("""
for _ in range(300):
    refused(requests.Look(os.getpid()), os.open('/dev/null', 0))
tell(slots=int(keeper_has('FDSize')), alive=alive())
""")
    assert said["slots"] <= 64
    assert said["alive"]


def test_a_flood_of_requests_fills_nothing() -> None:
    """Who does not read the answers waits; the keeper holds one at a time, and ends with whoever sent them."""
    said = worker("""
before = int(keeper_has('VmRSS'))
hands._line._end.setblocking(False)
data, sent = requests.encode(requests.Look(os.getpid())), 0
quiet = time.monotonic() + 1
while time.monotonic() < quiet:
    try:
        hands._line._end.send(data)
        sent += 1
    except BlockingIOError:
        time.sleep(0.001)
tell(sent=sent, grown=int(keeper_has('VmRSS')) - before, keeper=hands._keeper)
""")
    assert said["sent"] < 5000
    assert said["grown"] < 2048
    await_true(lambda: not Path(f"/proc/{said['keeper']}").exists(), "the end of the keeper")


def test_a_long_answer_comes_in_a_file() -> None:
    """What does not fit a packet is read from a descriptor."""
    script = """
import os
from whyreset.owners import namespaces
namespaces.on_disk = lambda: {number: "x" * 100 for number in range(8192)}
"""
    said = worker(
        "tell(names=len(hands.namespace_names()), open=len(os.listdir('/proc/self/fd')))\n"
        "hands.namespace_names()\ntell(later=len(os.listdir('/proc/self/fd')))",
        before=script,
    )
    assert said["names"] == 8192
    assert said["open"] == said["later"]


def test_processes_are_seen_where_proc_is_hidden_from_others() -> None:
    """With hidepid, as some hosts mount it, the worker sees nobody; its keeper does."""
    hide = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.unshare(0x20000) and not libc.mount(b"none", b"/", None, 0x44000, None)
assert not libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=2"), ctypes.get_errno()
"""
    said = worker(
        """
tell(seen=os.path.exists(f'/proc/{os.getppid()}'), comm=hands.stat(os.getppid()).comm, nobody=hands.stat(1 << 22))
""",
        before=hide,
    )
    assert said == {"seen": False, "comm": Path("/proc/self/comm").read_text().strip(), "nobody": None}


@pytest.mark.parametrize(
    ("grants", "kept"),
    [
        ("", {CAP_SYS_PTRACE}),
        ("looking=True", {CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH}),
        ("loading=ALL", {CAP_SYS_PTRACE}),
        ("packets=1", {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_NET_RAW}),
        ("evidence='/nowhere'", {CAP_SYS_PTRACE, CAP_CHOWN, CAP_DAC_OVERRIDE}),
    ],
)
def test_it_keeps_no_right_that_it_does_not_need(grants: str, kept: set[int]) -> None:
    """What is only to load the program is gone when it is loaded; nothing can be gained."""
    said = worker(
        "tell(**{name: keeper_has(name) for name in ('CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'NoNewPrivs')})", grants
    )
    mask = sum(1 << number for number in kept)
    assert [int(said[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")] == [mask] * 3 + [0]
    assert said["NoNewPrivs"] == "1"


def test_namespaces_are_entered_only_where_some_were_granted() -> None:
    """That is what CAP_SYS_ADMIN is kept for."""
    assert CAP_SYS_ADMIN not in needed(Grants(loading=ALL, packets=1, evidence="x", state="y"))
    assert CAP_SYS_ADMIN in needed(Grants(packets=1, netns=("blue",)))
    assert CAP_SYS_ADMIN in needed(Grants(looking=True))


def test_who_holds_a_raw_socket_is_told_though_it_is_another_user_s() -> None:
    """In another namespace too, which takes both rights that looking needs."""
    hold = (
        "import os, socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 6);"
        "os.setuid(4242); print(flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with Host("a") as host, host.start(sys.executable, "-c", hold, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            said = worker(f"tell(who=hands.raw_senders({host.inode}))", "looking=True")
        finally:
            process.kill()
    assert len(said["who"]) == 1
    assert f"[{process.pid}]" in said["who"][0]


HOLD = """
import os, sys
from whyreset.privileges.grants import Grants
from whyreset.privileges.split import split
with split(Grants()) as hands:
    hands.settle()
    hands.look(1)
    print(hands._keeper, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_worker(number: signal.Signals) -> None:
    """However that ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        keeper = int(process.stdout.readline())
        assert os.readlink(f"/proc/{keeper}/fd/2") == os.devnull
        process.send_signal(number)
        process.wait(10)
        await_true(lambda: not Path(f"/proc/{keeper}").exists(), "the end of the keeper")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP])
def test_signals_that_both_get_are_for_the_worker(number: signal.Signals) -> None:
    """A terminal or a service manager sends them to all; the keeper ends after its worker, not before."""
    said = worker("tell(keeper=hands._keeper)\nsys.stdin.readline()\ntell(alive=alive())", at_keeper=number)
    assert said["alive"]


def test_namespaces_are_looked_into_only_where_that_was_granted() -> None:
    """Queues of listeners and raw sockets are shown to a watch, and to nobody else."""
    requested = (requests.LookInto(()), requests.RawSenders(0))
    for request in requested:
        with pytest.raises(NotGrantedError):
            Keeper(Grants(), os.getpid(), None).do(request, ())
    granted = Keeper(Grants(looking=True), os.getpid(), None)
    assert [granted.do(request, ()).value for request in requested] == [(), ()]


def test_a_namespace_is_held_until_it_is_let_go() -> None:
    """By a path that leads to no other; after that it leads nowhere, though its number may be used again."""
    with Host("held") as host, host.start("sleep", "60") as inhabitant:
        keeper = Keeper(Grants(packets=1, netns=(str(host.inode),)), os.getpid(), None)
        given = keeper.do(requests.Namespaces(), ()).value[host.inode]  # type: ignore[index]
        held = keeper.do(requests.Hold(given), ()).value
        assert isinstance(held, str)
        assert os.stat(held).st_ino == host.inode
        assert keeper.do(requests.IsUsed(held), ()).value
        keeper.do(requests.Translated(held, False, bytes(36)), ())
        inhabitant.kill()
        inhabitant.wait()
        assert not keeper.do(requests.IsUsed(held), ()).value
        keeper.do(requests.LetGo(held), ())
        for request in (requests.IsUsed(held), requests.Translated(held, False, bytes(36)), requests.LetGo(held)):
            with pytest.raises(NotGrantedError):
                keeper.do(request, ())
        assert not os.path.exists(held) or os.stat(held).st_ino != host.inode
        keeper.close()
