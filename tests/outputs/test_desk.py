"""Where a watch answers: nobody waits for anybody, nobody is believed whose uid is another, all is bounded."""

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests import needs
from whyreset.model import Process
from whyreset.outputs import desk
from whyreset.outputs.desk import Asked, Desk, Replies
from whyreset.questions import PROTOCOL, Answer, Question

NOBODY = 65534
QUESTION = Question(port=8080)


def answer(question: Question, most: int) -> Answer:
    """Says which port was asked for, in the place of its pid."""
    return Answer(pid=question.port, since_ns=1, epoch_ns=2)


def walk() -> int:
    """Something to read."""
    return os.open("/proc/self/comm", os.O_RDONLY)


@contextmanager
def opened(say: Callable[[Question, int], Answer] = answer) -> Iterator[Desk]:
    """A desk that is served ten times as often as a watch's."""
    served, done = Desk(), threading.Event()

    def serve() -> None:
        now_ns = 0
        while not done.wait(0.01):
            served.serve(now_ns, say, walk)
            now_ns += 10_000_000

    served.open()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield served
    finally:
        done.set()
        thread.join()
        served.close()


def names() -> set[str]:
    """What this process has taken of abstract names."""
    mark = f"@whyreset.watch.{os.getpid()}."
    return {line.rpartition(" ")[2] for line in Path("/proc/net/unix").read_text().splitlines() if mark in line}


def ours(replies: Replies) -> list[Answer]:
    """Other watches may run on this machine: those of ours."""
    return [each for each in replies.answers if each.pid == QUESTION.port]


def connect(name: str) -> socket.socket:
    """Somebody who asks by hand."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(5)
    peer.connect("\0" + name.removeprefix("@"))
    return peer


def test_who_asks_is_answered() -> None:
    """One question, one answer, from each watch that runs."""
    with opened(), opened(), Asked(QUESTION) as asked:
        assert len(ours(asked.replies(5))) == 2


def test_nothing_is_left_behind() -> None:
    """A desk that is closed, twice if need be, has no name any more."""
    with opened() as served:
        assert len(names()) == 1
    assert names() == set()
    served.close()
    served.serve(0, answer, walk)


def test_a_watch_that_was_killed_is_nowhere() -> None:
    """The kernel takes the name away, however the process ended."""
    script = "from whyreset.outputs.desk import Desk; d = Desk(); d.open(); print(flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        mark = f"@whyreset.watch.{process.pid}."
        assert mark in Path("/proc/net/unix").read_text()
        process.kill()
        process.wait()
        assert mark not in Path("/proc/net/unix").read_text()


def test_one_that_does_not_answer_is_not_waited_for() -> None:
    """A watch that is stopped costs the time that was given, and is told as silent."""
    silent = Desk()
    silent.open()
    with contextlib.closing(silent), Asked(QUESTION) as asked:
        replies = asked.replies(0.05)
    assert ours(replies) == []
    assert replies.silent >= 1


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"\xff" * 100,
        b"[" * desk.QUESTION_BYTES_MAX,
        b'{"port":70000}',
        b'{"port":-1}',
        b'{"pid":"x"}',
        b'{"address":"' + b"a" * 100 + b'"}',
        b'{"port":1,"protocol":%d}' % (PROTOCOL + 1),
        b'{"port":1}' + b" " * desk.QUESTION_BYTES_MAX,
    ],
)
def test_a_question_that_is_none_is_not_answered(asked: bytes) -> None:
    """Whatever is sent, the watch goes on and the connection ends."""
    with opened():
        with connect(*names()) as peer:
            peer.send(asked)
            assert peer.recv(100) == b""
        with Asked(QUESTION) as again:
            assert len(ours(again.replies(5))) == 1


def test_who_connects_and_says_nothing_is_shown_out() -> None:
    """After a second by the watch's clock; meanwhile others are served."""
    served = Desk()
    served.open()
    try:
        with connect(*names()) as peer:
            peer.setblocking(False)
            for now_ns in (0, 500_000_000):
                served.serve(now_ns, answer, walk)
                with pytest.raises(BlockingIOError):
                    peer.recv(1)
            served.serve(1_500_000_000, answer, walk)
            assert peer.recv(1) == b""
    finally:
        served.close()


