"""Commands for what to do next, with names in them that cannot do harm when they are pasted."""

from __future__ import annotations

import shlex

from whyreset.model import Subject
from whyreset.words import escape


def quoted(text: str) -> str:
    """A name of somebody else's choosing as one word of a shell."""
    return shlex.quote(escape(text))


def enter(subject: Subject, home: int) -> str:
    """What to put before a command that must run in the subject's network namespace; "" where it is this one.

    Args:
        subject: whose process is in that namespace, where one is known.
        home: inode number of the namespace that people work in; 0 where that is not known.
    """
    if not subject.netns or subject.netns == home or not home:
        return ""
    if subject.netns_name:
        return f"ip netns exec {quoted(subject.netns_name)} "
    return f"nsenter -t {subject.process.pid} -n " if subject.process else ""
