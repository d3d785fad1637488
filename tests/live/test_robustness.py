"""A watch in bad company: signals, broken pipes, full disks, kill -9, a second watch, clocks that differ, floods."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND, is_one_sentence
from tests.hosts import Actor, Host, Pair, Segment, Watch
from tests.hosts.hosts import await_true
from tests.hosts.segments import send
from tests.kernel_objects import held_by_watch, left

Line = dict[str, Any]
CLOSED = 9
MOST_OF_A_PIPE = 60_000  # of 65,536; the last page is not always filled


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


@pytest.fixture
def host() -> Iterator[Host]:
    """A host of our own."""
    with Host("a") as alone:
        yield alone


def knock(host: Host, times: int = 1, port: int = CLOSED) -> None:
    """Ask a closed port on the host's loopback: one reset sent, one received."""
    for _ in range(times):
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))


def flood(host: Host, count: int, port: int = CLOSED) -> None:
    """SYNs from as many addresses to a closed port, as fast as we can: resets sent, none received."""
    host.run("ip", "address", "replace", "198.18.0.1/32", "dev", "lo")
    host.run("ip", "route", "replace", "local", "198.19.0.0/16", "dev", "lo")
    send(
        host,
        *[
            Segment(f"198.19.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000, "198.18.0.1", port, "S")
            for number in range(count)
        ],
    )


@contextmanager
def started(
    *options: str,
    before: Sequence[str] = (),
    out: IO[str] | int = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A watch, killed at the end of the block if it still runs."""
    environment = {**os.environ, **(env or {})}
    argv = ["setpriv", "--pdeathsig", "KILL", *before, *COMMAND, "watch", *options]
    with subprocess.Popen(argv, stdout=out, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    """What it says first: from then on every reset is seen."""
    assert process.stdout
    line = b""
    # byte by byte: what is read ahead here would be missing in what communicate() gives
    while not line.endswith(b"\n") and (byte := os.read(process.stdout.fileno(), 1)):
        line += byte
    assert line, process.stderr.read() if process.stderr else ""
    return line.decode()


def of(host: Host, text: str) -> list[Line]:
    """The lines of JSON about a host."""
    # lines end with \n alone: names of processes may hold other characters that splitlines() takes for ends
    lines: list[Line] = [json.loads(line) for line in text.split("\n") if line]
    return [line for line in lines if line.get("netns_cookie") == host.cookie]


def resets(host: Host, text: str) -> list[Line]:
    """The reset lines about a host."""
    return [line for line in of(host, text) if line["type"] == "reset"]


# ---- how it ends ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_watch_in_order(host: Host, number: signal.Signals) -> None:
    """The last line tells why and the totals, resets of the last moment are in, and nothing stays in the kernel."""
    with started("--json") as process:
        first_line(process)
        ours = held_by_watch(process.pid)
        assert all(ours.values())
        knock(host, 3)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    last = json.loads(out.rstrip("\n").split("\n")[-1])
    assert (process.returncode, err) == (0, "")
    assert (last["type"], last["reason"]) == ("end", number.name)
    assert sum(line["count"] for line in resets(host, out) if line["direction"] == "sent") == 3
    [account] = [line for line in of(host, out) if line["type"] == "count"][-1:]
    assert (account["counted"], account["seen"], account["unseen"]) == (3, 3, 0)
    await_true(lambda: not left(ours), "the kernel to free what the watch held")


def test_plain_lines_end_in_order_too(host: Host) -> None:
    """People get their account."""
    with started() as process:
        assert first_line(process).startswith("whyreset ")
        knock(host)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert f"closed port {CLOSED}, " in out
    assert out.rstrip("\n").split("\n")[-1].startswith("account: ")


def test_two_signals_are_one_end() -> None:
    """An impatient Ctrl-C twice does no harm."""
    with started("--json") as process:
        first_line(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.rstrip("\n").split("\n")[-1])["type"] == "end"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_in_the_middle_of_a_line_cuts_nothing(host: Host, unbuffered: str) -> None:
    """The reader is slow, the pipe is full when the signal comes: every line is written to its end all the same."""
    with started("--json", "--each", env={"PYTHONUNBUFFERED": unbuffered}) as process:
        first_line(process)
        flood(host, 3000)
        assert process.stdout
        await_true(lambda: waiting(process.stdout) > MOST_OF_A_PIPE, "a pipe that is full", timeout=20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert sum(line["count"] for line in resets(host, out)) == 3000


def waiting(pipe: IO[str] | None) -> int:
    """How many bytes are in a pipe."""
    assert pipe
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_duration_ends_the_watch() -> None:
    """After so many seconds it ends by itself, and says that this was why."""
    before = time.monotonic()
    with started("--json", "--duration", "0.5") as process:
        out, err = process.communicate(timeout=20)
    assert time.monotonic() - before >= 0.5
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.rstrip("\n").split("\n")[-1])["reason"] == "duration"


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "plain"])
def test_a_reader_that_leaves_ends_the_watch_in_silence(host: Host, options: list[str]) -> None:
    """`| head -1`: at the next line there is nobody to read it, and nothing to say about that."""
    with started(*options) as process:
        first_line(process)
        assert process.stdout
        process.stdout.close()
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            knock(host)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        assert process.returncode is not None
        assert process.stderr
        assert process.stderr.read() == ""


def test_kill_9_leaves_nothing_in_the_kernel(host: Host) -> None:
    """Programs, maps and links live as long as the process's descriptors, however it ends."""
    with started("--json", "--exact-owners") as process:
        first_line(process)
        knock(host)
        ours = held_by_watch(process.pid)
        assert len(ours["prog"]) >= 5
        assert len(ours["map"]) >= 5
        assert len(ours["link"]) >= 5
        process.kill()
        process.wait(20)
    await_true(lambda: not left(ours), "the kernel to free what the watch held")


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "plain"])
def test_a_full_disk_at_the_start_gets_one_sentence(options: list[str]) -> None:
    """What cannot be written is said, with exit code 1."""
    with open("/dev/full", "w") as full, started(*options, out=full) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert is_one_sentence(err), err
    assert "No space left" in err


