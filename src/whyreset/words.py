"""An operator's words: what a process is called, how it ended, how long something took.

Rules. Of an interpreter the script, module or class is what matters: `python3 /usr/bin/gunicorn app` is gunicorn. The
options that may stand before it are in one table. A command line is what the process says of itself: it is only read,
shown escaped, and where it does not tell, the kernel's name of the process stands.
"""

from __future__ import annotations

import re
import signal
import time

from msgspec import Struct

from whyreset.model import Process

#: A longer name is cut.
NAME_MAX = 64

#: What wait(2) packs into one number.
_SIGNAL_MASK = 0x7F
_COMM_MAX = 15


class _Interpreter(Struct, frozen=True, kw_only=True):
    """How an interpreter's command line is read; options of one letter stand without their dash."""

    names: frozenset[str]
    #: Options whose value is the program.
    program: frozenset[str] = frozenset()
    #: Options that take a value, often the next word.
    value: frozenset[str] = frozenset()
    #: Options after which the program is in no file.
    inline: frozenset[str] = frozenset()
    #: Letters that may have a value, but only within the same word.
    attached: frozenset[str] = frozenset()
    #: Words that may stand before the program.
    verbs: frozenset[str] = frozenset()
    #: Letters may share a dash, and a value its word (`-Im http.server`); else an option is the whole word.
    letters: bool = True


def _interpreter(names: str, *, letters: bool = True, **options: str) -> _Interpreter:
    return _Interpreter(
        names=frozenset(names.split()),
        letters=letters,
        **{kind: frozenset(words.split()) for kind, words in options.items()},
    )


_INTERPRETERS = (
    _interpreter("python pypy", program="m", value="W X --check-hash-based-pycs", inline="c"),
    _interpreter(
        "node nodejs",
        letters=False,
        value="-r --require --import --loader --experimental-loader -C --conditions",
        inline="-e --eval -p --print -pe",
    ),
    _interpreter(
        "java",
        letters=False,
        program="-jar -m --module",
        value="-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --limit-modules"
        " --add-reads --add-exports --add-opens",
    ),
    _interpreter("ruby", value="I r C E X", inline="e", attached="i K T W x F 0"),
    _interpreter("perl", value="I", inline="e E", attached="i C F x 0 l D M m V d"),
    _interpreter("php", program="f", value="c d S t z", inline="r B R F E"),
    _interpreter("sh bash dash ash zsh ksh mksh pdksh", value="o O --rcfile --init-file", inline="c s"),
    _interpreter("lua luajit", value="l", inline="e"),
    _interpreter("dotnet mono deno bun", letters=False, verbs="exec run"),
)


def name(process: Process) -> str:
    """How an operator would call a process: `nginx[911]`, `gunicorn[912]`; printable whatever the process says."""
    return f"{program(process)}[{process.pid}]"


def program(process: Process) -> str:
    """The same without the pid: what processes that do one thing have in common."""
    label = _script_name(process) or _full_comm(process) or "?"
    return escape(label[:NAME_MAX])


def service(process: Process) -> str:
    """What a process is part of, as an operator would look it up: its unit, container or pod; "" for none."""
    return escape(process.unit or process.container_name or process.container[:12] or process.pod)


def clock(time_ns: int) -> str:
    """A time of day here, from nanoseconds since the epoch."""
    return time.strftime("%H:%M:%S", time.localtime(time_ns / 1e9))


def describe_exit(process: Process) -> str:
    """How a process ended, in an operator's words; "" while it runs or where that is not known."""
    if process.exit_code is None:
        return ""
    if number := process.exit_code & _SIGNAL_MASK:  # 0x80 beside it: it left a core dump
        try:
            word = signal.Signals(number).name
        except ValueError:
            word = f"signal {number}"
        # a process that was chosen may also have ended by itself before
        memory = " (out of memory)" if process.out_of_memory and number == signal.SIGKILL else ""
        return f"killed by {word}{memory}"
    status = process.exit_code >> 8 & 0xFF
    return f"exited with status {status}" if status else "exited normally"


def escape(text: str) -> str:
    """Text of other processes made harmless: what is not printable (control and bidirectional marks too) as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def duration(milliseconds: int | None) -> str:
    """A span in the words of a person: «3 ms», «12 s», «4 min», «2 h»."""
    if milliseconds is None:
        return "some time"
    for limit, unit, size in ((1_000, "ms", 1), (120_000, "s", 1_000), (7_200_000, "min", 60_000)):
        if milliseconds < limit:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds // 3_600_000} h"


def amount(number: int, unit: str) -> str:
    """So many of what can be counted: «1 byte», «1500 bytes»."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def percent(part: int, whole: int) -> str:
    """«98.7 %»; 100 only for all, and 0 only for none."""
    if not part or part == whole:
        return "100 %" if part else "0 %"
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f} %"


def span(nanoseconds: int) -> str:
    """A span that may be short, in the words of a person: «42 µs», «3 ms», «1.2 s», «12 s»."""
    nanoseconds = max(0, nanoseconds)
    if nanoseconds < 1_000_000:
        return f"{nanoseconds // 1_000} µs"
    if 1_000_000_000 <= nanoseconds < 10_000_000_000:
        return f"{nanoseconds / 1e9:.1f} s"
    return duration(nanoseconds // 1_000_000)


def _full_comm(process: Process) -> str:
    """The kernel's name, completed where the kernel cut it."""
    exe = _base(process.exe)
    if len(process.comm.encode(errors="replace")) >= _COMM_MAX and exe.startswith(process.comm):
        return exe
    return process.comm or exe


def _script_name(process: Process) -> str:
    """What an interpreter runs; "" where the process is none or its command line does not tell."""
    if not process.command:
        return ""
    exe, first = _base(process.exe) or process.comm, _base(process.command[0])
    if exe == "busybox":
        exe = first
    kind = _interpreter_called(exe)
    if kind is None:
        return ""
    if first and _interpreter_called(first) is None:
        return _title(process.command[0])
    found = _base(_script(process.command[1:], kind))
    return found if re.search(r"\w", found) else ""


def _interpreter_called(name: str) -> _Interpreter | None:
    """By its name, with or without a version: python3, python3.13t, -bash (a login shell)."""
    plain = name.removeprefix("-")
    for ending in ("", "-dbg", "t"):
        if plain.endswith(ending):
            stem = plain.removesuffix(ending).rstrip("0123456789.")
            if found := next((each for each in _INTERPRETERS if stem in each.names), None):
                return found
    return None


def _title(text: str) -> str:
    """The program's name from a title that it gave itself: `gunicorn: master [app]`, `puma 6.4 (tcp://...)`."""
    word = _base(text.split(" ", 1)[0]).removesuffix(":")
    return word if re.fullmatch(r"[\w.@+-]+", word) else ""


def _script(words: tuple[str, ...], kind: _Interpreter) -> str:
    rest = iter(words)
    for word in rest:
        if word == "--":
            return next(rest, "")
        if word == "-" or not word.startswith(("-", "+", "@")):
            if word in kind.verbs:
                continue
            return "" if word == "-" else word
        option, _, value = word.partition("=")
        if option in kind.inline:
            return ""
        if option in kind.program:
            return value or next(rest, "")
        if option in kind.value:
            if not value:
                next(rest, None)
        elif kind.letters and not word.startswith("--"):
            for at, letter in enumerate(word[1:], 2):
                if letter in kind.inline:
                    return ""
                if letter in kind.program:
                    return word[at:] or next(rest, "")
                if letter in kind.value and at == len(word):
                    next(rest, None)
                if letter in kind.value or letter in kind.attached:
                    break
    return ""


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
