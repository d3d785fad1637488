"""What control groups' paths name, and the names in the runtimes' state on disk."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyreset.owners.containers import FILE_BYTES_MAX, Place, choose, container_name, place

ID = "4f3c" * 16
OTHER = "0a1b" * 16
UID = "2c48913c-b29f-11e7-9350-020968147796"
UID_ = UID.replace("-", "_")

PLACES = {
    # systemd
    "/": Place(),
    "": Place(),
    "/system.slice/nginx.service": Place(unit="nginx.service", slice="system.slice"),
    "/init.scope": Place(unit="init.scope"),
    "/system.slice/system-getty.slice/getty@tty1.service": Place(unit="getty@tty1.service", slice="system-getty.slice"),
    r"/system.slice/system-x.slice/x@a\x2db.service": Place(unit=r"x@a\x2db.service", slice="system-x.slice"),
    "/system.slice/_cpu.service": Place(unit="cpu.service", slice="system.slice"),
    "/system.slice/web.service/worker": Place(unit="web.service", slice="system.slice"),
    "/user.slice/user-1000.slice/session-3.scope": Place(unit="session-3.scope", slice="user-1000.slice"),
    "/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service": Place(
        unit="foo.service", slice="app.slice", manager="user@1000.service"
    ),
    "/user.slice/user-1000.slice/user@1000.service/init.scope": Place(
        unit="init.scope", slice="user-1000.slice", manager="user@1000.service"
    ),
    # Docker
    f"/docker/{ID}": Place(container=ID, runtime="docker"),
    f"/system.slice/docker-{ID}.scope": Place(slice="system.slice", container=ID, runtime="docker"),
    f"/system.slice/docker-{ID}.scope/system.slice/nginx.service": Place(
        unit="nginx.service", slice="system.slice", container=ID, runtime="docker"
    ),
    f"/custom/{ID}": Place(container=ID),
    # podman
    f"/machine.slice/libpod-{ID}.scope/container": Place(slice="machine.slice", container=ID, runtime="podman"),
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope": Place(
        slice=f"machine-libpod_pod_{OTHER}.slice", container=ID, pod=OTHER, runtime="podman"
    ),
    f"/libpod_parent/libpod-{ID}": Place(container=ID, runtime="podman"),
    f"/system.slice/web.service/libpod-payload-{ID}": Place(
        unit="web.service", slice="system.slice", container=ID, runtime="podman"
    ),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": Place(
        slice="user.slice", manager="user@1000.service", container=ID, runtime="podman"
    ),
    # Kubernetes
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope": Place(
        slice=f"kubepods-burstable-pod{UID_}.slice", container=ID, pod=UID, runtime="containerd"
    ),
    f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope/container": Place(
        slice=f"kubepods-pod{UID_}.slice", container=ID, pod=UID, runtime="cri-o"
    ),
    f"/kubepods/burstable/pod{UID}/{ID}": Place(container=ID, pod=UID),
    f"/kubepods/besteffort/pod{'ab' * 16}/{ID}": Place(container=ID, pod="ab" * 16),
    f"/system.slice/containerd.service/kubepods-besteffort-pod{UID_}.slice:cri-containerd:{ID}": Place(
        unit="containerd.service", slice="system.slice", container=ID, pod=UID, runtime="containerd"
    ),
    f"/docker/{OTHER}/kubelet.slice/kubelet-kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope": Place(
        slice=f"kubelet-kubepods-pod{UID_}.slice", container=ID, pod=UID, runtime="containerd"
    ),
    f"/k8s.io/{ID}": Place(container=ID, runtime="containerd"),
    f"/../../kubepods-pod{UID_}.slice/crio-{ID}.scope": Place(
        slice=f"kubepods-pod{UID_}.slice", container=ID, pod=UID, runtime="cri-o"
    ),
    # LXC, Incus, nspawn, machines
    "/lxc.payload.web/system.slice/nginx.service": Place(
        unit="nginx.service", slice="system.slice", container="web", runtime="lxc"
    ),
    "/lxc/101/ns/system.slice/ssh.service": Place(
        unit="ssh.service", slice="system.slice", container="101", runtime="lxc"
    ),
    r"/machine.slice/systemd-nspawn@my\x2dbox.service/payload": Place(
        unit=r"systemd-nspawn@my\x2dbox.service", slice="machine.slice", container="my-box", runtime="nspawn"
    ),
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope": Place(
        unit=r"machine-qemu\x2d1\x2dvm.scope", slice="machine.slice", container="qemu-1-vm", runtime="machine"
    ),
    # monitors stand outside of what they watch
    f"/machine.slice/libpod-conmon-{ID}.scope": Place(unit=f"libpod-conmon-{ID}.scope", slice="machine.slice"),
    "/lxc.monitor.web": Place(),
    "/machine.slice/systemd-nspawn@web.service/supervisor": Place(
        unit="systemd-nspawn@web.service", slice="machine.slice"
    ),
    # only the last components are known, or the group is gone
    f"kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope": Place(
        slice=f"kubepods-burstable-pod{UID_}.slice", container=ID, pod=UID, runtime="containerd"
    ),
    "nginx.service": Place(unit="nginx.service"),
    "/system.slice/nginx.service (deleted)": Place(unit="nginx.service", slice="system.slice"),
    # not well-formed
    f"/docker/{ID[:-1]}": Place(),
    f"/docker/{ID.upper()}": Place(),
    f"/system.slice/docker-{ID[:-2]}.scope": Place(unit=f"docker-{ID[:-2]}.scope", slice="system.slice"),
    "/system.slice/a b.service": Place(slice="system.slice"),
    "/system.slice/\x1b[31m.service": Place(slice="system.slice"),
    "/kubepods/pod../x": Place(),
    "/lxc.payload...": Place(),
}


@pytest.mark.parametrize("path", PLACES, ids=range(len(PLACES)))
def test_a_path_names_its_unit_container_and_pod(path: str) -> None:
    """Each shape of path that systemd and the container runtimes make is understood, v1's and v2's alike."""
    assert place(path) == PLACES[path]


def test_a_long_path_is_read_from_its_end() -> None:
    """However long a path is made, the leaf still names the unit, and what is too long for a name is none."""
    assert place("/x" * 10_000 + "/system.slice/nginx.service").unit == "nginx.service"
    assert place(f"/docker/{ID}" + "/x" * 10_000) == Place()
    assert place("a-" * 200 + f"pod{UID}") == Place()


WELL_FORMED = {
    "unit": r"[A-Za-z0-9:_.\\@-]+\.(service|scope|socket|mount|swap)",
    "slice": r"[A-Za-z0-9:_.\\@-]+\.slice",
    "manager": r"user@\d+\.service",
    "container": r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    "pod": r"[0-9a-f-]+",
    "runtime": r"[a-z-]+",
}
PARTS = st.sampled_from([part for path in PLACES for part in path.split("/")]) | st.text(max_size=20)


@settings(deadline=None)
@given(st.text() | st.lists(PARTS).map("/".join))
def test_any_path_gives_well_formed_names_or_none(path: str) -> None:
    """Paths are chosen by others: none raises, and no name comes out that is not one."""
    found = place(path)
    for field, form in WELL_FORMED.items():
        assert getattr(found, field) == "" or re.fullmatch(form, getattr(found, field)), field


# ---- /proc/PID/cgroup ----


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["0::/system.slice/nginx.service\n"], "/system.slice/nginx.service"),
        (["0::/"], "/"),
        ([], ""),
        (["", "x", "0::", "0::relative", "a:b"], ""),
        # hybrid: systemd's own hierarchy and v2 say the same; limits are elsewhere
        (["3:pids:/", "1:name=systemd:/s.slice/a.service", "0::/s.slice/a.service"], "/s.slice/a.service"),
        (["2:cpu,cpuacct:/limits", "1:name=systemd:/", "0::/"], "/limits"),
        # Docker's cgroupfs driver leaves v2 to the daemon's unit
        ([f"5:memory:/docker/{ID}", "0::/system.slice/containerd.service"], f"/docker/{ID}"),
        # a systemd inside the container fills its own hierarchy only
        ([f"5:memory:/docker/{ID}", f"1:name=systemd:/docker/{ID}/system.slice/a.service", "0::/"],
         f"/docker/{ID}/system.slice/a.service"),
        # a colon in a path, and a group that is gone
        (["0::/system.slice/a:b.service (deleted)"], "/system.slice/a:b.service"),
    ],
)  # fmt: skip
def test_the_line_that_says_most_is_chosen(lines: list[str], chosen: str) -> None:
    """Of v2's line and v1's many, the one that names a container, else a unit, is the process's place."""
    assert choose(lines) == chosen
    assert choose(reversed(lines)) == chosen


