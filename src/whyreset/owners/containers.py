"""What a control group's path names (systemd unit, container, pod), and a container's name from its runtime's state.

Rules. The path is read from the root to the leaf and the deepest name wins; it may be only the last components. A
container's own scope (`docker-<id>.scope`) is no unit: it says nothing that the container's id does not say. A unit
beside a container is around it (`web.service/libpod-payload-<id>`) or of the systemd inside it
(`docker-<id>.scope/system.slice/nginx.service`). Monitors (conmon, `lxc.monitor`, nspawn's `supervisor`) are not in the
container that they watch. Whoever may make control groups chooses their names, so only well-formed names are taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec import Struct

#: Longer paths lose their beginning: the leaf says most.
PATH_MAX = 4096
#: So much of a state file is read; one that is longer gives no name.
FILE_BYTES_MAX = 1 << 20

_ID = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
#: Unit names as systemd.unit(5) has them; each has a control group of its own in these types.
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,248}\.(?:service|scope|socket|mount|swap)")
_SLICE = re.compile(r"[A-Za-z0-9:_.\\@-]{1,249}\.slice")
_MANAGER = re.compile(r"user@[0-9]{1,10}\.service")
#: `docker-<id>.scope` (systemd's driver), `crio-<id>` (cgroupfs), `...slice:cri-containerd:<id>` (the two confused).
_CONTAINER = re.compile(
    r"(?:.*\.slice:)?(docker|libpod-payload|libpod|cri-containerd|nerdctl|crio)[-:]([0-9a-f]{64})(?:\.scope)?"
)
_POD = re.compile(r"(?:.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice(?::.*)?)?")
_PODMAN_POD = re.compile(r"(?:machine-|user-)?libpod_pod_([0-9a-f]{64})(?:\.slice)?")
_LXC = re.compile(r"lxc\.payload\.(.+)")
_NSPAWN = re.compile(r"systemd-nspawn@(.+)\.service")
_MACHINE = re.compile(r"machine-(.+)\.scope")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")

_RUNTIMES = {
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
#: Parents of a bare `<id>` in the cgroupfs driver's trees.
_PARENTS = {"docker": "docker", "libpod_parent": "podman", "k8s.io": "containerd"}
#: Runtimes whose containers are called by their name.
_NAMED = frozenset({"lxc", "nspawn", "machine"})


class Place(Struct, frozen=True, kw_only=True):
    """What a control group's path names; "" for what it does not."""

    #: The deepest systemd unit, as systemctl takes it.
    unit: str = ""
    #: The deepest slice.
    slice: str = ""
    #: The user manager under which all of this stands: `user@1000.service`. Its user chose the names below it.
    manager: str = ""
    #: The container's full id (64 hex digits); the name for LXC, Incus, nspawn and other machines.
    container: str = ""
    #: Kubernetes' pod uid with dashes, or podman's pod id.
    pod: str = ""
    #: docker, podman, containerd, cri-o, lxc, nspawn or machine; "" where the path does not tell.
    runtime: str = ""


def place(path: str) -> Place:
    """Tells what a control group is for, from its path or the path's last components. Never raises."""
    return _place(path[-PATH_MAX:])


@lru_cache(maxsize=1024)
def _place(path: str) -> Place:
    unit = slice_ = manager = container = pod = runtime = before = ""
    for part in path.removesuffix(" (deleted)").split("/"):
        if len(part) > 255:
            part = ""
        if match := _CONTAINER.fullmatch(part):
            container, runtime = match[2], _RUNTIMES[match[1]]
            if part.endswith(".scope"):
                unit = ""
        elif _ID.fullmatch(part):
            container, runtime = part, _PARENTS.get(before, "")
        elif machine := _machine(part, before):
            container, runtime = machine
        elif part == "supervisor" and runtime in ("nspawn", "machine") and _machine(before, ""):
            container = runtime = ""
        if (match := _POD.fullmatch(part)) or (match := _PODMAN_POD.fullmatch(part)):
            pod = match[1].replace("_", "-")
        if _SLICE.fullmatch(part):
            slice_ = part
        elif _UNIT.fullmatch(part) and not _CONTAINER.fullmatch(part):
            unit = part.removeprefix("_")  # systemd's escape where a name could be taken for the kernel's own file
            if _MANAGER.fullmatch(unit):
                manager = unit
        before = part
    return Place(unit=unit, slice=slice_, manager=manager, container=container, pod=pod, runtime=runtime)


def _machine(part: str, before: str) -> tuple[str, str] | None:
    """The name and runtime of a container that is called by its name."""
    if match := _LXC.fullmatch(part):
        name, runtime = match[1], "lxc"
    elif before == "lxc":
        name, runtime = part, "lxc"
    elif match := _NSPAWN.fullmatch(part):
        name, runtime = _unescape(match[1]), "nspawn"
    elif match := _MACHINE.fullmatch(part):
        name, runtime = _unescape(match[1]), "machine"
    else:
        return None
    return (name, runtime) if _NAME.fullmatch(name) else None


