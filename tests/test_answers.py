"""What a watch answers from its memory: lives, processes, resets; bounded, and what was left out is counted."""

from tests.outputs.values import owner, reset
from whyreset.answers import Answerer
from whyreset.model import Listener, ListenerEnd, Process, ProcessEnd
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes
from whyreset.owners.recent import Recents
from whyreset.owners.sockets import Owners
from whyreset.questions import Answer, Question

#: A pid beyond the kernel's limit is nobody's.
FIRST = 1 << 22
PORT = 8080


def listener(number: int, **fields: object) -> Listener:
    """A process listens; each at another socket."""
    about: dict[str, object] = {"netns_cookie": 3, "netns": 7, "port": PORT, "address": "0.0.0.0", "family": 2}
    about |= {"ipv6_only": False, "socket_cookie": number, "owner": (FIRST + number, 10), "since_ns": number}
    return Listener(**{**about, **fields})  # type: ignore[arg-type]


def answerer(*, listeners: int, ended: int = 0) -> Answerer:
    """A watch that saw so many listen, of which the first so many were killed, each with one reset."""
    owners, recents = Owners(Processes(), Lives()), Recents()
    for number in range(1, listeners + 1):
        key = (FIRST + number, 10)
        owners.learn([Process(pid=key[0], start_ns=key[1], comm=f"p{number}"), listener(number)])
        if number <= ended:
            about = {"exit_code": 9, "out_of_memory": False, "time_ns": 1000 + number}
            owners.learn([ListenerEnd(netns_cookie=3, socket_cookie=number, closer=key, **about)])  # type: ignore[arg-type]
            owners.learn([ProcessEnd(pid=key[0], start_ns=key[1], **about)])  # type: ignore[arg-type]
        recents.add([reset(owner=owner(pid=key[0]), last_ns=number)])
    return Answerer(owners, recents, lambda inode: f"netns{inode}", since_ns=5)


def ask(question: Question, most: int = 64, **counts: int) -> Answer:
    """What is said."""
    return answerer(**counts).answer(question, most, now_ns=5000, epoch_ns=6)


def test_those_that_listen_come_first_then_the_latest_that_ended() -> None:
    """Lives of a port, whose times are the kernel's."""
    said = ask(Question(port=PORT), listeners=4, ended=3)
    assert [life.listener.socket_cookie for life in said.lives] == [4, 3, 2, 1]
    assert [life.listener.until_ns for life in said.lives] == [0, 1003, 1002, 1001]
    assert [life.owner.process.comm for life in said.lives] == ["p4", "p3", "p2", "p1"]
    assert [life.netns_name for life in said.lives] == ["netns7", "", "", ""]
    assert (said.since_ns, said.epoch_ns, said.left_out) == (5, 6, 0)


def test_resets_come_latest_first() -> None:
    """With their count and their owner."""
    said = ask(Question(port=PORT), listeners=3)
    assert [recent.last_ns for recent in said.resets] == [3, 2, 1]
    assert said.resets[0].owner


def test_a_process_is_found_by_its_number() -> None:
    """Its lives and resets, and what is known of itself, dead too."""
    said = ask(Question(pid=FIRST + 1), listeners=3, ended=1)
    assert [(process.comm, process.exit_code) for process in said.processes] == [("p1", 9)]
    assert [life.listener.socket_cookie for life in said.lives] == [1]
    assert len(said.resets) == 1


def test_what_has_no_room_is_counted() -> None:
    """So many of each kind, and how many more there were."""
    said = ask(Question(port=PORT), 2, listeners=8, ended=5)
    assert [life.listener.socket_cookie for life in said.lives] == [6, 7, 5, 4]
    assert (len(said.resets), said.left_out) == (2, (3 - 2) + (5 - 2) + (8 - 2))


def test_of_what_was_never_seen_nothing_is_said() -> None:
    """Neither a port nor a process is made up."""
    said = ask(Question(port=81, pid=FIRST), listeners=2)
    assert (said.lives, said.processes, said.resets) == ((), (), ())
