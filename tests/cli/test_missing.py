"""Where rights, kernel features or libraries are missing: one helpful sentence, never a traceback.

What was asked for by name is refused with exit code 1; else the counters are read, which anybody may.
"""

import ctypes.util
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND, is_one_sentence, run

BTF = "/sys/kernel/btf/vmlinux"


def refused(*, before: Sequence[str] = ()) -> str:
    """What a watch says that cannot run, and was asked for something that only the kernel program can give."""
    ended = run("watch", "--json", "--exact-owners", "--duration", "1", before=before)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert is_one_sentence(ended.stderr), ended.stderr
    assert ended.stderr.startswith("whyreset: cannot watch: ")
    return ended.stderr


def where(mount: str) -> list[str]:
    """Starts a command where something else is mounted, for it alone."""
    needs.root()
    return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]


def as_nobody(*capabilities: str) -> list[str]:
    """Starts a command as a user without rights but these; skip where nobody cannot even start Python."""
    needs.root()
    held = ",".join(["-all", *(f"+{each}" for each in capabilities)])
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={held}"]
    user += [f"--ambient-caps={held}", f"--bounding-set={held}"]
    check = subprocess.run([*user, *COMMAND, "--version"], check=False, capture_output=True)
    if check.returncode:
        pytest.skip("another user cannot read this checkout or its Python")
    return user


def test_without_rights_the_sentence_says_which() -> None:
    """A user who is not root learns what is needed."""
    if os.geteuid() == 0:
        said = refused(before=as_nobody())
    else:
        said = refused()
    assert "root" in said
    assert "CAP_BPF" in said
    assert "CAP_PERFMON" in said


@pytest.mark.parametrize("capabilities", [[], ["bpf"], ["perfmon"], ["net_admin", "bpf"]], ids=",".join)
def test_root_without_capabilities_is_told_the_same(capabilities: list[str]) -> None:
    """In a container root is root by name only."""
    needs.root()
    held = ",".join(["-all", *(f"+{each}" for each in capabilities)])
    said = refused(before=["setpriv", f"--bounding-set={held}", f"--inh-caps={held}"])
    assert "CAP_BPF" in said
    assert "CAP_PERFMON" in said


def test_root_of_a_user_namespace_is_told_the_same() -> None:
    """There all capabilities are held, and none counts outside."""
    needs.root()
    if subprocess.run(["unshare", "-U", "-r", "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are not allowed here")
    said = refused(before=["unshare", "-U", "-r"])
    assert "CAP_BPF" in said


def test_two_capabilities_are_enough() -> None:
    """CAP_BPF and CAP_PERFMON watch, without root."""
    needs.program()
    ended = run("watch", "--json", "--duration", "0.2", before=as_nobody("bpf", "perfmon"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"type":"end"' in ended.stdout


def test_a_kernel_without_btf_is_told() -> None:
    """The file that is missing is named."""
    said = refused(before=where("mount -t tmpfs none /sys/kernel/btf"))
    assert "BTF" in said
    assert BTF in said


@pytest.mark.parametrize("content", [b"", b"not BTF at all, but longer than its header would be", b"cut"])
def test_a_kernel_with_damaged_btf_is_told(tmp_path: Path, content: bytes) -> None:
    """Whatever stands there instead, it is the file that is named."""
    damaged = tmp_path / "vmlinux"
    damaged.write_bytes(Path(BTF).read_bytes()[:100_000] if content == b"cut" else content)
    said = refused(before=where(f"mount --bind {damaged} {BTF}"))
    assert BTF in said


def test_a_kernel_that_tells_nothing_of_resets_is_told(tmp_path: Path) -> None:
    """BTF that knows no reasons, of resets or of dropped segments, is that of a kernel too old."""
    old = tmp_path / "vmlinux"
    blob = Path(BTF).read_bytes()
    for name in (b"SK_RST_REASON_NO_SOCKET", b"SKB_DROP_REASON_NO_SOCKET", b"tcp_send_active_reset"):
        blob = blob.replace(name, name[:-1] + b"_")
    old.write_bytes(blob)
    assert "6.10" in refused(before=where(f"mount --bind {old} {BTF}"))


@pytest.mark.parametrize("instead", ["/dev/null", "/etc/passwd", "another library"])
def test_a_host_without_libbpf_is_told_what_to_install(instead: str) -> None:
    """The package is named, whether the library is missing or damaged or another."""
    found = Path("/proc/self/maps")
    library = next((Path(line.split()[-1]) for line in mapped_by_libbpf(found)), None)
    if library is None:
        pytest.skip("libbpf.so.1 is not installed")
    if instead == "another library":
        instead = str(next(Path(line.split()[-1]) for line in found.read_text().splitlines() if "libc.so" in line))
    said = refused(before=where(f"mount --bind {instead} {library}"))
    assert "libbpf" in said
    assert "apt install" in said


def mapped_by_libbpf(maps: Path) -> list[str]:
    """The lines of this process's mappings that are libbpf's, once it is loaded."""
    if ctypes.util.find_library("bpf") is None:
        return []
    ctypes.CDLL("libbpf.so.1")
    return [line for line in maps.read_text().splitlines() if "libbpf.so" in line]


def test_too_few_descriptors_get_one_sentence() -> None:
    """A limit that is too low is said."""
    needs.program()
    said = refused(before=["sh", "-c", 'ulimit -n 12; exec "$@"', "sh"])
    assert "Too many open files" in said


def reduced(*, before: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The start line of a watch that only counts, and what its notice says."""
    ended = run("watch", "--json", "--duration", "0.3", before=before)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [lines[0]["type"], lines[-1]["type"]] == ["start", "end"]
    [notice] = [line for line in lines if line["type"] == "notice"]
    return lines[0], notice["text"]


def test_without_rights_the_counters_are_watched() -> None:
    """The first line says that, why and what is lost; one sentence says what rights would add."""
    start, said = reduced(before=as_nobody())
    assert (start["tier"], start["sources"]) == ("counters", ["counters"])
    kernel = next(each for each in start["missing"] if each["source"] == "kernel")
    assert "CAP_BPF" in kernel["why"]
    assert "by whom" in kernel["lost"]
    assert said.startswith(kernel["why"])
    assert "its cause and its owner" in said


def test_without_btf_or_libbpf_the_counters_are_watched() -> None:
    """Whatever keeps the kernel program from running is said in its place."""
    _, said = reduced(before=where("mount -t tmpfs none /sys/kernel/btf"))
    assert BTF in said


def test_without_counters_nothing_can_be_watched() -> None:
    """Then it ends with one sentence."""
    ended = run(
        "watch", "--duration", "1", before=where("mount -t tmpfs none /sys/kernel/btf && mount -t tmpfs none /proc")
    )
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr), ended.stderr


@pytest.mark.parametrize("words", [["--exact-owners"], ["--each"]], ids=" ".join)
def test_what_counters_cannot_give_is_refused(words: list[str]) -> None:
    """Who asked for it by name is not given something else."""
    ended = run("watch", "--duration", "1", *words, before=as_nobody())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert is_one_sentence(ended.stderr)
    assert "CAP_BPF" in ended.stderr


def test_a_plain_watch_without_rights_says_it_in_words() -> None:
    """Lines for people, also on a terminal: there is no row to show."""
    ended = run("watch", "--duration", "0.3", before=as_nobody())
    assert ended.returncode == 0
    assert "tier counters" in ended.stdout
    assert "note: loading eBPF needs root" in ended.stdout
