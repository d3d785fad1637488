"""`whyreset who` on real hosts: who listens, who did, how that ended; with a watch, without one, and without rights."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import jsonschema

from tests.cli.test_missing import as_nobody
from tests.cli.whyreset import run
from tests.hosts import Host, Pair, Watch
from tests.hosts.cases import Stage
from tests.live.people import only
from whyreset.outputs import lines

Line = dict[str, Any]
PORT = 8080
REUSEPORT = 15  # SO_REUSEPORT; include/uapi/asm-generic/socket.h
VALIDATOR = jsonschema.Draft202012Validator(lines.schema())
#: Names of Unix sockets end at the network namespace: there no watch can be asked.
ALONE = ("unshare", "--net")


def who(*words: str, before: Sequence[str] = (), code: int = 0) -> Line:
    """The answer; it is in the schema."""
    ended = run("who", "--json", *words, before=before)
    assert (ended.returncode, ended.stderr) == (code, "")
    line: Line = json.loads(ended.stdout)
    VALIDATOR.validate(line)
    assert line["known"] == (code == 0)
    return line


def there(line: Line, key: str, host: Host) -> list[Line]:
    """What a list of the answer says of a host; other things on the machine may use the same port."""
    return [each for each in line.get(key, []) if each["netns_cookie"] == host.cookie]


def missing(line: Line) -> set[str]:
    """The sources that are told as missing."""
    return {each["source"] for each in line.get("missing", [])}


# ---- with a watch ----


def test_a_listener_is_named_with_its_beginning(watch: Watch, stage: Stage) -> None:
    """Its owner, since when, how full its queue is; both ends of its connection."""
    stage.listen(PORT)
    client = stage.client.connect(stage.address_b, PORT)
    stage.b.await_states(PORT, "ESTABLISHED")
    watch.settle(stage.b)
    line = who(str(PORT))
    listener = only(there(line, "listeners", stage.b))
    assert (listener["owner"]["pid"], listener["owner"]["via"]) == (stage.server.pid, "listener")
    assert listener["since"] > line["watched_since"]
    assert listener["queue"] == {"waiting": 1, "limit": 16}
    waiting, peer = only(there(line, "connections", stage.b)), only(there(line, "connections", stage.a))
    assert (waiting["held"], "owner" in waiting, waiting["remote_port"]) == (False, False, client.port)
    assert (peer["outgoing"], peer["owner"]["pid"], peer["remote_port"]) == (True, stage.client.pid, PORT)
    assert missing(line) == set()


def test_a_dead_listener_is_named_with_its_end_and_the_resets_since(watch: Watch, stage: Stage) -> None:
    """What lsof cannot tell: nobody listens, who did, how that ended, what came of it."""
    former = stage.actor(stage.b, "former")
    stage.listen(PORT, actor=former)
    former.crash()
    for _ in range(3):
        stage.refused(PORT)
    watch.settle(stage.b)
    for asked in (str(PORT), f"{stage.address_b}:{PORT}"):
        line = who(asked)
        assert there(line, "listeners", stage.b) == []
        before = only(there(line, "former", stage.b))
        assert (before["owner"]["pid"], before["owner"]["alive"], before["end"]) == (
            former.pid,
            False,
            "killed by SIGSEGV",
        )
        reset = only([each for each in there(line, "resets", stage.b) if each["direction"] == "sent"])
        assert (reset["count"], reset["cause"], reset["owner"]["pid"]) == (3, "closed-port", former.pid)
        assert before["until"] <= reset["first"] <= reset["last"]


def test_a_dead_process_is_known_by_its_number(watch: Watch, stage: Stage) -> None:
    """Its end, its ports, its resets."""
    former = stage.actor(stage.b, "former")
    stage.listen(PORT, actor=former)
    former.exit(7)
    stage.refused(PORT)
    watch.settle(stage.b)
    line = who("--pid", str(former.pid))
    assert only(line["processes"])["exit"] == "exited with status 7"
    assert only(line["former"])["port"] == PORT
    assert only(line["resets"])["count"] == 1
    assert f"[{former.pid}] is gone: exited with status 7" in line["text"]


def test_the_last_holder_is_told_beside_the_owner(watch: Watch, stage: Stage) -> None:
    """A child kept the socket open longer than the process that listened."""
    parent = stage.actor(stage.b, "parent")
    stage.listen(PORT, actor=parent)
    with parent.fork("child") as child:
        line = who(str(PORT))
        listener = only(there(line, "listeners", stage.b))
        assert (listener["owner"]["pid"], listener["holders"]) == (parent.pid, 1)
        parent.kill()
        listener = only(there(who(str(PORT)), "listeners", stage.b))
        assert (listener["owner"]["pid"], listener.get("holders", 0)) == (child.pid, 0)
        child.exit(0)
    watch.settle(stage.b)
    before = only(there(who(str(PORT)), "former", stage.b))
    assert (before["owner"]["pid"], before["owner"]["exit"]) == (parent.pid, "killed by SIGKILL")
    assert (before["last"]["pid"], before["end"]) == (child.pid, "exited normally")


def test_all_former_listeners_of_a_port_are_told_the_latest_first(watch: Watch, stage: Stage) -> None:
    """A service that is started again and again leaves a row of lives."""
    pids = []
    for number in range(3):
        actor = stage.actor(stage.b, f"try{number}")
        stage.listen(PORT, actor=actor)
        pids.append(actor.pid)
        actor.exit(number)
    watch.settle(stage.b)
    assert [each["owner"]["pid"] for each in there(who(str(PORT)), "former", stage.b)] == pids[::-1]


def test_a_port_of_which_nothing_is_known(watch: Watch) -> None:
    """Exit code 1, a sentence that says since when nothing was seen, and no guess."""
    line = who(":64123", code=1)
    assert line["text"].startswith(":64123 nobody listens now; nothing is known of it since ")
    assert run("who", ":64123").returncode == 1


def test_a_watch_that_is_stopped_is_not_waited_for_long(machine: None) -> None:
    """It is told as silent, and what the system shows is told all the same."""
    with Pair() as pair, pair.b.inside(), socket.create_server(("127.0.0.1", PORT)), Watch() as stopped:
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            with pair.b.inside():
                line = who(str(PORT))
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        assert only(there(line, "listeners", pair.b))["owner"]["pid"] == os.getpid()
        assert "did not answer" in only([each for each in line["missing"] if each["source"] == "watch"])["why"]


# ---- without a watch ----


def test_without_a_watch_listeners_of_all_namespaces_are_named(pair: Pair) -> None:
    """Also where the namespace has no name and no process in it."""
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("0.0.0.0", PORT))
        listener.listen()
        line = who(str(PORT), before=ALONE)
        assert only(there(line, "listeners", pair.b))["owner"]["pid"] == os.getpid()
    assert missing(line) == {"watch"}


def test_listeners_that_share_a_port_are_told_apart(stage: Stage) -> None:
    """SO_REUSEPORT: each has its owner."""
    pids = set()
    for name in ("one", "two"):
        actor = stage.actor(stage.b, name)
        listener = actor.socket()
        listener.setsockopt(1, REUSEPORT, 1)
        listener.bind(PORT)
        listener.listen()
        pids.add(actor.pid)
    line = who(str(PORT), before=ALONE)
    assert {each["owner"]["pid"] for each in there(line, "listeners", stage.b)} == pids


def test_an_address_is_looked_for_where_it_is(stage: Stage) -> None:
    """A listener on all addresses serves those of its namespace, and no others; the client's port is found too."""
    stage.listen(PORT)
    client = stage.client.connect(stage.address_b, PORT)
    asked = who(f"{stage.address_b}:{PORT}", before=ALONE)
    assert len(there(asked, "listeners", stage.b)) == 1
    other = run("who", "--json", f"192.0.2.77:{PORT}", before=ALONE)
    assert there(json.loads(other.stdout), "listeners", stage.b) == []
    theirs = who(f"{stage.address_a}:{client.port}", before=ALONE)
    assert only(there(theirs, "connections", stage.a))["owner"]["pid"] == stage.client.pid


