"""The flight recorder of a watch: an alert's evidence begins before it, and payload is not in it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.cli.whyreset import COMMAND
from tests.evidence import tshark
from tests.hosts import Host, Watch
from tests.live.test_alerts import SURGE, first, surge
from tests.live.test_capture import explained


def test_evidence_begins_before_the_alert(machine: None, tmp_path: Path) -> None:
    """A surge is alerted; its file has resets from before that moment, each with its cause, and from after it."""
    folder = tmp_path / "evidence"
    with Host("surging") as host:
        inside = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{host.descriptor}", *COMMAND)
        with Watch("--evidence", str(folder), command=inside) as watch:
            thread = surge(host, 6)
            alert = watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=15)
            raised = time.time()
            told = watch.wait(lambda lines: next((x for x in lines if x.get("name") == "evidence"), None), timeout=5)
            thread.join()
    assert alert["new_status"] == "warning"
    (path,) = folder.iterdir()
    assert str(path) in told["text"]
    assert SURGE in path.name
    times = [float(row[0]) for row in tshark.fields(path, "frame.time_epoch")]
    assert times == sorted(times)
    assert times[0] < raised - 0.5
    assert times[-1] > raised
    lines = explained(path)
    assert len(lines) > 100
    assert {line["cause"] for line in lines} == {"closed-port"}
    noted = [line for line in lines if line["sources"] == ["recorder", "wire"]]
    assert len(noted) > len(lines) * 0.9
