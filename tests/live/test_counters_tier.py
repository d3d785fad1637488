"""What the counters alone say of each known way to a reset, and the command that has nothing else."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from benchmarks.alerts.traffic import follow, steps
from tests.hosts import Host, Watch
from tests.hosts.cases import CASES, Case, Missing, Stage
from tests.hosts.cases.model import Expected
from whyreset.causes import fingerprint

NO_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def sent_by(host: Host, resets: tuple[Expected, ...]) -> dict[str, int]:
    """How many resets of each family a host sends, as the case expects it."""
    found: dict[str, int] = {}
    for reset in resets:
        if (reset.host, reset.direction) == (host.name, "sent"):
            found[reset.family] = found.get(reset.family, 0) + reset.count
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_counters_never_speak_of_a_family_that_had_no_part(machine: None, case: Case) -> None:
    """What is said of a family is at most what it had; what is left open may be each of the others."""
    with Stage(4, alone=case.alone) as stage:
        before = {host: host.counters() for host in (stage.a, stage.b)}
        try:
            expected = tuple(case.provoke(stage))
        except (Missing, FileNotFoundError) as missing:
            pytest.skip(f"this machine lacks {missing}")
        for host in (stage.a, stage.b):
            moved = {name: value - before[host].get(name, 0) for name, value in host.counters().items()}
            had = sent_by(host, expected)
            left = set(had)
            for share in fingerprint.shares(moved, abort_on_overflow=case.id == "07b1"):
                if share.certainty == "unknown":
                    assert share.count <= sum(had.values())
                    assert left <= set(share.candidates)
                else:
                    assert share.count <= had.get(share.family, 0), share
                    left -= {share.family} if share.count == had[share.family] else set()


def test_a_watch_without_rights_counts_its_own_namespace(stage: Stage) -> None:
    """Its count lines say how many resets were sent there, and which families the kernel's counters speak of."""
    script = [sys.executable, "-m", "whyreset", "watch", "--json"]
    process = stage.b.start(*NO_RIGHTS, *script, stdout=subprocess.PIPE)
    assert process.stdout
    with process:
        start = json.loads(process.stdout.readline())
        assert (start["type"], start["tier"]) == ("start", "counters")
        _, client, server = stage.converse()
        client.send(b"x" * 100)
        server.await_unread(100)
        server.close()
        for _ in range(3):
            stage.refused(4444)
        stage.b.await_counter("OutRsts", 4)
        process.send_signal(signal.SIGINT)
        lines = [json.loads(line) for line in process.stdout]
    counts = [line for line in lines if line["type"] == "count"]
    last = counts[-1]
    assert (last["netns"], last["netns_cookie"]) == (stage.b.inode, stage.b.cookie)
    assert (last["counted"], last["unseen"], last["seen"]) == (4, 4, 0)
    assert {each["family"]: (each["count"], each["certainty"]) for each in last["families"]} == {
        "abort": (1, "likely"),
        "unknown": (3, "unknown"),
    }
    assert sum(line["second"].get("counted", 0) for line in counts) == 4
    assert lines[-1]["type"] == "end"


def test_a_watch_without_rights_raises_alerts(stage: Stage, tmp_path: Path) -> None:
    """By the counters of its own namespace: a surge, at once, and a user's rule."""
    rules = tmp_path / "mine.conf"
    rules.write_text(
        "alarm: mine\non: ip.tcphandshake\nlookup: sum -3s unaligned of OutRsts\nevery: 1s\nwarn: $this > 9"
    )
    script = [sys.executable, "-m", "whyreset", "watch", "--json", "--duration", "30", "--rules", str(rules)]
    process = stage.b.start(*NO_RIGHTS, *script, stdout=subprocess.PIPE)
    assert process.stdout
    with process:
        assert json.loads(process.stdout.readline())["tier"] == "counters"
        thread = Thread(target=follow, args=(stage.b, steps((0, 90)), 8))
        thread.start()
        alerts: dict[str, dict[str, Any]] = {}
        while not {"resets_sent_surge", "mine"} <= set(alerts):
            line = json.loads(process.stdout.readline())
            assert line["type"] != "end", alerts
            if line["type"] == "alert" and line["new_status"] == "warning":
                alerts[line["rule"]] = line
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        thread.join()
    surge = alerts["resets_sent_surge"]
    assert (surge["netns_cookie"], surge["told"]) == (stage.b.cookie, True)
    assert "shares" not in surge


def test_a_watch_with_rights_says_nothing_of_families(watch: Watch) -> None:
    """There each reset has its own cause."""
    assert "families" not in json.dumps(list(watch.lines))
