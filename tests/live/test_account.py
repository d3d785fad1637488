"""Every reset that the kernel counted is accounted for, also when a flood takes more than the ring can hold."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import Host, Pair, Watch
from tests.hosts.flood import ACK, answer_everyone, flood
from tests.hosts.hosts import await_true

Line = dict[str, Any]


def account(watch: Watch, host: Host, counted: int) -> Line:
    """The first count line of this namespace that holds all resets that its kernel has counted by now."""

    def whole(_: object) -> Line | None:
        lines = [x for x in watch.lines if x["type"] == "count" and x["netns_cookie"] == host.cookie]
        last = lines[-1] if lines else None
        return last if last and last["counted"] == counted and last["seen"] + last["lost"] >= counted else None

    return watch.wait(whole, timeout=15)


def closes(line: Line) -> bool:
    """Whether both of an account's sums agree."""
    return bool(
        line["counted"] + line["uncounted"] == line["seen"] + line["lost"] + line["unseen"]
        and line["seen"] == line["explained"] + line["unknown"]
    )


@pytest.mark.parametrize("options", [{}, {"spoofed": True}, {"port": 2000, "ports": 3000}, {"flags": ACK}])
def test_flood_is_seen_whole(machine: None, options: dict[str, Any]) -> None:
    """A flood from one source or many, at one port or thousands, is seen to the last reset."""
    with Pair() as pair, Watch() as watch:
        answer_everyone(pair)
        done = flood(pair, 100_000, **options)
        line = account(watch, pair.b, pair.b.counters()["OutRsts"])
        assert closes(line)
        assert line["counted"] == done.segments
        assert line["lost"] + line["seen"] == done.segments
        assert line["unseen"] == line["uncounted"] == line["unknown"] == 0


def test_ring_that_overflows_loses_detail_but_no_count(machine: None) -> None:
    """With a ring of 8 KiB most records are lost; the account says how many, and that is all that is missing."""
    with Pair() as pair, Watch("--ring-kib", "8") as watch:
        answer_everyone(pair)
        flood(pair, 200_000, spoofed=True)
        line = account(watch, pair.b, pair.b.counters()["OutRsts"])
        assert line["lost"] > 0
        assert closes(line)
        assert line["seen"] + line["lost"] == line["counted"] == 200_000
        assert line["unseen"] == line["uncounted"] == 0


def test_flood_leaves_memory_and_groups_bounded(machine: None) -> None:
    """300,000 resets to spoofed sources from 50,000 ports cost a bounded number of lines and bounded memory."""
    with Pair() as pair, Watch() as watch:
        answer_everyone(pair)
        flood(pair, 50_000, spoofed=True, ports=50_000)
        before = resident_kib(watch)
        lines_before = len(watch.lines)
        done = flood(pair, 250_000, spoofed=True, ports=50_000)
        line = account(watch, pair.b, pair.b.counters()["OutRsts"])
        assert closes(line)
        # the memory of closed connections takes up to 9 MB, whoever closes them
        assert resident_kib(watch) - before < 16 << 10
        # Watch asks for --each: 1,000 single lines a second, and at most 512 groups in each of ten ticks
        assert len(watch.lines) - lines_before < (done.seconds + 3) * 8_000


def test_account_begins_where_watching_begins(machine: None) -> None:
    """Resets from before are nobody's: the account of an old namespace starts at nought."""
    with Pair() as pair:
        answer_everyone(pair)
        flood(pair, 1_000)
        with Watch() as watch:
            flood(pair, 500)
            line = account(watch, pair.b, 500)
            assert (line["counted"], line["seen"]) == (500, 500)
            assert closes(line)


def test_namespace_that_ends_is_said_to_be_gone(machine: None) -> None:
    """A namespace that came and went while watching is told, with all of its resets that were read, and marked."""
    with Watch() as watch:
        with Pair() as pair:
            cookie = pair.b.cookie
            flood(pair, 300)
            account(watch, pair.b, 300)
        gone = watch.wait(
            lambda lines: next(
                (x for x in lines if x["type"] == "count" and x["netns_cookie"] == cookie and x.get("gone")), None
            ),
            timeout=15,
        )
        assert gone["counted"] == gone["seen"] == 300
        assert closes(gone)


def resident_kib(watch: Watch) -> int:
    """Resident memory of the running command."""
    status = Path(f"/proc/{watch.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def test_namespaces_that_are_gone_make_room_in_the_kernel(machine: None) -> None:
    """Once a namespace is told to be gone, the kernel program no longer keeps its tallies."""
    with Watch() as watch:
        with Pair() as pair:
            cookie = pair.b.cookie
            flood(pair, 10)
            account(watch, pair.b, 10)
            assert cookie in tallied(watch)
        await_true(
            lambda: cookie not in tallied(watch), "the tallies of a namespace that is gone to be freed", timeout=15
        )


def tallied(watch: Watch) -> set[int]:
    """The namespaces in the running program's tallies."""
    held = map_ids(watch.process.pid)
    [ours] = [each for each in bpftool("map", "show") if each["name"] == "tallies" and each["id"] in held]
    entries = bpftool("map", "dump", "id", str(ours["id"]))
    return {int.from_bytes(bytes(int(byte, 16) for byte in entry["key"][:8]), "little") for entry in entries}


def bpftool(*words: str) -> list[dict[str, Any]]:
    """What bpftool says, as values."""
    said = subprocess.run(["bpftool", "-j", *words], check=True, capture_output=True).stdout
    return json.loads(said)  # type: ignore[no-any-return]


def map_ids(pid: int) -> set[int]:
    """The BPF maps that a process holds."""
    found = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        for line in info.read_text().splitlines():
            if line.startswith("map_id:"):
                found.add(int(line.split()[1]))
    return found
