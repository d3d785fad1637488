"""What the logs of a host say of a time: crashes, kills for want of memory, units that stopped, failed or came back.

From the journal (systemd's own messages by their ids, see systemd.catalog, and the kernel's), and from the kernel's
ring for the time since boot. Bounded; what cannot be read is said.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from whyreset.model import Missing
from whyreset.owners import logs
from whyreset.stored import Incident, IncidentKind

#: Entries that are read: the latest of the time.
MOST = 1000
_KINDS: dict[str, IncidentKind] = {
    "b07a249cd024414a82dd00cd181378ff": "boot",
    logs.COREDUMP: "crash",
    logs.UNIT_PROCESS_EXIT: "failed",
    "fe6faa94e7774663a0da52717891d8ef": "out-of-memory",
    "d9b373ed55a64feb8242e02dbe79a49c": "failed",
    "be02cf6855d2428ba40df7e9d022f03d": "failed",
    "9d1aaa27d60140bd96365438aad20286": "stopped",
    "39f53479d3a045ac8e11786248231fbf": "started",
    "5eb03494b6584870a536b337290809b3": "restart",
    "7b05ebc668384222baa8881179cfda54": "reloaded",
}
_PATIENCE = 20.0
_KERNEL_WORDS = "Killed process|segfault at|general protection|trap |unhandled|unexpected fatal"
_DIED = re.compile(r"code=(?:killed|dumped)")
#: What has listeners.
_SERVICES = (".service", ".socket", ".scope")


def incidents(since: float, until: float, *, journal: str, boot_ns: int) -> tuple[list[Incident], Missing | None]:
    """What the logs say of that time, oldest first, and what could not be read.

    Args:
        since, until: seconds since the epoch.
        journal: a file or folder of journals; "" for this host's own.
        boot_ns: nanoseconds since the epoch when the kernel's own clock was 0.
    """
    where = _place(journal)
    span = (f"--since=@{math.floor(since)}", f"--until=@{math.ceil(until)}")
    # anybody may write such ids; _PID is journald's own word
    told = [f"MESSAGE_ID={each}" for each in _KINDS if each != logs.COREDUMP]
    words = (*told, "_PID=1", "+", f"MESSAGE_ID={logs.COREDUMP}")
    units = logs.journal((*where, *span), *words, most=MOST, seconds=_PATIENCE)
    grep = f"--grep={_KERNEL_WORDS}"
    kernel = logs.journal((*where, *span, grep), "_TRANSPORT=kernel", most=MOST, seconds=_PATIENCE)
    if units is None or kernel is None:
        return [], _missing(f"journalctl is not installed, or did not answer within {_PATIENCE:.0f} s")
    found = [_of_systemd(each) for each in units]
    found += [_of_kernel(each.time_ns, "journal", each.said) for each in kernel]
    if not journal and not kernel:
        lines = logs.kernel_lines(0, boot_ns=boot_ns, most=MOST)
        found += [
            _of_kernel(each.time_ns, each.log, each.text) for each in lines if since <= each.time_ns / 1e9 <= until
        ]
    incidents = sorted((each for each in found if each is not None), key=lambda each: each.time_ns)
    if max(len(units), len(kernel)) >= MOST:
        return incidents, _missing(f"more than {MOST:,} entries speak of that; those before the latest were not read")
    if not incidents and not logs.journal((*where, *span), most=1, seconds=_PATIENCE):
        return incidents, _missing("the journal holds nothing of that time, or not for this user (try as root)")
    return incidents, None


def _missing(why: str) -> Missing:
    lost = "which services crashed, were killed, stopped or restarted then"
    return Missing(source="journal", why=why, lost=lost)


def _place(journal: str) -> tuple[str, ...]:
    if not journal:
        return ()
    return (f"--directory={journal}" if Path(journal).is_dir() else f"--file={journal}",)


def _of_systemd(entry: logs.Entry) -> Incident | None:
    """Of a unit that may listen; a unit's end is a crash where a signal ended it."""
    kind = _KINDS.get(logs.text(entry.message_id))
    unit = logs.text(entry.unit) or logs.text(entry.dumped_unit)
    if kind is None or (kind not in ("boot", "crash") and not unit.endswith(_SERVICES)):
        return None
    if kind == "failed" and _DIED.search(entry.said):
        kind = "crash"
    return Incident(time_ns=entry.time_ns, log="journal", kind=kind, unit=unit, text=entry.said)


def _of_kernel(time_ns: int, log: str, said: str) -> Incident | None:
    if logs.killed(said):
        return Incident(time_ns=time_ns, log=log, kind="out-of-memory", unit="", text=said)
    if logs.crashed(said):
        return Incident(time_ns=time_ns, log=log, kind="crash", unit="", text=said)
    return None
