"""Commands for what to do next, with names in them that cannot do harm when they are pasted."""

from __future__ import annotations

import shlex

from whyreset.model import Step, Subject
from whyreset.words import escape


def quoted(text: str) -> str:
    """A name of somebody else's choosing as one word of a shell."""
    return shlex.quote(escape(text))


def inside(subject: Subject, home: int, *steps: Step) -> list[Step]:
    """The same commands, to be run in the subject's network namespace.

    Args:
        subject: whose process is in that namespace, where one is known.
        home: inode number of the namespace that people work in; 0 where that is not known.
        steps: what to do there.
    """
    if not subject.netns or not home or subject.netns == home:
        return list(steps)
    process = subject.process
    if process is not None and process.exit_code is None:
        way = f"nsenter -t {process.pid} -n"
    elif subject.netns_name:
        way = f"ip netns exec {quoted(subject.netns_name)}"
    else:
        find = f"lsns -t net -o NS,PID,COMMAND | grep -w {subject.netns}"
        found = Step(find, "a process in that namespace; PID below stands for one of them")
        return [found, *_there("nsenter -t PID -n", steps)]
    return _there(way, steps)


def _there(way: str, steps: tuple[Step, ...]) -> list[Step]:
    return [Step(f"{way} {each.command}", each.why) for each in steps]
