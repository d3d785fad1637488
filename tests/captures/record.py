"""Records the captures beside this file: every case of tests/hosts on the wire, with what really happened in it.

    python -m tests.captures.record [CASE ...]      as root; all cases without words

A case's folder holds one capture for each version of IP (headers and a little payload: 128 bytes a packet) and
truth.json, which says of each reset in them why it was sent. That is known from the case, not from the packets.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.cases import ANY, CASES, Case, Expected, Missing, Stage, Version
from tests.hosts.cases.model import FAMILY
from tests.hosts.hosts import Host, await_true

HERE = Path(__file__).parent
SNAP_BYTES = 128
MARK = b"whyreset has seen enough"
FIELDS = ("frame.number", "ip.src", "ipv6.src", "tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw")
#: Resets that no TCP stack sent, and what did.
NOT_FROM_STACK = {"14a": "firewall-reject", "14b": "firewall-reject", "14c": "firewall-reject", "13e": "forged"}
ACK = 0x10


class Recorded(Stage):
    """A stage that remembers which resets were forged."""

    def __init__(self, version: Version, *, alone: bool = False) -> None:
        super().__init__(version, alone=alone)
        self.forged: list[tuple[int, int]] = []

    def raw(self, flags: str, sport: int, dport: int, **rest: int | bytes) -> None:
        if "R" in flags:
            self.forged.append((sport, int(rest.get("seq", 0)) & 0xFFFFFFFF))
        super().raw(flags, sport, dport, **rest)


@contextmanager
def recording(host: Host, path: Path) -> Iterator[None]:
    """Write what passes a host, all its interfaces, into a file for the length of the block."""
    raw = path.with_suffix(".raw")
    # the kernel's device "any" shows a packet of the loopback once; a datagram at the end marks what has been written
    command = ("tcpdump", "-i", "any", "--immediate-mode", "-U", "-s", str(SNAP_BYTES), "-w", str(raw), "tcp or port 9")
    tcpdump = host.start(*command, stderr=subprocess.PIPE)
    assert tcpdump.stderr is not None
    try:
        while "listening" not in (line := tcpdump.stderr.readline()):
            if not line:
                raise RuntimeError("tcpdump ended before it listened")
        yield
        host.run("python3", "-c", f"import socket; socket.socket(2, 2).sendto({MARK!r}, ('127.0.0.1', 9))")
        await_true(lambda: MARK in raw.read_bytes(), "tcpdump to write the last packet")
    finally:
        tcpdump.send_signal(signal.SIGINT)
        tcpdump.wait(10)
        tcpdump.stderr.close()
    subprocess.run(["tcpdump", "-r", raw, "-w", path, "tcp"], check=True, capture_output=True)
    raw.unlink()


def await_all(stage: Stage, resets: int) -> None:
    """Wait until both kernels have counted so many resets as sent; some come from a timer."""
    await_true(
        lambda: stage.a.counters()["OutRsts"] + stage.b.counters()["OutRsts"] >= resets, f"{resets} resets in all"
    )


def resets_of(path: Path) -> list[dict[str, Any]]:
    """The resets of a capture as tshark counts them."""
    command = ["tshark", "-r", str(path), "-Y", "tcp.flags.reset == 1", "-T", "fields"]
    for name in FIELDS:
        command += ["-e", name]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    resets = []
    for line in out.splitlines():
        frame, v4, v6, sport, dport, flags, seq = line.split("\t")
        resets.append(
            {
                "frame": int(frame),
                "src": str(ipaddress.ip_address(v4 or v6)),
                "sport": int(sport),
                "dport": int(dport),
                "flags": int(flags, 16),
                "seq": int(seq),
            }
        )
    return resets


def fits(expected: Expected, reset: dict[str, Any]) -> bool:
    """Whether a reset has the form that RFC 9293 section 3.5.2 gives the answer to this trigger."""
    if expected.port not in (ANY, reset["sport"]) or expected.trigger is ANY:
        return expected.port in (ANY, reset["sport"])
    has_ack = bool(reset["flags"] & ACK)
    if expected.trigger is None:  # of its own accord: with ACK, and the next number to send
        return has_ack and reset["seq"] != 0
    return not has_ack if "A" in str(expected.trigger) else has_ack


def explain(
    case: Case, stage: Recorded, expected: list[Expected], resets: list[dict[str, Any]]
) -> list[tuple[int, str]]:
    """For each reset: its frame, and the true cause."""
    wanted = [each for each in expected if each.direction == "sent"]
    left = [each.count for each in wanted]
    hosts = {stage.address_a: "a", stage.address_b: "b", "127.0.0.1": "b", "::1": "b"}
    truth = []
    for reset in resets:
        found = "forged" if (reset["sport"], reset["seq"]) in stage.forged else ""
        for number, each in enumerate(wanted):
            if not found and left[number] and each.host == hosts[reset["src"]] and fits(each, reset):
                left[number] -= 1
                found = each.cause
        found = found or NOT_FROM_STACK.get(case.id, "")
        if not found:
            raise AssertionError(f"{case.id}: nobody knows why frame {reset['frame']} was sent: {reset}")
        truth.append((reset["frame"], found))
    for each, count in zip(wanted, left, strict=True):
        if count:
            print(f"{case.id}: {count} x {each.cause} of host {each.host} not on the wire", file=sys.stderr)
    return truth


def record(case: Case) -> None:
    """Record one case into its folder."""
    name = case.provoke.__name__ if case.provoke.__name__ != "provoke" else case.title
    folder = HERE / f"{case.id}-{'-'.join(re.findall('[a-z0-9]+', name.lower()))}"
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        files: dict[str, Any] = {}
        for version in case.versions:
            path = work / f"v{version}.pcap"
            with Recorded(version, alone=case.alone) as stage:
                with recording(stage.b, path):
                    expected = list(case.provoke(stage))
                    await_all(stage, sum(wanted.count for wanted in expected if wanted.direction == "sent"))
                files[path.name] = explain(case, stage, expected, resets_of(path))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(work, folder)
    by_cause: dict[str, dict[str, list[int]]] = {file: {} for file in files}
    for file, truth in files.items():
        for frame, cause in truth:
            by_cause[file].setdefault(cause, []).append(frame)
    told = {
        "case": case.id,
        "title": case.title,
        "what": " ".join((case.provoke.__doc__ or case.title).split()),
        "families": {cause: FAMILY[cause] for truth in by_cause.values() for cause in truth},
        "resets": by_cause,
    }
    # the frames of a cause stand on one line
    text = re.sub(
        r"\[\s+([\d,\s]+)\s+\]", lambda frames: f"[{' '.join(frames[1].split())}]", json.dumps(told, indent=1)
    )
    (folder / "truth.json").write_text(text + "\n")


def main() -> int:
    """The command. Returns its exit code."""
    chosen = sys.argv[1:] or [case.id for case in CASES]
    for case in CASES:
        if case.id not in chosen:
            continue
        if lacking := [command for command in case.needs if not shutil.which(command)]:
            print(f"{case.id}: left out, since {lacking[0]} is not installed", file=sys.stderr)
            continue
        try:
            record(case)
            print(case.id, flush=True)
        except Missing as missing:
            print(f"{case.id}: left out, since this machine lacks {missing}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