@settings(deadline=None)
@given(st.lists(st.text() | st.builds("{}:{}:/{}".format, st.integers(), st.text(), PARTS)))
def test_any_lines_choose_one_of_their_paths(lines: list[str]) -> None:
    """No content of /proc/PID/cgroup raises or makes a path up."""
    chosen = choose(lines)
    assert chosen == "" or any(chosen in line for line in lines)


# ---- names ----

CRI = {
    "io.kubernetes.cri.container-name": "nginx",
    "io.kubernetes.cri.sandbox-name": "web-5d9f",
    "io.kubernetes.cri.sandbox-namespace": "shop",
}
CRIO = {
    "io.kubernetes.container.name": "nginx",
    "io.kubernetes.pod.name": "web-5d9f",
    "io.kubernetes.pod.namespace": "shop",
}
DOCKER = f"var/lib/docker/containers/{ID}/config.v2.json"
PODMAN = "var/lib/containers/storage/overlay-containers/containers.json"
STORED = [{"id": OTHER, "names": ["db"]}, {"id": ID, "names": ["web"], "metadata": "{}"}]


def put(root: Path, path: str, content: object) -> Path:
    """Writes a JSON file under a made-up root."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("runtime", "path", "content", "name"),
    [
        ("docker", DOCKER, {"ID": ID, "Name": "/web", "State": {"Pid": 7}}, "web"),
        ("docker", DOCKER, {"Name": f"/k8s_nginx_web-5d9f_shop_{UID}_0"}, "shop/web-5d9f/nginx"),
        ("podman", PODMAN, STORED, "web"),
        ("podman", PODMAN.replace("containers.json", "volatile-containers.json"), STORED, "web"),
        ("podman", PODMAN.replace("var/lib", "run"), STORED, "web"),
        (
            "containerd",
            f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json",
            {"ociVersion": "1.1.0", "annotations": CRI},
            "shop/web-5d9f/nginx",
        ),
        (
            "containerd",
            f"run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json",
            {"annotations": {key: value for key, value in CRI.items() if "container-name" not in key}},
            "shop/web-5d9f",
        ),
        (
            "containerd",
            f"run/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json",
            {"annotations": {"nerdctl/name": "web"}},
            "web",
        ),
        (
            "cri-o",
            f"run/containers/storage/overlay-containers/{ID}/userdata/config.json",
            {"annotations": CRIO},
            "shop/web-5d9f/nginx",
        ),
    ],
)
def test_the_name_is_read_from_the_runtimes_state(
    tmp_path: Path, runtime: str, path: str, content: object, name: str
) -> None:
    """Each runtime's file gives the name, also when the path did not tell the runtime; another container's does not."""
    put(tmp_path, path, content)
    assert container_name(ID, runtime, str(tmp_path)) == name
    assert container_name(ID, "", str(tmp_path)) == name
    assert container_name("ffff" * 16, runtime, str(tmp_path)) == ""


def test_another_runtimes_state_is_not_asked(tmp_path: Path) -> None:
    """Where the path tells the runtime, no other one's files name the container."""
    put(tmp_path, DOCKER, {"Name": "/web"})
    assert container_name(ID, "podman", str(tmp_path)) == ""