def _unescape(name: str) -> str:
    r"""Undoes systemd-escape(1): `\x2d` is a dash."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)


# ---- /proc/PID/cgroup ----

#: The order among hierarchies that say the same: systemd writes the first two, limits need the others.
_CONTROLLERS = ("name=systemd", "", "memory", "pids")


def choose(lines: Iterable[str]) -> str:
    """The path that says most among the lines of /proc/PID/cgroup: v2's `0::/path` and v1's `5:memory:/path`.

    On hybrid hosts they differ: systemd fills its own hierarchy, Docker's cgroupfs driver only v1's controllers.
    "" where no line is well-formed. Never raises.
    """
    best, best_rank = "", (rank(""), 0)
    for line in islice(lines, 64):
        parts = line.rstrip("\n").split(":", 2)
        if len(parts) != 3 or not parts[2].startswith("/"):
            continue
        path = parts[2].removesuffix(" (deleted)")[-PATH_MAX:]
        order = min((_CONTROLLERS.index(c) for c in parts[1].split(",") if c in _CONTROLLERS), default=9)
        if (this := (rank(path), 10 - order)) > best_rank:
            best, best_rank = path, this
    return best


def rank(path: str) -> tuple[bool, ...]:
    """How much a path says; of two, the greater says more."""
    named = place(path)
    return bool(named.container), bool(named.pod), bool(named.unit), bool(named.slice), path not in ("", "/")


# ---- names, from the runtimes' state on disk ----


class _Docker(Struct):
    """/var/lib/docker/containers/<id>/config.v2.json."""

    name: str = msgspec.field(name="Name", default="")


class _Stored(Struct):
    """One of containers/storage's containers.json (podman, CRI-O)."""

    id: str = ""
    names: list[str] | None = None


class _Bundle(Struct):
    """An OCI runtime's config.json."""

    annotations: dict[str, str] | None = None


_CONTAINERD = (
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
)
_STORAGE = ("var/lib/containers/storage/overlay-containers", "run/containers/storage/overlay-containers")
#: Annotations: container, pod, namespace.
_CRI_KEYS = (
    "io.kubernetes.cri.container-name",
    "io.kubernetes.cri.sandbox-name",
    "io.kubernetes.cri.sandbox-namespace",
)
_CRIO_KEYS = ("io.kubernetes.container.name", "io.kubernetes.pod.name", "io.kubernetes.pod.namespace")
#: How kubelet's containers are called in Docker and in containers/storage: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
_KUBELET = re.compile(r"k8s_([a-z0-9.-]+)_([a-z0-9.-]+)_([a-z0-9.-]+)_[0-9a-f-]+_[0-9]+")


def container_name(container: str, runtime: str, root: str = "/") -> str:
    """The name that an operator gave a container; Kubernetes' as namespace/pod/container. "" where it cannot be read.

    Reads the runtime's files on each call (some 20 µs; podman's list may take milliseconds): keep the answer.

    Args:
        container: the full id; only 64 hex digits are looked up, so that it never leads elsewhere.
        runtime: as in `Place`; "" asks every runtime.
        root: where the host's file system is.
    """
    if runtime in _NAMED:
        return container if _NAME.fullmatch(container) else ""
    if not _ID.fullmatch(container):
        return ""
    for name, reader in _READERS:
        if runtime in ("", name) and (found := reader(root.rstrip("/"), container)):
            return found
    return ""


def _docker(root: str, container: str) -> str:
    state = _load(f"{root}/var/lib/docker/containers/{container}/config.v2.json", _Docker)
    return _plain(state.name.removeprefix("/")) if state else ""


def _podman(root: str, container: str) -> str:
    for storage in _STORAGE:
        for file in ("containers.json", "volatile-containers.json"):  # the second: made with --rm
            for stored in _load(f"{root}/{storage}/{file}", list[_Stored]) or ():
                if stored.id == container and stored.names:
                    return _plain(stored.names[0])
    return ""


def _containerd(root: str, container: str) -> str:
    for tasks in _CONTAINERD:
        try:
            with os.scandir(f"{root}/{tasks}") as found:
                namespaces = [entry.name for entry in islice(found, 32)]
        except OSError:
            continue
        for namespace in namespaces:
            bundle = _load(f"{root}/{tasks}/{namespace}/{container}/config.json", _Bundle)
            if bundle and bundle.annotations:
                return _kubernetes(bundle.annotations, _CRI_KEYS) or _plain(bundle.annotations.get("nerdctl/name", ""))
    return ""


def _crio(root: str, container: str) -> str:
    for storage in _STORAGE:
        bundle = _load(f"{root}/{storage}/{container}/userdata/config.json", _Bundle)
        if bundle and bundle.annotations and (name := _kubernetes(bundle.annotations, _CRIO_KEYS)):
            return name
    return ""


#: Podman's list comes last: it is the longest, and CRI-O's containers stand in it too.
_READERS: tuple[tuple[str, Callable[[str, str], str]], ...] = (
    ("docker", _docker),
    ("containerd", _containerd),
    ("cri-o", _crio),
    ("podman", _podman),
)


def _plain(name: str) -> str:
    """A name as it may be shown: kubelet's long form as namespace/pod/container, "" where it is not well-formed."""
    if match := _KUBELET.fullmatch(name):
        return f"{match[3]}/{match[2]}/{match[1]}"
    return name if _NAME.fullmatch(name) else ""


def _kubernetes(annotations: dict[str, str], keys: tuple[str, str, str]) -> str:
    """Namespace/pod/container, as far as they are known; a pod's sandbox has no container's name."""
    container, pod, namespace = (_plain(annotations.get(key, "")) for key in keys)
    if not pod:
        return container
    return "/".join(name for name in (namespace, pod, container) if name)


_T = TypeVar("_T")


def _load(path: str, kind: type[_T]) -> _T | None:
    """A JSON file as `kind`; None where it is missing, longer than FILE_BYTES_MAX or something else."""
    try:
        # not blocking: should a FIFO lie there, opening it must not wait for its writer
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return msgspec.json.decode(os.read(file, FILE_BYTES_MAX), type=kind)
        finally:
            os.close(file)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
