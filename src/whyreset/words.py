import signal
from whyreset.model import Process


def describe_exit(process: Process) -> str:
    c = process.exit_code
    if c is None:
        return "still running"
    if c & 0x7F:
        return "killed by " + signal.Signals(c & 0x7F).name
    return f"exited with status {c >> 8}" if c >> 8 else "exited normally"


def name(process: Process) -> str:
    return f"{process.comm or '?'}[{process.pid}]"


def duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "some time"
    for limit, unit, size in ((1_000, "ms", 1), (120_000, "s", 1_000), (7_200_000, "min", 60_000)):
        if milliseconds < limit:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds // 3_600_000} h"