def test_machines_are_called_by_their_name(tmp_path: Path) -> None:
    """LXC, Incus and nspawn have no other id than the name, and nothing is read for it."""
    assert container_name("web", "lxc", str(tmp_path)) == "web"
    assert container_name("../web", "lxc", str(tmp_path)) == ""


@pytest.mark.parametrize("container", ["../../../../etc", ID[:12], ID + "/..", ID + "\n", ID.upper(), ""])
def test_only_a_full_id_is_looked_up(tmp_path: Path, container: str) -> None:
    """What is not 64 hex digits never becomes part of a path, even where a file lies there."""
    if container.strip():
        put(tmp_path, f"var/lib/docker/containers/{container}/config.v2.json", {"Name": "/trap"})
    put(tmp_path, "etc/config.v2.json", {"Name": "/trap"})
    assert container_name(container, "docker", str(tmp_path)) == ""


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", '"x"', "[" * 100_000, '{"x": ' + "[" * 100_000,
        '{"Name": 5}', '{"Name": "\\u001b[31mred"}', '{"Name": "/../x"}',
        '{"Name": "/web", "pad": "' + "x" * FILE_BYTES_MAX + '"}',
    ],
    ids=range(11),
)  # fmt: skip
def test_a_file_that_is_not_as_expected_gives_no_name(tmp_path: Path, content: str) -> None:
    """Broken, foreign, deep, oversized and unprintable state is passed over."""
    put(tmp_path, DOCKER, content)
    assert container_name(ID, "docker", str(tmp_path)) == ""


def test_a_file_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO or a symbolic link in the file's place is neither opened for reading nor followed."""
    file = put(tmp_path, DOCKER, {"Name": "/web"})
    elsewhere = file.rename(tmp_path / "elsewhere")
    os.mkfifo(file)
    assert container_name(ID, "docker", str(tmp_path)) == ""
    file.unlink()
    file.symlink_to(elsewhere)
    assert container_name(ID, "docker", str(tmp_path)) == ""
