"""Sockets that were open before watching began, among few processes and among ten thousand."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.cli.whyreset import run
from tests.hosts import Connection, Watch
from tests.hosts.cases import Stage
from tests.hosts.cases.model import Version
from tests.hosts.crowd import crowd
from tests.live.people import closer, only, owner

PORT = 8080
MANY = 10_000
MEMORY_KIB = 8 << 20  # what a machine should have for that many processes


def test_a_listener_from_before_is_known(stage: Stage) -> None:
    """It is killed as soon as watching has begun: closed ports name it, and how it ended."""
    victim = stage.actor(stage.b, "from-before")
    stage.listen(PORT, actor=victim)
    with Watch() as watch:
        victim.kill()
        stage.refused(PORT)
        line = only(watch.settle(stage.b))
        assert (line["cause"], owner(line)) == ("closed-port", (victim.pid, "former listener"))
        assert (line["owner"]["comm"], line["owner"]["exit"]) == ("from-before", "killed by SIGKILL")
        assert any("listened there before: killed by SIGKILL" in sentence for sentence in line["evidence"]), line[
            "evidence"
        ]


def test_an_accepted_connection_from_before_is_its_holders(stage: Stage) -> None:
    """Who held it when watching began owns the reset that it receives, and the one that it sends."""
    listener = stage.listen(PORT)
    with stage.server.fork("worker") as child:
        shared = Connection(child, listener.number)
        leaving = stage.connect(PORT)
        shared.accept()
        stage.connect(PORT)
        closing = shared.accept()
        with Watch() as watch:
            leaving.linger(0)
            leaving.close()
            closing.linger(0)
            closing.close()
            told = {line["direction"]: line for line in watch.settle(stage.b)}
            assert owner(told["received"]) == owner(told["sent"]) == (child.pid, "open file")
            assert closer(told["sent"]) == child.pid


def test_a_connection_that_was_opened_before_is_its_openers(stage: Stage) -> None:
    """The client's end: its process is killed with data unread, and named with its end."""
    client = stage.actor(stage.a, "client-before")
    listener = stage.listen(PORT)
    connection = client.connect(stage.address_b, PORT)
    accepted = listener.accept()
    accepted.send(b"unread")
    connection.await_unread(6)
    with Watch() as watch:
        client.kill()
        line = only(watch.settle(stage.a))
        assert (line["cause"], owner(line), closer(line)) == ("unread-data", (client.pid, "open file"), client.pid)
        assert (line["owner"]["command"][-1], line["owner"]["exit"]) == ("client-before", "killed by SIGKILL")


@pytest.mark.parametrize("version", [4, 6])
def test_who_opened_a_connection_from_before_is_known(machine: None, version: Version) -> None:
    """The port that both ends name is the service's, never the client's of the moment; also with a backlog of 0."""
    with Stage(version) as stage:
        listener = stage.listen(PORT, backlog=0)
        connection = stage.connect(PORT)
        listener.accept().send(b"unread")
        connection.await_unread(6)
        with Watch() as watch:
            stage.client.kill()
            only(watch.settle(stage.a))
            only(watch.settle(stage.b))
            told = json.loads(run("who", str(PORT), "--json").stdout)
        hosts = {stage.a.cookie: "sent", stage.b.cookie: "received"}
        ports = {each["direction"]: each["port"] for each in told["resets"] if each["netns_cookie"] in hosts}
        assert ports == {"sent": PORT, "received": PORT}


def test_a_silent_end_of_a_process_from_before_is_known(stage: Stage) -> None:
    """It ends with a FIN before it was ever asked about; late data find its connection closed, and name it in full."""
    client = stage.actor(stage.a, "client-before")
    listener = stage.listen(PORT)
    client.connect(stage.address_b, PORT)
    accepted = listener.accept()
    with Watch() as watch:
        client.exit(3)
        accepted.await_state("CLOSE_WAIT")
        accepted.send(b"late")
        line = only(watch.settle(stage.a))
        assert (line["cause"], owner(line)) == ("data-after-close", (client.pid, "open file"))
        assert (line["owner"]["command"][-1], line["owner"]["exit"]) == ("client-before", "exited with status 3")


def test_ten_thousand_processes_hide_nobody(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The start line comes while they sleep, and owners are found among them, from before and by their open files."""
    total = int(Path("/proc/meminfo").read_text().split()[1])
    if total < MEMORY_KIB:
        pytest.skip(f"this machine lacks memory for {MANY} processes: it has {total >> 10} MiB")
    listener = stage.listen(PORT)
    before = stage.connect(PORT)
    listener.accept()
    with Watch() as watch:
        alone = start_cost(watch)
    with crowd(MANY), Watch() as watch:
        among_many = start_cost(watch)
        with stage.server.fork("worker") as child:
            client = stage.connect(PORT)
            Connection(child, listener.number).accept()
            client.linger(0)
            client.close()
            assert owner(only(watch.settle(stage.b))) == (child.pid, "open file")
        before.linger(0)
        before.close()
        assert owner(watch.settle(stage.b)[-1]) == (stage.server.pid, "open file")
    with capsys.disabled():
        print(f"\nstart line of watch: {alone}; among {MANY} processes: {among_many}")


def start_cost(watch: Watch) -> str:
    """Time and CPU from the start of the command to its first line."""
    began = int(Path(f"/proc/{watch.process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")
    cpu_seconds = int(Path(f"/proc/{watch.process.pid}/schedstat").read_text().split()[0]) / 1e9
    return f"{seconds:.2f} s, {cpu_seconds:.3f} s of CPU"