def test_a_process_is_asked_for_by_its_number(stage: Stage) -> None:
    """Its listeners with their queues, its connections by what they are."""
    stage.listen(PORT)
    stage.listen(PORT + 1)
    stage.client.connect(stage.address_b, PORT)
    line = who("--pid", str(stage.server.pid), before=ALONE)
    assert only(line["processes"])["alive"] is True
    assert {(each["port"], "queue" in each) for each in line["listeners"]} == {(PORT, True), (PORT + 1, True)}
    line = who("--pid", str(stage.client.pid), before=ALONE)
    assert only(line["connections"])["outgoing"] is True


def test_a_number_that_is_no_port_is_a_process(stage: Stage) -> None:
    """Whoever asks for 2214 and means the pid is answered, and told that nobody listens there."""
    stage.listen(PORT)
    pid = stage.server.pid
    line = who(str(pid), before=ALONE)
    assert line["pid"] == pid
    if pid <= 65535:
        assert line["text"].startswith(f":{pid} nobody listens now; "), line["text"]


def test_what_is_left_of_a_service_without_a_watch(stage: Stage) -> None:
    """Connections in TIME-WAIT, of which no process is known; it is not made up."""
    listener = stage.listen(PORT)
    client = stage.client.connect(stage.address_b, PORT)
    listener.accept().close()
    client.close()
    stage.b.await_states(PORT, "TIME_WAIT")
    stage.server.kill()
    with stage.b.inside():
        line = who(str(PORT), before=["unshare", "--uts"])
    left = only(there(line, "connections", stage.b))
    assert (left["states"], left["held"], "owner" in left) == ({"TIME_WAIT": 1}, False, False)


