"""What to ask whoever manages a service: systemd, a container's runtime, Kubernetes. Commands for findings' next steps.

Names come from control groups, which others choose: they are quoted for the shell.
"""

from __future__ import annotations

import re
import shlex

from whyreset.findings.base import SECOND_NS
from whyreset.model import Process, Step

#: What of a control group's path tells whose container it is; see owners.containers.
_RUNTIMES = (("libpod", "podman"), ("docker", "docker"), ("crio", "crictl"), ("cri-containerd", "crictl"))
_BEFORE_NS = 60 * SECOND_NS


def ask(process: Process, since_ns: int) -> list[Step]:
    """How to see what became of a service and what it said.

    Args:
        process: of the service; it may be dead.
        since_ns: nanoseconds since the epoch; what it said is asked for from a minute before.
    """
    since = f"@{max(0, since_ns - _BEFORE_NS) // SECOND_NS}"
    names = process.container_name.split("/")
    if len(names) >= 2 and process.pod:
        return _of_pod(names)
    if process.container:
        return _of_container(process, since)
    if process.unit:
        return _of_unit(process, since)
    return []


def memory(process: Process, since_ns: int) -> list[Step]:
    """How to see why the OOM killer chose a process."""
    since = f"@{max(0, since_ns - _BEFORE_NS) // SECOND_NS}"
    steps = [Step(f"journalctl -k --since {since} | grep -i -A 5 oom", "what the kernel said of the memory's end")]
    if process.unit and not process.container:
        steps.append(Step(f"systemctl show -p MemoryMax,MemoryPeak {shlex.quote(process.unit)}", "its limit of memory"))
    return steps


def _of_unit(process: Process, since: str) -> list[Step]:
    unit = shlex.quote(process.unit)
    manager = re.search(r"user@(\d{1,10})\.service/", process.cgroup)
    whose = f"--user -M {manager[1]}@ " if manager else ""
    journal = f"_UID={manager[1]} --user-unit" if manager else "-u"
    return [
        Step(f"systemctl {whose}status {unit}", "whether it runs again, and its last lines"),
        Step(f"journalctl {journal} {unit} --since {since}", "what it said"),
    ]


def _of_pod(names: list[str]) -> list[Step]:
    namespace, pod = shlex.quote(names[0]), shlex.quote(names[1])
    container = f" -c {shlex.quote(names[2])}" if len(names) > 2 else ""
    return [
        Step(f"kubectl -n {namespace} describe pod {pod}", "its restarts, its last end, and events"),
        Step(f"kubectl -n {namespace} logs {pod}{container} --previous", "what it said before it ended"),
    ]


def _of_container(process: Process, since: str) -> list[Step]:
    tool = next((tool for mark, tool in _RUNTIMES if mark in process.cgroup), "")
    if not tool:
        return []
    short = process.container[:12] if re.fullmatch(r"[0-9a-f]{64}", process.container) else process.container
    name = shlex.quote(short if tool == "crictl" else process.container_name or short)
    logs = f"{tool} logs {name}" if tool == "crictl" else f"{tool} logs --since {since.removeprefix('@')} {name}"
    return [Step(f"{tool} inspect {name}", "whether it runs, and how it ended"), Step(logs, "what it said")]
