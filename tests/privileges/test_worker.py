"""What the process is that sees what others have sent: nobody, without any right."""

import os

import pytest

from tests import needs
from tests.privileges.parted import worker

NOBODY = 65534


@pytest.fixture(autouse=True)
def _root() -> None:
    needs.root()


def test_it_has_no_capability_and_cannot_get_one() -> None:
    """Every set is empty, its user and group are nobody's, there is no other group, and exec gives nothing back."""
    said = worker("tell(status=open('/proc/self/status').read())")
    status = dict(each.split(":\t", 1) for each in said["status"].splitlines() if ":\t" in each)
    assert {int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
    assert status["Groups"].strip() == ""
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(("name", "numbers"), [("daemon", (1, 1)), ("4242", (4242, 4242)), ("4242:17", (4242, 17))])
def test_its_user_can_be_chosen(name: str, numbers: tuple[int, int]) -> None:
    """By name or numbers."""
    assert worker("tell(who=(os.getuid(), os.getgid()))", user=name)["who"] == list(numbers)


TRIES = {
    "become root": "os.setuid(0)",
    "open a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)",
    "open a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 6)",
    "kill its keeper": "os.kill(hands._keeper, 9)",
    "read its keeper's memory": "open(f'/proc/{hands._keeper}/mem', 'rb')",
    "see its keeper's files": "os.listdir(f'/proc/{hands._keeper}/fd')",
    "read what is root's": "open('/etc/shadow')",
    "see another's files": "os.listdir('/proc/1/fd')",
}


@pytest.mark.parametrize("what", TRIES.values(), ids=list(TRIES))
def test_it_may_not(what: str) -> None:
    """What a process without rights may not do."""
    said = worker(f"""
try:
    {what}
    tell(did=True)
except PermissionError:
    tell(did=False)
""")
    assert not said["did"]


def test_it_loads_nothing_into_the_kernel() -> None:
    """With the descriptors of a loaded program in its hands it can still make none of its own, nor attach that one."""
    needs.program()
    said = worker(
        """
held = hands.load(ALL)
library = Library()
program = library.prog_load(1, b'x', b'GPL', bytes.fromhex('b700000000000000 9500000000000000'), 2, None)
kinds = {os.readlink(f'/proc/self/fd/{each}') for each in range(3, 100) if is_open(each)}
tell(program=program, kinds=sorted(each for each in kinds if 'bpf' in each))
""",
        "loading=ALL",
    )
    assert said["program"] < 0
    assert said["kinds"] == ["anon_inode:bpf-map"]


def test_it_reads_what_the_kernel_program_tells() -> None:
    """Rings, tallies, losses, counters and the walk over open files take no rights."""
    needs.program()
    said = worker(
        """
program = Program(load=hands.load)
program.load()
with socket.socket() as probe:
    probe.connect_ex(('127.0.0.1', 9))
time.sleep(0.05)
cookie = struct.unpack('=Q', socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8))[0]
rows = program.walk(extended=True)[3]
tell(pending=program.resets.pending, seen=[list(n) for k, n in program.tallies().items() if k[0] == cookie],
     losses=program.losses(), home=any(row[0] == cookie for row in rows),
     walk=isinstance(program.held_sockets(), bytes))
program.close()
""",
        "loading=ALL",
    )
    assert said["pending"] > 0
    assert all(seen >= 1 for seen, _ in said["seen"])
    assert len(said["seen"]) == 2
    assert said["losses"] == {"namespaces": 0, "lives": 0, "closes": 0, "triggers": 0}
    assert (said["home"], said["walk"]) == (True, True)


def test_it_sees_the_owner_of_a_socket_through_its_keeper() -> None:
    """A process of another user shows its program, which /proc does not tell to anybody."""
    said = worker("""
shown = hands.look(os.getppid())
try:
    own = os.readlink(f'/proc/{os.getppid()}/exe')
except PermissionError:
    own = ''
tell(exe=os.fsdecode(shown.exe), uid=shown.uid, netns=shown.netns, own=own)
""")
    assert said == {
        "exe": os.readlink("/proc/self/exe"),
        "uid": 0,
        "netns": os.stat("/proc/self/ns/net").st_ino,
        "own": "",
    }