def test_a_disk_that_fills_gets_one_sentence(tmp_path: Path, host: Host) -> None:
    """A watch that ran well for a while ends when its file cannot grow, and takes all away."""
    mount = f'mount -t tmpfs -o size=8k none {tmp_path} && exec "$@" >{tmp_path}/out'
    with started("--json", "--each", before=["unshare", "--mount", "sh", "-c", mount, "sh"]) as process:
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            knock(host, 10)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        assert process.stderr
        err = process.stderr.read()
    assert process.returncode == 1
    assert is_one_sentence(err), err
    assert "No space left" in err


# ---- in company ----


def test_two_watches_see_the_same(host: Host) -> None:
    """A second watch takes nothing from the first, and its end ends nothing of it."""
    with Watch() as first:
        with Watch() as second:
            knock(host)
            for watch in (first, second):
                lines = watch.wait_resets(host, 2)
                assert [(line["cause"], line["direction"]) for line in lines] == [
                    ("closed-port", "sent"),
                    ("closed-port", "received"),
                ]
            second.stop()
        knock(host)
        assert len(first.wait_resets(host, 4)) == 4


def test_a_watch_that_was_stopped_for_a_while_counts_what_it_missed(host: Host) -> None:
    """With its ring full the kernel goes on counting: counted is seen and lost, to the last one."""
    with started("--json", "--ring-kib", "16") as process:
        first_line(process)
        process.send_signal(signal.SIGSTOP)
        flood(host, 2000)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    account = [line for line in of(host, out) if line["type"] == "count"][-1]
    assert account["lost"] > 1000
    assert (account["counted"], account["seen"] + account["lost"]) == (2000, 2000)
    assert sum(line["count"] for line in resets(host, out)) == account["seen"]


def test_namespaces_that_come_and_go_are_all_accounted_for(host: Host) -> None:
    """Thirty short lives: what each sent is told, and each that is gone is said to be."""
    cookies = set()
    with started("--json") as process:
        first_line(process)
        for number in range(30):
            with Host(str(number)) as brief:
                cookies.add(brief.cookie)
                knock(brief, 2)
        knock(host)
        assert process.stdout
        lines: list[Line] = []
        deadline = time.monotonic() + 20
        while not cookies <= {line["netns_cookie"] for line in lines if line.get("gone")}:
            assert time.monotonic() < deadline
            lines.append(json.loads(process.stdout.readline()))
    seen = dict.fromkeys(cookies, 0)
    for line in lines:
        if line["type"] == "count" and line["netns_cookie"] in cookies:
            assert line["counted"] + line["uncounted"] == line["seen"] + line["lost"] + line["unseen"]
            seen[line["netns_cookie"]] = line["seen"]
    assert set(seen.values()) == {2}


