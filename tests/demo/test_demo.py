"""The demo as people start it: what it says, how it ends, what it leaves, and where it cannot be played."""

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import needs
from tests.cli.whyreset import is_one_sentence, run
from tests.hosts.hosts import await_true
from tests.hosts.watch import Line, Watch
from tests.kernel_objects import held, held_by_watch, keeper_of, left
from whyreset.demo.actors import Actor
from whyreset.demo.scenes import SCENES
from whyreset.sources.counters import CounterSource
from whyreset.sources.program import Program

NAMES = {"demo-server", "demo-clients"}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> set[int]:
    """The processes below one."""
    children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children.union(*map(descendants, children))


def names_of(pids: set[int]) -> set[str]:
    """What processes call themselves."""
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}


def director_of(watch: Watch) -> int:
    """The demo's first process; actors are called so too until they have a name of their own."""
    keeper = keeper_of(watch.process.pid)
    assert keeper
    [director] = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return int(director)


@contextmanager
def namespaces() -> "Iterator[CounterSource]":
    """A source that knows every network namespace in the kernel."""
    program = Program()
    program.load()
    source = CounterSource(program)
    try:
        source.start()
        yield source
    finally:
        source.close()
        program.close()


def test_the_second_line_says_what_is_played_and_where() -> None:
    """Whoever looks at the lines knows which of them are the demo's."""
    needs.program()
    ended = run("watch", "--demo", "--duration", "0.1")
    assert ended.returncode == 0
    said = next(line for line in ended.stdout.splitlines() if line.startswith("note: "))
    assert f"{len(SCENES)} scenes" in said
    assert all(name in said for name in NAMES)


def test_a_scene_alone_is_a_demo_too() -> None:
    """--scene needs no --demo, and says its name."""
    needs.program()
    ended = run("watch", "--scene", "stale", "--duration", "0.1")
    assert "the scene stale" in ended.stdout


def test_a_wrong_scene_is_told_what_there_is() -> None:
    """Whoever mistypes a scene sees all of them."""
    ended = run("watch", "--scene", "rain")
    assert ended.returncode == 2
    assert is_one_sentence(ended.stderr), ended.stderr
    assert all(scene.name in ended.stderr for scene in SCENES)


def test_its_namespaces_can_be_asked_for_by_name() -> None:
    """--netns takes the names that the demo gives."""
    needs.program()
    ended = run("watch", "--scene", "monitoring", "--netns", "demo-clients", "--duration", "1")
    lines = [line for line in ended.stdout.splitlines() if "closed-port" in line]
    assert lines
    assert all("in demo-clients" in line and "received" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_of_it_is_left(machine: None, number: signal.Signals) -> None:
    """However the watch ends, its processes and namespaces end too, and nothing stays in the kernel."""
    needs.command("bpftool")
    with Watch("--demo") as watch, namespaces() as source:
        sample = watch.wait(lambda lines: next((x for x in lines if x.get("netns_name") == "demo-server"), None))
        ours = held_by_watch(watch.process.pid)
        below = descendants(watch.process.pid) - {keeper_of(watch.process.pid)}
        assert "whyreset-demo" in names_of(below)
        assert not any(held(pid)[kind] for pid in below for kind in ours), "the demo holds nothing of BPF"
        place = (sample["netns"], sample["netns_cookie"])

        def there() -> bool:
            return place in {(each.netns, each.netns_cookie) for each in source.read(0)}

        assert there()
        watch.process.send_signal(number)
        watch.process.wait(10)
        for pid in below:
            await_true(lambda pid=pid: not alive(pid), f"the end of process {pid}")  # type: ignore[misc]
        await_true(lambda: not there(), "the end of the namespace", 10)
        await_true(lambda: not left(ours), "the kernel to free what the watch held")


def test_ctrl_c_is_for_the_watch(machine: None) -> None:
    """A terminal sends SIGINT to the whole group: the demo plays on, and the watch ends as ever."""
    with Watch("--demo") as watch:
        director = director_of(watch)
        os.kill(director, signal.SIGINT)
        watch.wait(lambda lines: next((x for x in lines if x.get("netns_name") == "demo-server"), None))
        end = watch.stop()
    assert end
    assert end["reason"] == "SIGINT"
    assert not [x for x in watch.lines if x["type"] == "notice" and "ended by itself" in x["text"]]


def test_a_service_that_somebody_kills_is_started_again(machine: None) -> None:
    """Whoever kills one to see what happens ends no scene: the next playing has another."""

    def owners(lines: "Iterable[Line]") -> set[int]:
        sent = (line for line in lines if line.get("cause") == "data-after-close" and line["direction"] == "sent")
        return {line["owner"]["pid"] for line in sent if line.get("netns_name") == "demo-server"}

    with Watch("--scene", "stale") as watch:
        (first,) = watch.wait(owners)
        os.kill(first, signal.SIGKILL)
        watch.wait(lambda lines: owners(lines) - {first})
        watch.stop()
    assert not [x for x in watch.lines if x["type"] == "notice" and "cannot be played" in x["text"]]


def test_a_demo_that_dies_is_told(machine: None) -> None:
    """The watch goes on and says so, once."""
    with Watch("--demo") as watch:
        director = director_of(watch)
        os.kill(director, signal.SIGKILL)
        watch.wait(lambda lines: any("ended by itself" in x.get("text", "") for x in lines))
        end = watch.stop()
    assert end
    assert sum("ended by itself" in x.get("text", "") for x in watch.lines) == 1


@pytest.mark.parametrize(
    ("rights", "names"), [("-all", "run it as root"), ("+all", "user.max_net_namespaces")], ids=["none", "no room"]
)
def test_where_namespaces_cannot_be_made_there_is_one_sentence(rights: str, names: str) -> None:
    """Without rights, where user namespaces are no way out either, and where a limit is reached."""
    needs.program()
    # a user namespace in which there may be no others, of any kind
    limits = "for kind in user net; do echo 0 >/proc/sys/user/max_${kind}_namespaces; done"
    script = f'{limits}; exec setpriv --bounding-set={rights} "$@"'
    ended = run("watch", "--demo", before=["unshare", "-U", "-r", "sh", "-c", script, "sh"])
    assert (ended.returncode, ended.stdout) == (1, "")
    assert is_one_sentence(ended.stderr), ended.stderr
    assert ended.stderr.startswith("whyreset: cannot play the demo: ")
    assert names in ended.stderr


def test_who_may_watch_without_root_may_see_the_demo() -> None:
    """Two capabilities and a user namespace of one's own are enough."""
    needs.program()
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+bpf,+perfmon"]
    user += ["--ambient-caps=-all,+bpf,+perfmon", "--bounding-set=-all,+bpf,+perfmon"]
    if subprocess.run([*user, "unshare", "--user", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are not allowed here")
    if run("--version", before=user).returncode:
        pytest.skip("another user cannot read this checkout or its Python")
    ended = run("watch", "--scene", "full-queue", "--duration", "1", before=user)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "accept-queue-full" in ended.stdout


def test_what_an_actor_meets_is_raised_where_it_is_cued(machine: None) -> None:
    """A script's mistake is told with its number; none is swallowed."""

    def script() -> "Iterator[None]":
        yield
        raise ConnectionResetError(104, "as if")

    with Actor("clumsy", script) as actor, pytest.raises(ConnectionResetError):
        actor.step()
