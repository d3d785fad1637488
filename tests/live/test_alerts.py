"""Alerts of real resets: a surge in a namespace of its own, what it carries, silence, and a restart."""

import signal
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alerts.traffic import follow, steps
from tests.cli.whyreset import is_one_sentence, run
from tests.hosts import Host, Watch

Line = dict[str, Any]
SURGE = "resets_sent_surge"


def first(lines: Iterable[Line], host: Host, **words: Any) -> Line | None:
    """The first alert of this host that has these words."""
    return next(
        (
            line
            for line in lines
            if line["type"] == "alert"
            and line.get("netns_cookie") == host.cookie
            and all(line.get(key) == value for key, value in words.items())
        ),
        None,
    )


def surge(host: Host, seconds: float, rate: float = 80) -> threading.Thread:
    """Resets of a closed port, beside the test."""
    thread = threading.Thread(target=follow, args=(host, steps((0, rate)), seconds))
    thread.start()
    return thread


def test_a_surge_is_told_within_three_seconds_with_whose_it_is(machine: None) -> None:
    """In a namespace that Netdata and Prometheus never look at."""
    with Host("surging") as host, Watch() as watch:
        began = time.time()
        thread = surge(host, 5)
        line = watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=10)
        assert time.time() - began < 3.5  # a loaded machine has half a second more
        thread.join()
    assert (line["old_status"], line["new_status"], line["told"]) == ("clear", "warning", True)
    assert line["netns"] == host.inode
    assert line["threshold"] < line["value"] <= 120
    assert line["shares"]["causes"] == [{"name": "closed-port", "count": line["shares"]["resets"]}]
    assert line["shares"]["remotes"][0]["name"] == "127.0.0.1"


def test_an_alert_ends_when_its_namespace_does(machine: None) -> None:
    """Nobody is left with what nobody can look at."""
    with Watch() as watch:
        with Host("surging") as host:
            surge(host, 2.5).join()
            watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=10)
        over = watch.wait(lambda lines: first(lines, host, rule=SURGE, new_status="clear"), timeout=10)
    assert over["state"] == "resolved"


def test_what_is_silent_or_expected_tells_nobody(machine: None, tmp_path: Path) -> None:
    """By the user's own file, beside the rules that ship."""
    rules = tmp_path / "mine.conf"
    rules.write_text(f"silence: tests\nrules: {SURGE}\nuntil: 2100-01-01\n")
    with Host("surging") as host, Watch("--rules", str(rules)) as watch:
        thread = surge(host, 3)
        line = watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=10)
        thread.join()
    assert (line["told"], line["muted_by"]) == (False, "silence: tests")
    rules.write_text("expect: tests\ncause: closed-port\nport: 9\n")
    with Host("calm") as host, Watch("--rules", str(rules)) as watch:
        surge(host, 4).join()
        assert first(list(watch.lines), host, rule=SURGE) is None


def test_an_alert_outlives_a_kill(machine: None, tmp_path: Path) -> None:
    """It is saved within seconds, not told again while it goes on, and its end is told."""
    state = tmp_path / "state.json"
    with ExitStack() as stack:
        host = stack.enter_context(Host("surging"))
        with Watch("--state", str(state)) as watch:
            thread = surge(host, 12)
            raised = watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=10)
            # a count line comes each second
            watch.wait(lambda _: state.exists() and SURGE in state.read_text(), timeout=15)
            watch.stop(signal.SIGKILL)
        with Watch("--state", str(state)) as watch:
            thread.join()
            stack.close()
            over = watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=15)
    assert (over["old_status"], over["new_status"], over["told"]) == ("warning", "clear", True)
    assert (over["id"], over["since"]) == (raised["id"], raised["since"])


@pytest.mark.parametrize("content", ["{}}", "no state"])
def test_a_state_that_is_none_is_one_sentence(machine: None, tmp_path: Path, content: str) -> None:
    """And nothing is overwritten."""
    state = tmp_path / "state.json"
    state.write_text(content)
    ended = run("watch", "--state", str(state), "--duration", "1")
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert state.read_text() == content