@pytest.mark.parametrize("offset", ["-1000", "500000"])
def test_another_clock_since_boot_changes_nothing(host: Host, offset: str) -> None:
    """In a time namespace resets are told as soon as elsewhere, and at the right time of day."""
    space = ["unshare", "--time", "--boottime", offset, "--monotonic", offset, "--fork", "--kill-child"]
    if subprocess.run([*space, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel makes no time namespaces")
    with started("--json", before=space) as process:
        first_line(process)
        before = datetime.now(UTC)
        knock(host)
        assert process.stdout
        line = next(
            line
            for line in map(json.loads, process.stdout)
            if line["type"] == "reset" and line["netns_cookie"] == host.cookie
        )
        after = datetime.now(UTC)
    assert before.timestamp() <= datetime.fromisoformat(line["time"][:26] + "+00:00").timestamp() + 0.001
    assert datetime.fromisoformat(line["time"][:26] + "+00:00") <= after
    assert (after - before).total_seconds() < 2


def test_a_clock_that_is_set_moves_the_times_that_follow(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the time of day shifts what comes after it, and hides, doubles or ends nothing."""
    from whyreset.agent import Agent, Settings

    hour = 3600 * 1_000_000_000
    real, step = time.time_ns, 0

    def told(agent: Agent) -> list[int]:
        """Waits for the next resets of the host; their times."""
        knock(host)
        times: list[int] = []
        deadline = time.monotonic() + 10
        while len(times) < 2 and time.monotonic() < deadline:
            agent.wait(time.monotonic() + 0.02)
            times += [each.time_ns for each in agent.tick().resets if each.sample.netns_cookie == host.cookie]
        return times

    monkeypatch.setattr(time, "time_ns", lambda: real() + step)
    with Agent(Settings()) as agent:
        for step in (0, -hour, hour):
            before = real() + step
            times = told(agent)
            assert len(times) == 2
            assert all(before <= each <= real() + step for each in times)
        last = agent.tick(last=True)
        [account] = [line for line in last.counts if line.netns_cookie == host.cookie]
        assert (account.counted, account.seen, account.received) == (3, 3, 3)


def test_a_suspend_hides_and_doubles_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock since boot and the time of day leap together, with resets unread; the process only sees it later.

    The kernel's own clock does not leap here, so what comes after keeps its time; in a true suspend it leaps along.
    """
    from whyreset.agent import Agent, Settings

    night = 8 * 3600 * 1_000_000_000
    day_ns, clock_ns, leap = time.time_ns, time.clock_gettime_ns, 0
    monkeypatch.setattr(time, "time_ns", lambda: day_ns() + leap)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: clock_ns(clock) + leap)
    began = day_ns()
    with Agent(Settings()) as agent:
        knock(host)
        leap = night
        knock(host, 2)
        agent.wait(time.monotonic() + 0.02)
        told = list(agent.tick().resets)
        last = agent.tick(last=True)
        told += last.resets
        [account] = [line for line in last.counts if line.netns_cookie == host.cookie]
        assert (account.counted, account.seen, account.received, account.unseen) == (3, 3, 3, 0)
    mine = [each for each in told if each.sample.netns_cookie == host.cookie]
    assert sum(each.count for each in mine) == 6
    assert all(began <= each.time_ns <= day_ns() for each in mine)


# ---- what is shown ----


FILTERS: dict[str, tuple[list[str], set[tuple[str, str, str]]]] = {
    "all": (
        [],
        {
            ("b", "sent", "closed-port"),
            ("a", "received", "closed-port"),
            ("b", "sent", "unread-data"),
            ("a", "received", "unread-data"),
        },
    ),
    "sent": (["--direction", "sent"], {("b", "sent", "closed-port"), ("b", "sent", "unread-data")}),
    "received": (["--direction", "received"], {("a", "received", "closed-port"), ("a", "received", "unread-data")}),
    "a port": (["--port", "81"], {("b", "sent", "closed-port"), ("a", "received", "closed-port")}),
    "two ports": (
        ["--port", "80", "--port", "82", "--direction", "sent"],
        {("b", "sent", "unread-data")},
    ),
    "a cause": (["--cause", "unread-data"], {("b", "sent", "unread-data"), ("a", "received", "unread-data")}),
    "a family": (["--cause", "abort"], {("b", "sent", "unread-data"), ("a", "received", "unread-data")}),
    "another cause": (["--cause", "paws"], set()),
    "a namespace": (["--netns", "{a}"], {("a", "received", "closed-port"), ("a", "received", "unread-data")}),
    "a namespace that is not": (["--netns", "nowhere"], set()),
    "several words": (["--netns", "{b}", "--cause", "closed-port"], {("b", "sent", "closed-port")}),
}


@pytest.mark.parametrize(("words", "expected"), FILTERS.values(), ids=list(FILTERS))
def test_filters_show_what_is_asked_for_and_count_all(words: list[str], expected: set[tuple[str, str, str]]) -> None:
    """Direction, port, cause and namespace narrow what is shown; the account in the last line holds all the same."""
    with Pair() as pair:
        options = [word.format(a=pair.a.inode, b=pair.b.inode) for word in words]
        address = pair.address(pair.b, 4)
        with Actor(pair.b, "server") as server, Actor(pair.a, "client") as client:
            listener = server.listen(80)
            with started("--json", *options) as process:
                first_line(process)
                with suppress(ConnectionRefusedError):
                    client.connect(address, 81)
                connection = client.connect(address, 80)
                accepted = listener.accept()
                connection.send(b"unread")
                accepted.await_unread(6)
                accepted.close()
                connection.await_state("CLOSE")
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=20)
        names = {pair.a.cookie: "a", pair.b.cookie: "b"}
    assert (process.returncode, err) == (0, "")
    lines = [json.loads(line) for line in out.split("\n") if line]
    told = {
        (names[line["netns_cookie"]], line["direction"], line["cause"])
        for line in lines
        if line["type"] == "reset" and line["netns_cookie"] in names
    }
    assert told == expected
    assert lines[-1]["seen"] >= 2
    counted = {
        names[line["netns_cookie"]] for line in lines if line["type"] == "count" and line["netns_cookie"] in names
    }
    named = {word for word in ("a", "b") if f"{{{word}}}" in words}
    assert counted == (named or {"a", "b"} if "nowhere" not in words else set())


def test_each_tells_single_resets_up_to_its_bound_and_groups_the_rest(host: Host) -> None:
    """A burst gives a line a reset as far as the bound goes; no id is told twice, and no reset is left out."""
    with started("--json", "--each") as process:
        first_line(process)
        flood(host, 3000)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    lines = resets(host, out)
    assert sum(line["count"] for line in lines) == 3000
    singles = [line for line in lines if line["count"] == 1]
    assert 100 <= len(singles) < 1500
    assert len({line["id"] for line in lines}) == len(lines)
    assert len({(line["src"], line["dst"], line["dport"]) for line in singles}) == len(singles)
    for line in lines:
        assert ("sample" in line) == (line["count"] > 1)


def test_without_each_like_resets_are_one_line_a_tick(host: Host) -> None:
    """A flood costs a handful of lines, and tells how many addresses there were."""
    with started("--json") as process:
        first_line(process)
        flood(host, 3000)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    lines = resets(host, out)
    assert sum(line["count"] for line in lines) == 3000
    assert len(lines) < 30
    largest = max(lines, key=lambda line: int(line["count"]))
    assert not largest["remotes"]["exact"]
    assert len(largest["remotes"]["top"]) == 16


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "plain"])
def test_names_beyond_the_locale_are_written(host: Host, options: list[str]) -> None:
    """A process may call itself anything: JSON is UTF-8 in any locale, plain lines show what they can."""
    with (
        Actor(host, "服务\x1b[31m") as server,
        started(*options, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}) as process,
    ):
        first_line(process)
        with suppress(ConnectionRefusedError):
            server.connect("127.0.0.1", CLOSED)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    if options:
        owners = {line["owner"]["comm"] for line in resets(host, out) if "owner" in line}
        assert owners == {"服务\x1b[31m"}
    else:
        assert "\x1b" not in out
        assert out.isascii()
