"""What an owner is, was and became: dead, another thread, another program or user, and never another with its pid."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hosts import Actor, Host, Watch
from tests.hosts.cases import Stage
from tests.hosts.groups import Groups
from tests.hosts.hosts import await_true
from tests.hosts.pids import process_with_pid
from tests.live.people import closer, only, owner

PORT = 8080
NOBODY = pwd.getpwnam("nobody")
NAMELESS = 61234  # a user without a name
ID = "4f3c" * 16
UID = "2c48913c-b29f-11e7-9350-020968147796"


@contextmanager
def started(host: Host, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A program with a pipe as its input, killed at the end of the block."""
    process = host.start(*command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin
        process.stdin.close()


def comm_of(pid: int) -> str:
    """The name that the kernel shows."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def needs(command: str) -> None:
    """Skip where a command is missing."""
    if not shutil.which(command):
        pytest.skip(f"this machine lacks the command {command}")


def test_curl_killed_in_a_download_is_the_owner_of_its_reset(watch: Watch, stage: Stage) -> None:
    """It is gone before anyone can look: name, command line and how it ended were told by the kernel."""
    needs("curl")
    listener = stage.listen(PORT)
    url = f"http://{stage.address_b}:{PORT}/large"
    with started(stage.a, "curl", "--silent", "--output", "/dev/null", url) as curl:
        connection = listener.accept()
        connection.recv()
        curl.send_signal(signal.SIGSTOP)  # what comes now lies unread
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        connection.fill()
        curl.kill()
        curl.wait()
    line = only(watch.wait_resets(stage.a, 1))
    assert (line["direction"], line["cause"]) == ("sent", "unread-data")
    assert (owner(line), closer(line)) == ((curl.pid, "connect"), curl.pid)
    named = line["owner"]
    assert (named["comm"], Path(named["exe"]).name, named["command"][-1]) == ("curl", "curl", url)
    assert (named["alive"], named["exit"]) == (False, "killed by SIGKILL")
    assert any("was exiting (killed by SIGKILL)" in sentence for sentence in line["evidence"]), line["evidence"]


def test_curl_that_was_refused_is_the_owner_of_what_it_received(watch: Watch, stage: Stage) -> None:
    """It lives some milliseconds only; its command line stays known."""
    needs("curl")
    url = f"http://{stage.address_b}:4444/"
    curl = stage.a.run("curl", "--silent", url, check=False)
    line = only(watch.settle(stage.a))
    assert (line["direction"], line["cause"]) == ("received", "closed-port")
    assert owner(line) == (curl.pid, "connect")
    assert (line["owner"]["comm"], line["owner"]["command"][-1]) == ("curl", url)


def test_a_program_that_was_dead_long_before_is_still_named(watch: Watch, stage: Stage) -> None:
    """Its port is asked for again and again after it is gone."""
    victim = stage.actor(stage.b, "long-dead")
    stage.listen(PORT, actor=victim)
    victim.exit(3)
    for _ in range(3):
        stage.refused(PORT)
    for line in watch.settle(stage.b):
        assert (line["cause"], owner(line)) == ("closed-port", (victim.pid, "former listener"))
        assert (line["owner"]["comm"], line["owner"]["command"][-1]) == ("long-dead", "long-dead")
        assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, "exited with status 3")


def test_another_thread_than_the_leader_is_its_process(watch: Watch, stage: Stage) -> None:
    """A thread with a pid and a name of its own closes: shown are the process's pid and its leader's name."""
    listener = stage.listen(PORT)
    stage.connect(PORT)
    accepted = listener.accept()
    accepted.linger(0)
    accepted.close_in_thread("the-thread")
    line = only(watch.settle(stage.b))
    assert (owner(line), closer(line)) == ((stage.server.pid, "closer"), stage.server.pid)
    assert line["owner"]["comm"] == line["closer"]["comm"] == "server"


def test_exec_under_one_pid_is_followed(watch: Watch, stage: Stage) -> None:
    """A shell opens two connections and becomes another program: each reset names what the pid was by then."""
    needs("bash")
    listener = stage.listen(PORT)
    there = f"/dev/tcp/{stage.address_b}/{PORT}"
    with started(stage.a, "bash", "-c", f"exec 3<>{there} 4<>{there}; read; exec sleep 600") as shell:
        for name, command in (("bash", "-c"), ("sleep", "600")):
            accepted = listener.accept()
            accepted.linger(0)
            accepted.close()
            line = watch.settle(stage.a)[-1]
            assert owner(line) == (shell.pid, "connect")
            assert (line["owner"]["comm"], line["owner"]["command"][1]) == (name, command)
            assert shell.stdin
            if name == "bash":
                shell.stdin.write("\n")
                shell.stdin.flush()
                await_true(lambda: comm_of(shell.pid) == "sleep", "the shell to become sleep")


def test_what_a_program_became_for_a_moment_is_known(watch: Watch, stage: Stage) -> None:
    """A shell becomes a program that ends at once; late data then find a connection of that program's."""
    needs("bash")
    listener = stage.listen(PORT)
    script = f"exec 3<>/dev/tcp/{stage.address_b}/{PORT}; read; exec sleep 0"
    with started(stage.a, "bash", "-c", script) as shell:
        accepted = listener.accept()
        shell.communicate("\n")
        accepted.await_state("CLOSE_WAIT")
        accepted.send(b"late")
        line = only(watch.settle(stage.a))
    assert (line["cause"], owner(line)) == ("data-after-close", (shell.pid, "connect"))
    assert (line["owner"]["comm"], line["owner"]["command"]) == ("sleep", ["sleep", "0"])
    assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, "exited normally")


