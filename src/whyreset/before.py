"""What an agent's history tells of a port or a process: for `who`, of the time before a running watch remembers."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from whyreset.model import Process, Reset
from whyreset.outputs.store import files
from whyreset.outputs.store.reader import Reader
from whyreset.owners.recent import Entry, Recents
from whyreset.questions import Former, Question
from whyreset.words import describe_exit

_FORMER_MAX = 64


class Before(Struct, frozen=True, kw_only=True):
    """What was found. Times are nanoseconds since the epoch."""

    #: Nothing is known of before.
    begins_ns: int
    #: The latest first.
    resets: tuple[Entry, ...]
    #: Listeners that are known by the resets that came after their end, the latest first.
    former: tuple[Former, ...]


def before(question: Question, path: str, until_ns: int) -> Before | None:
    """What the history has; None where there is none.

    Args:
        question: about a port or a process.
        path: the history's file.
        until_ns: of what was later somebody else tells.

    Raises StoreError.
    """
    if files.identify(path) == "nothing":
        return None
    recents = Recents()
    former: dict[tuple[int, int, int], Former] = {}
    with Reader(path) as reader:
        for reset in reader.read(Reset, 0, until_ns):
            if not _is_about(reset, question):
                continue
            recents.add((reset,))
            if (ended := _former(reset)) is not None:
                former[ended.netns_cookie, ended.owner.process.pid, ended.owner.process.start_ns] = ended
        begins_ns = reader.begins_ns(Reset)
    found = recents.of_port(question.port) if question.port else recents.of_process(question.pid)
    return Before(begins_ns=begins_ns, resets=tuple(found), former=tuple(_latest(former.values())))


def _is_about(reset: Reset, question: Question) -> bool:
    if question.port:
        sample = reset.sample
        return question.port in (reset.port, sample.local_port, sample.remote_port)
    owner = reset.owner.process.pid if reset.owner else 0
    return question.pid in (owner, reset.closer.pid if reset.closer else 0)


def _former(reset: Reset) -> Former | None:
    if reset.stop is None or reset.owner is None or reset.port is None or reset.facts.direction != "sent":
        return None
    stop, sample = reset.stop, reset.sample
    how = describe_exit(Process(pid=0, exit_code=stop.exit_code, out_of_memory=stop.out_of_memory))
    return Former(
        netns=sample.netns,
        netns_cookie=sample.netns_cookie,
        netns_name=reset.netns_name,
        # the address that was asked for: it may have listened on all
        address=sample.local,
        port=reset.port,
        family=sample.family,
        owner=reset.owner,
        since_ns=0,
        until_ns=stop.time_ns,
        end=how or "closed its socket",
        last=stop.holder,
    )


def _latest(former: Iterable[Former]) -> list[Former]:
    return sorted(former, key=lambda each: -each.until_ns)[:_FORMER_MAX]