def test_those_who_wait_are_few() -> None:
    """A crowd that says nothing takes a bounded number of descriptors; the rest are sent away at once."""
    served = Desk()
    served.open()
    peers = []
    try:
        for _ in range(desk.ASKERS_MAX + 5):
            peers.append(connect(*names()))
            peers[-1].setblocking(False)
        served.serve(0, answer, walk)
        gone = 0
        for peer in peers:
            with contextlib.suppress(BlockingIOError):
                gone += peer.recv(1) == b""
        assert gone == 5
    finally:
        for peer in peers:
            peer.close()
        served.close()


def test_an_answer_is_cut_to_what_a_packet_holds() -> None:
    """Fewer entries of each kind are asked for until it fits."""

    def long(question: Question, most: int) -> Answer:
        processes = tuple(Process(pid=1, comm="x" * 4000) for _ in range(most))
        return Answer(pid=question.port, since_ns=1, epoch_ns=2, processes=processes)

    with opened(long), Asked(QUESTION) as asked:
        (said,) = ours(asked.replies(5))
    assert len(said.processes) == 4
    assert len(msgspec.json.encode(said)) < desk.ANSWER_BYTES_MAX


def test_an_asker_that_does_not_read_holds_nobody_up() -> None:
    """Its answer is lost; the next is served."""
    with opened():
        with connect(*names()) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            peer.send(msgspec.json.encode(QUESTION))
        with Asked(QUESTION) as again:
            assert len(ours(again.replies(5))) == 1


def as_nobody(script: str, *words: str) -> subprocess.Popen[str]:
    """A process of another user, in this namespace; it needs nothing but Python's own library."""
    program = f"import os, socket, struct, sys\nos.setgid({NOBODY}); os.setuid({NOBODY})\n{script}"
    pipe = subprocess.PIPE
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    return subprocess.Popen([python, "-c", program, *words], stdin=pipe, stdout=pipe, text=True)


SQUATTER = """
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("\\0whyreset.watch." + sys.argv[1] + ".00000000")
s.listen(8)
print("ready", flush=True)
peer, _ = s.accept()
print(len(peer.recv(1000)), flush=True)
peer.send(b'{"protocol":1,"pid":8080,"since_ns":0,"epoch_ns":0}')
"""


def test_another_users_watch_is_neither_asked_nor_believed() -> None:
    """A name is anybody's to take: whoever squats on it hears no question, and its answer is not taken."""
    needs.root()
    with as_nobody(SQUATTER, "1") as squatter:
        assert squatter.stdout
        assert squatter.stdout.readline() == "ready\n"
        with Asked(QUESTION) as asked:
            replies = asked.replies(0.2)
        assert squatter.stdout.readline() == "0\n"
    assert ours(replies) == []
    assert replies.strangers >= 1


def test_another_user_is_not_answered() -> None:
    """What a root's watch knows is not for everybody."""
    needs.root()
    script = """
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("\\0" + sys.argv[1])
try:
    s.send(b'{"port":8080}')
    print(len(s.recv(1000)), flush=True)
except OSError:
    print(0, flush=True)
"""
    with opened(), as_nobody(script, next(iter(names())).removeprefix("@")) as stranger:
        assert stranger.stdout
        assert stranger.stdout.readline() == "0\n"


