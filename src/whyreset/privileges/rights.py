"""Giving up rights: capabilities(7), user and groups, and the way back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection

# linux/prctl.h, linux/capability.h
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_SET_DUMPABLE, _PR_SET_NAME, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 15, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x20080522

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 0, 1, 2
CAP_SETGID, CAP_SETUID = 6, 7
CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, CAP_SYS_ADMIN = 12, 13, 19, 21

_libc = ctypes.CDLL(None, use_errno=True)


class RightsError(Exception):
    """Rights could not be given up; a sentence."""


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """struct __user_cap_data_struct, of which there are two: for capabilities below 32, and from there."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def keep_only(kept: Collection[int]) -> None:
    """Gives up all other capabilities for good, also for what is executed later.

    Raises:
        RightsError: the kernel did not allow it.
    """
    held = int(_status()["CapPrm"], 16)
    # dropping from the bounding set takes CAP_SETPCAP, so it comes first
    _bound(kept)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    mask = sum(1 << number for number in kept) & held
    data = (_Data * 2)(*(_Data(mask >> low & 0xFFFFFFFF, mask >> low & 0xFFFFFFFF, 0) for low in (0, 32)))
    header = _Header(_VERSION_3, 0)
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)):
        raise RightsError(f"capabilities cannot be given up: {os.strerror(ctypes.get_errno())}")
    seal()


def give_up_all() -> None:
    """Gives up every capability and stays the same user, who may be no other here.

    Raises:
        RightsError: something was left.
    """
    keep_only(())
    _check()


def become(uid: int, gid: int) -> None:
    """Becomes that user, without any other group and without any capability.

    Raises:
        RightsError: it cannot, or something was left.
    """
    # the kernel forgets with whose end this process shall end when its user changes
    ending = ctypes.c_int(0)
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(ending), 0, 0, 0)
    parent = os.getppid()
    try:
        # the bounding set first, while that is still allowed
        _bound(())
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise RightsError(f"this process cannot become user {uid}: {error.strerror}") from error
    give_up_all()
    status = _status()
    if status["Uid"].split() != [str(uid)] * 4 or status["Gid"].split() != [str(gid)] * 4 or status["Groups"].split():
        raise RightsError("rights could not be given up: its user or groups are others")
    if ending.value:
        _libc.prctl(_PR_SET_PDEATHSIG, ending.value, 0, 0, 0)
        if os.getppid() != parent:  # it ended meanwhile
            os.kill(os.getpid(), ending.value)


def seal() -> None:
    """Nothing that is executed can gain rights; nobody of the same user looks into this process, also not its dump."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise RightsError(f"new privileges cannot be ruled out: {os.strerror(ctypes.get_errno())}")


def call_yourself(name: str) -> None:
    """The name in ps and /proc, 15 bytes at most."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def user(name: str, path: str = "/etc/passwd") -> tuple[int, int]:
    """Numbers of a user and of its group, by name or «UID» or «UID:GID»; no name service, which may ask the network.

    Raises:
        RightsError: there is none of that name, or it is root.
    """
    uid, _, gid = name.partition(":")
    found: tuple[int, int] | None = None
    if uid.isdecimal() and len(uid) < 10 and (not gid or (gid.isdecimal() and len(gid) < 10)):
        found = int(uid), int(gid or uid)
    else:
        found = _entry(name, path)
    if found is None:
        raise RightsError(f"there is no user {name!r} in {path}: name another with --user")
    if not found[0]:
        raise RightsError("the user of --user may not be root: its point is to have no rights")
    return found


def has_any() -> bool:
    """Whether there is any capability to give up."""
    return bool(int(_status()["CapEff"], 16))


def can_become(uid: int, gid: int) -> bool:
    """Whether this process may become that user: it takes two capabilities, and the number must stand for somebody."""
    held = int(_status()["CapEff"], 16)
    return bool(held >> CAP_SETUID & held >> CAP_SETGID & 1) and _is_mapped("uid", uid) and _is_mapped("gid", gid)


def _is_mapped(kind: str, number: int) -> bool:
    """user_namespaces(7): where groups may not be set, no group is mapped but one's own."""
    try:
        with open(f"/proc/self/{kind}_map") as file:
            ranges = [[int(word) for word in line.split()] for line in file]
        with open("/proc/self/setgroups") as file:
            allowed = kind == "uid" or file.read().strip() == "allow"
    except FileNotFoundError:  # a kernel without user namespaces
        return True
    return allowed and any(first <= number < first + length for first, _, length in ranges)


def usual_user(path: str = "/etc/passwd") -> str:
    """`whyreset` where somebody has made such a user, else nobody."""
    return "whyreset" if _entry("whyreset", path) else "65534" if not _entry("nobody", path) else "nobody"


def _entry(name: str, path: str) -> tuple[int, int] | None:
    try:
        with open(path, "rb") as file:
            lines = file.read(1 << 20).decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    for line in lines:
        fields = line.split(":")
        if len(fields) >= 4 and fields[0] == name and fields[2].isdecimal() and fields[3].isdecimal():
            return int(fields[2]), int(fields[3])
    return None


def _status() -> dict[str, str]:
    with open("/proc/thread-self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def _bound(kept: Collection[int]) -> None:
    for number in range(_last() + 1):
        if number not in kept:
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)


def _last() -> int:
    """The kernel's last capability; some below 64 that do not exist do no harm."""
    try:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            return min(int(file.read()), 63)
    except (OSError, ValueError):
        return 40


def _check() -> None:
    status = _status()
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        # without CAP_SETPCAP the bounding set stays, which no_new_privs makes worthless
        if int(status.get(name, "0"), 16) and name != "CapBnd":
            raise RightsError(f"rights could not be given up: {name} is {status[name]}")
    if status["NoNewPrivs"] != "1":
        raise RightsError("rights could not be given up: NoNewPrivs is 0")