def test_a_pid_that_is_given_again_never_answers_for_the_dead(watch: Watch, stage: Stage) -> None:
    """Another process has the pid by the time of the reset: the dead one is named, as dead."""
    listener = stage.listen(PORT)
    old = stage.actor(stage.a, "the-old-one")
    client = old.connect(stage.address_b, PORT)
    accepted = listener.accept()
    ticks = os.sysconf("SC_CLK_TCK")
    old.kill()
    accepted.await_state("CLOSE_WAIT")
    # no pid comes round within one clock tick, and /proc tells processes apart by it
    tick = time.clock_gettime(time.CLOCK_BOOTTIME) * ticks // 1
    await_true(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * ticks // 1 > tick, "another clock tick")
    try:
        with process_with_pid(old.pid):
            accepted.send(b"late")
            line = only(watch.settle(stage.a))
    except OSError as error:
        pytest.skip(f"this machine does not let pids be chosen: {error}")
    assert (line["cause"], owner(line)) == ("data-after-close", (old.pid, "connect"))
    assert (line["owner"]["comm"], line["owner"]["command"][-1]) == ("the-old-one", "the-old-one")
    assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, "killed by SIGKILL")
    assert client.number


@pytest.mark.parametrize(("uid", "name"), [(NOBODY.pw_uid, NOBODY.pw_name), (NAMELESS, None)])
def test_the_user_is_the_one_that_the_server_became(watch: Watch, stage: Stage, uid: int, name: str | None) -> None:
    """A server listens as root and gives that up; its resets are that user's, with a name where it has one."""
    listener = stage.listen(PORT)
    stage.server.become(uid)
    stage.connect(PORT)
    accepted = listener.accept()
    accepted.linger(0)
    accepted.close()
    line = only(watch.settle(stage.b))
    assert owner(line) == (stage.server.pid, "closer")
    assert (line["owner"]["uid"], line["owner"].get("user")) == (uid, name)


def test_the_user_of_a_process_that_is_gone_is_the_effective_one(watch: Watch, stage: Stage) -> None:
    """A program run as another user by setpriv, refused and gone."""
    needs("curl")
    words = ("setpriv", "--reuid", str(NOBODY.pw_uid), "--clear-groups", "curl", "--silent")
    stage.a.run(*words, f"http://{stage.address_b}:4444/", check=False)
    line = only(watch.settle(stage.a))
    assert (line["owner"]["comm"], line["owner"]["user"]) == ("curl", NOBODY.pw_name)


TREES = {
    "systemd": ("system.slice/nginx.service", {"unit": "nginx.service"}),
    "systemd, a user's": (
        "user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
        {"unit": "foo.service"},
    ),
    "docker": (f"system.slice/docker-{ID}.scope", {"container": ID}),
    "podman": (f"machine.slice/libpod-{ID}.scope/container", {"container": ID}),
    "kubernetes": (
        "kubepods.slice/kubepods-burstable.slice/"
        f"kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
        {"container": ID, "pod": UID},
    ),
    "lxc": ("lxc.payload.web/system.slice/nginx.service", {"container": "web", "unit": "nginx.service"}),
}
TREES_V1 = {
    "docker": (f"docker/{ID}", {"container": ID}),
    "kubernetes": (f"kubepods/burstable/pod{UID}/{ID}", {"container": ID, "pod": UID}),
}
PLACES = ("unit", "container", "pod")


def placed(watch: Watch, stage: Stage, groups: Groups, path: str, expected: dict[str, str]) -> None:
    """A process in a group opens its socket: its place is told while it lives, and when it and the group are gone."""
    with Actor(stage.b, "contained") as contained:
        groups.enter(contained.pid, path)
        listener = contained.listen(PORT)
        stage.connect(PORT)
        accepted = listener.accept()
        accepted.linger(0)
        accepted.close()
        line = watch.settle(stage.b)[-1]
        assert owner(line) == (contained.pid, "closer")
        assert {key: line["owner"][key] for key in PLACES if key in line["owner"]} == expected
    # another one, which nobody has asked for before it is gone
    with Actor(stage.b, "gone") as gone:
        groups.enter(gone.pid, path)
        gone.listen(PORT)
        gone.kill()
    groups.close()
    stage.refused(PORT)
    line = watch.settle(stage.b)[-1]
    assert owner(line) == (gone.pid, "former listener")
    assert {key: line["owner"][key] for key in PLACES if key in line["owner"]} == expected


@pytest.mark.parametrize(("path", "expected"), TREES.values(), ids=list(TREES))
def test_unit_container_and_pod_follow_from_groups_of_v2(
    watch: Watch, v2: Groups, stage: Stage, path: str, expected: dict[str, str]
) -> None:
    """Real trees like systemd's, Docker's, podman's, Kubernetes' and LXC's, with the socket's owner in them."""
    placed(watch, stage, v2, path, expected)


@pytest.mark.parametrize(("path", "expected"), TREES_V1.values(), ids=list(TREES_V1))
def test_container_and_pod_follow_from_groups_of_v1(
    watch: Watch, v1: Groups, stage: Stage, path: str, expected: dict[str, str]
) -> None:
    """The same in v1's hierarchy of the memory controller, as the runtimes' cgroupfs driver makes it."""
    placed(watch, stage, v1, path, expected)