@pytest.mark.parametrize(
    "said", [b"", b"{", b"[]", b'{"pid":"x"}', b'{"protocol":99,"pid":1,"since_ns":1,"epoch_ns":1}']
)
def test_an_answer_that_is_none_is_silence(said: bytes) -> None:
    """A watch of another version, or none at all, has not answered."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0whyreset.watch.{os.getpid()}.0123abcd")
        listener.listen(1)
        with Asked(QUESTION) as asked:
            peer, _ = listener.accept()
            with peer:
                peer.recv(desk.QUESTION_BYTES_MAX)
                peer.send(said)
                replies = asked.replies(0.2)
    assert ours(replies) == []
    assert replies.silent + replies.strangers >= 1


def test_names_that_are_not_quite_ours_are_passed_over(tmp_path: Path) -> None:
    """Only a whole name of ours is asked, from a table that may hold anything."""
    table = tmp_path / "unix"
    table.write_bytes(
        b"Num       RefCount Protocol Flags    Type St Inode Path\n"
        b"0: 00000002 00000000 00010000 0005 01 1 @whyreset.watch.1.xyz\n"
        b"0: 00000002 00000000 00010000 0005 01 1 /tmp/@whyreset.watch.1.00000000x\n"
        b"0: 00000002 00000000 00010000 0005 01 1 @whyreset.watch.123456789012.00000000\n" + b"\xff\0\n" * 100
    )
    with Asked(QUESTION, str(table)) as asked:
        assert asked.replies(0.01) == Replies((), 0, 0)
    with Asked(QUESTION, str(tmp_path / "none")) as asked:
        assert asked.replies(0.01) == Replies((), 0, 0)


def test_credentials_are_read_as_the_kernel_writes_them() -> None:
    """struct ucred: pid, uid, gid."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        credentials = left.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert struct.unpack("=iII", credentials) == (os.getpid(), os.geteuid(), os.getegid())
        assert desk._uid(left) == os.geteuid()


def test_the_walk_is_handed_over_with_the_answer() -> None:
    """Whoever knows its records reads it; each answer's descriptor is closed otherwise."""
    before = len(os.listdir("/proc/self/fd"))

    def with_walk(question: Question, most: int) -> Answer:
        return Answer(pid=question.port, since_ns=1, epoch_ns=2, walk_bytes=-7)

    with opened(with_walk):
        with Asked(QUESTION) as asked:
            replies = asked.replies(5, -7)
        assert replies.walk is not None
        assert os.read(replies.walk, 100) == Path("/proc/self/comm").read_bytes()
        os.close(replies.walk)
        with Asked(QUESTION) as asked:
            assert asked.replies(5, -8).walk is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_watch_whose_walk_fails_answers_all_the_same() -> None:
    """The asker walks by itself then."""

    def fails() -> int:
        raise OSError("no descriptor is left")

    served = Desk()
    served.open()
    try:
        with connect(*names()) as peer:
            peer.send(msgspec.json.encode(QUESTION))
            served.serve(0, answer, fails)
            assert msgspec.json.decode(peer.recv(1000), type=Answer).pid == QUESTION.port
    finally:
        served.close()


def test_there_is_something_to_wait_for() -> None:
    """A question makes the desk's descriptor readable, so that a watch need not wait for its tick, nor look in vain."""
    served = Desk()
    assert not select.select([served], [], [], 0)[0]
    served.open()
    assert not select.select([served], [], [], 0)[0]
    with connect(*names()) as peer:
        assert select.select([served], [], [], 5)[0]
        assert not served.busy()
        served.serve(0, answer, walk)
        assert served.busy()
        assert not select.select([served], [], [], 0)[0]
        peer.send(msgspec.json.encode(QUESTION))
        assert select.select([served], [], [], 5)[0]
        served.serve(0, answer, walk)
        assert peer.recv(1000)
        assert not served.busy()
    served.close()
    assert served.fileno() == -1


def test_who_meets_a_full_queue_waits_for_its_turn() -> None:
    """Somebody who fills the watch's queue does not keep others from being answered."""
    crowd: list[socket.socket] = []
    served, done = Desk(), threading.Event()
    served.open()
    try:
        with contextlib.suppress(BlockingIOError):
            while len(crowd) < 1000:
                peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                crowd.append(peer)
                peer.setblocking(False)
                peer.connect("\0" + next(iter(names())).removeprefix("@"))

        def serve() -> None:
            now_ns = 0
            while not done.wait(0.01):
                served.serve(now_ns, answer, walk)
                now_ns += 200_000_000

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            answered: list[Answer] = []
            for _ in range(20):  # while the crowd is shown out
                with Asked(QUESTION) as asked:
                    answered += ours(asked.replies(0.5))
                if answered:
                    break
        finally:
            done.set()
            thread.join()
        assert len(crowd) < 1000
        assert answered
    finally:
        for peer in crowd:
            peer.close()
        served.close()