def test_a_socket_that_is_bound_but_does_not_listen_is_shown(stage: Stage) -> None:
    """Which explains a closed port, too."""
    stage.server.socket().bind(PORT)
    line = who(str(PORT), before=ALONE)
    bound = only(there(line, "connections", stage.b))
    assert (bound["states"], bound["owner"]["pid"]) == ({"CLOSE": 1}, stage.server.pid)


def test_ten_thousand_sockets_make_a_short_answer(machine: None) -> None:
    """All are counted, few are shown."""
    count = 5_000
    with Host("a") as host, host.inside(), socket.create_server(("127.0.0.1", PORT), backlog=128) as listener:
        ends = []
        try:
            for _ in range(count):
                ends.append(socket.create_connection(("127.0.0.1", PORT)))
                ends.append(listener.accept()[0])
            ended = run("who", "--json", str(PORT), before=ALONE)
        finally:
            for end in ends:
                end.close()
    line = json.loads(ended.stdout)
    assert sum(each["count"] for each in there(line, "connections", host)) == 2 * count
    assert len(ended.stdout) < 10_000


# ---- without rights ----


def test_another_user_sees_its_own_and_is_told_what_is_missing(machine: None) -> None:
    """Who holds others' sockets, other namespaces, and a watch of root are named as missing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        line = who(f":{port}", before=as_nobody())
    assert "owner" not in only(line["listeners"])
    assert line["text"] == f":{port} an unknown process listens"
    assert missing(line) == {"kernel", "namespaces", "processes", "watch"}


def test_another_user_knows_its_own_processes(machine: None) -> None:
    """What /proc shows of one's own is told without any rights."""
    script = (
        "import socket, sys; from whyreset.cli import main; s = socket.create_server(('127.0.0.1', 0));"
        "sys.argv = ['whyreset', 'who', '--json', f':{s.getsockname()[1]}']; main()"
    )
    ended = subprocess.run([*as_nobody(), sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert ended.returncode == 0
    assert only(json.loads(ended.stdout)["listeners"])["owner"]["comm"].startswith("python")


def test_root_without_bpf_still_names_owners(pair: Pair) -> None:
    """From /proc, of namespaces that a process is in; what is not seen is said."""
    dropped = "-bpf,-perfmon,-sys_admin"
    with pair.b.inside(), socket.create_server(("127.0.0.1", PORT)):
        line = who(str(PORT), before=["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"])
    assert only(there(line, "listeners", pair.b))["owner"]["pid"] == os.getpid()
    assert {"kernel", "namespaces"} <= missing(line)
