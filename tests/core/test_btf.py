"""Names from the kernel's BTF."""

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from whyreset.core import btf

VMLINUX = Path("/sys/kernel/btf/vmlinux")
INT, ARRAY, STRUCT, ENUM, FUNC, FUNC_PROTO, VAR, DATASEC, DECL_TAG, ENUM64 = 1, 3, 4, 6, 12, 13, 14, 15, 17, 19
#: Bytes behind each kind's type: a fixed part and one for each member (Documentation/bpf/btf.rst).
OTHER_KINDS = {
    INT: (4, 0),
    2: (0, 0),
    ARRAY: (12, 0),
    STRUCT: (0, 12),
    5: (0, 12),
    7: (0, 0),
    8: (0, 0),
    9: (0, 0),
    10: (0, 0),
    11: (0, 0),
    12: (0, 0),
    FUNC_PROTO: (0, 8),
    VAR: (4, 0),
    DATASEC: (0, 12),
    16: (0, 0),
    DECL_TAG: (4, 0),
    18: (0, 0),
    ENUM64: (0, 12),
}


class Builder:
    """Writes BTF."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""

    def text(self, text: str) -> int:
        """A string's offset."""
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text.encode()) - 1

    def add(self, kind: int, name: int = 0, members: int = 0, body: bytes = b"", *, flag: bool = False) -> None:
        """One type."""
        self.types += struct.pack("<III", name, kind << 24 | members | flag << 31, 4) + body

    def enum(self, values: dict[str, int], *, flag: bool = False) -> None:
        """An enumeration."""
        body = b"".join(struct.pack("<Ii", self.text(name), value) for name, value in values.items())
        self.add(ENUM, self.text("an_enum"), len(values), body, flag=flag)

    def blob(self) -> bytes:
        """The whole."""
        sections = struct.pack("<IIIII", 24, 0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("<HBB", 0xEB9F, 1, 0) + sections + self.types + self.strings


def test_an_enumeration_is_found_by_one_of_its_names() -> None:
    """All enumerators come with their values, also negative ones and 2**31 - 1."""
    builder = Builder()
    values = {"A_ONE": 1, "A_MINUS": -7, "A_MAX": (1 << 31) - 1, "A_ZERO": 0}
    builder.enum(values, flag=True)
    assert btf.enums(builder.blob(), ["A_ZERO"]) == {"A_ZERO": values}


def test_functions_are_found_by_their_type() -> None:
    """A name alone is not enough: a structure's member may have it too. The number is the type's, from one on."""
    builder = Builder()
    builder.add(INT, builder.text("int"), body=bytes(4))
    builder.add(STRUCT, builder.text("tcp_check_req"), 0)
    builder.add(FUNC_PROTO)
    builder.add(FUNC, builder.text("inet_csk_accept"), 1)  # the count of a function is its linkage
    builder.add(FUNC, builder.text("tcp_send_active_reset"))
    wanted = ["tcp_send_active_reset", "inet_csk_accept", "tcp_check_req", "absent"]
    assert btf.functions(builder.blob(), wanted) == {"inet_csk_accept": 4, "tcp_send_active_reset": 5}


def test_functions_of_this_kernel_are_those_that_bpftool_finds() -> None:
    """The same numbers as by another reader."""
    bpftool = shutil.which("bpftool")
    if bpftool is None or not VMLINUX.exists():
        pytest.skip("needs bpftool and the kernel's BTF")
    shown = subprocess.run([bpftool, "btf", "dump", "file", str(VMLINUX)], check=True, capture_output=True, text=True)
    found = dict(re.findall(r"^\[(\d+)\] FUNC '(tcp_v4_rcv|inet_csk_accept)'", shown.stdout, re.MULTILINE))
    expected = {name: int(number) for number, name in found.items()}
    assert btf.functions(VMLINUX.read_bytes(), ["tcp_v4_rcv", "inet_csk_accept"]) == expected


def test_several_enumerations_are_found_and_absent_ones_left_out() -> None:
    """Each name gives the enumeration that holds it; what this kernel does not have is no error."""
    builder = Builder()
    builder.enum({"A": 1})
    builder.enum({"UNWANTED": 3})
    builder.enum({"B": 2})
    assert btf.enums(builder.blob(), ["A", "B", "ABSENT"]) == {"A": {"A": 1}, "B": {"B": 2}}


def test_two_names_of_one_enumeration_both_find_it() -> None:
    """Whoever asks by either name is answered."""
    builder = Builder()
    builder.enum({"A": 1, "B": 2})
    assert btf.enums(builder.blob(), ["A", "B"]) == {"A": {"A": 1, "B": 2}, "B": {"A": 1, "B": 2}}


def test_a_name_inside_another_is_not_that_name() -> None:
    """Only whole names count: neither the beginning nor the end of another."""
    builder = Builder()
    builder.enum({"A_LONG": 1, "X_A": 2})
    assert btf.enums(builder.blob(), ["A", "LONG"]) == {}


def test_nothing_asked_is_nothing_found() -> None:
    """Without names there is nothing to look for."""
    builder = Builder()
    builder.enum({"A": 1})
    assert btf.enums(builder.blob(), []) == {}


@pytest.mark.parametrize("members", [0, 1, 3])
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_every_other_kind_is_stepped_over(kind: int, members: int) -> None:
    """An enumeration is found behind types of any kind, whatever bytes these hold."""
    fixed, each = OTHER_KINDS[kind]
    builder = Builder()
    wanted = builder.text("A")
    # a body that would be read as the wanted enumerator if it were taken for an enumeration
    body = (struct.pack("<II", wanted, 99) * 10)[: fixed + each * members]
    builder.add(kind, 0, members if each else 0, body[: fixed + (each * members)])
    builder.enum({"B": 5})
    assert btf.enums(builder.blob(), ["A", "B"]) == {"B": {"B": 5}}


def test_an_unknown_kind_ends_the_walk() -> None:
    """A kind from the future has an unknown size: what came before it is still told, and nothing is guessed."""
    builder = Builder()
    builder.enum({"A": 1})
    builder.add(25)
    builder.enum({"B": 2})
    assert btf.enums(builder.blob(), ["A", "B"]) == {"A": {"A": 1}}


def test_an_enumeration_cut_by_its_section_is_left_out() -> None:
    """A count of members that reaches beyond the types is not followed."""
    builder = Builder()
    builder.enum({"A": 1})
    blob = bytearray(builder.blob())
    blob[24 + 4] = 200
    assert btf.enums(bytes(blob), ["A"]) == {}


def test_every_cut_of_a_blob_is_refused() -> None:
    """However many bytes are missing, the rest is not taken for BTF."""
    builder = Builder()
    builder.enum({"A": 1, "B": 2})
    blob = builder.blob()
    for length in range(len(blob)):
        with pytest.raises(ValueError, match="not BTF"):
            btf.enums(blob[:length], ["A"])


def test_names_that_are_not_text_are_a_value_error() -> None:
    """Enumerators that are not UTF-8 cannot be names."""
    builder = Builder()
    builder.enum({"A": 1, "ZZ": 2})
    with pytest.raises(ValueError, match="utf-8"):
        btf.enums(builder.blob().replace(b"ZZ", b"\xff\xff"), ["A"])


@pytest.mark.parametrize("name", ["TCP_ESTABLISHED", "TCP_MIB_OUTRSTS", "LINUX_MIB_LISTENOVERFLOWS"])
def test_this_kernels_names_are_what_bpftool_reads(name: str) -> None:
    """The enumerations of the running kernel, against an independent reader of the same file."""
    if not VMLINUX.exists():
        pytest.skip(f"this kernel has no BTF ({VMLINUX} is missing)")
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    command = ["bpftool", "-j", "btf", "dump", "file", str(VMLINUX)]
    dump = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    for each in dump["types"]:
        values = {value["name"]: value["val"] for value in each.get("values", ())} if each["kind"] == "ENUM" else {}
        if name in values:
            assert btf.enums(VMLINUX.read_bytes(), [name]) == {name: values}
            return
    raise AssertionError(f"bpftool knows no {name}")


def test_this_kernels_reasons_are_those_of_its_tracepoint() -> None:
    """Reasons by number are what the event's own format prints."""
    if not VMLINUX.exists():
        pytest.skip(f"this kernel has no BTF ({VMLINUX} is missing)")
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount the tracing file system where nobody else sees it")
    tracing = "/sys/kernel/tracing"
    show = f"mount -t tracefs none {tracing} && cat {tracing}/events/tcp/tcp_send_reset/format"
    shown = subprocess.run(["unshare", "-m", "sh", "-c", show], check=True, capture_output=True, text=True, timeout=60)
    symbols = shown.stdout.partition("REC->reason,")[2]
    values = btf.enums(VMLINUX.read_bytes(), ["SK_RST_REASON_NO_SOCKET"])["SK_RST_REASON_NO_SOCKET"]
    told = {name.removeprefix("SK_RST_REASON_"): number for name, number in values.items()}
    assert told == {name: int(number) for number, name in re.findall(r'{ (\d+), "(\w+)" }', symbols)}
