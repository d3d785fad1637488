"""The stages that every batch goes through, in their order: groups of like resets in, explained resets out.

No clock, file or thread in here except those behind `Owners`, which looks up processes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from whyreset import causes
from whyreset.model import Cause, Facts, Group, Listener, Owner, Process, Record, Reset, Stop
from whyreset.owners.sockets import Owners
from whyreset.words import amount, describe_exit, duration, name

#: Facts whose cause is kept.
_EXPLAINED = 2048
#: Sent groups that a received twin may still ask for: those of some ticks, each with its owner.
_TWINS = 1024
#: Stands for a name, also within a sentence: «an unknown process's SYN».
_UNKNOWN = "an unknown process"


class Sent(Struct):
    """What is kept of a group that was sent, for its other end to ask."""

    cause: Cause
    owner: Owner | None = None
    #: The owner at the other end; told of the group only where both ends come in one batch.
    peer: Owner | None = None


class Draft(Struct, kw_only=True):
    """A group on its way through the stages; each stage fills in what it finds."""

    group: Group
    facts: Facts
    cause: Cause | None = None
    owner: Owner | None = None
    closer: Process | None = None
    #: The listener that the owner was known by: the one of then, or the one before.
    listener: Listener | None = None
    #: Who closed that listener last, where it was another process.
    last: Process | None = None
    #: The owner at the other end, when that is on this host too.
    peer: Owner | None = None
    sent: Sent | None = None


class Pipeline:
    """Explains groups.

    Args:
        owners: who owns what.
        netns_name: the name of a namespace by its inode number.
    """

    def __init__(self, owners: Owners, netns_name: Callable[[int], str]) -> None:
        self._owners = owners
        self._netns_name = netns_name
        self._explained: OrderedDict[Facts, Cause] = OrderedDict()
        self._sent: OrderedDict[int, Sent] = OrderedDict()
        self.stages: tuple[Callable[[Draft], None], ...] = (self.join_twin, self.explain, self.own, self.introduce)

    def run(self, groups: Iterable[Group], *, epoch_ns: int) -> list[tuple[Group, Reset]]:
        """Each group with its explanation.

        Args:
            groups: what was sent before what was received, as core.records gives them.
            epoch_ns: nanoseconds since the epoch when CLOCK_BOOTTIME was 0, as of now.
        """
        drafts = [Draft(group=group, facts=group.facts) for group in groups]
        for draft in drafts:
            for stage in self.stages:
                stage(draft)
        for draft in drafts:
            if draft.sent is not None:
                draft.peer = draft.sent.peer
        return [(draft.group, self._finish(draft, epoch_ns)) for draft in drafts]

    def join_twin(self, draft: Draft) -> None:
        """Merge: a reset received from this host is the one that was sent."""
        twin = self._twin(draft)
        if twin is not None:
            draft.facts = replace(draft.facts, twin_cause=twin.cause)

    def explain(self, draft: Draft) -> None:
        """Causes: identical facts are explained once."""
        cause = self._explained.get(draft.facts)
        if cause is None:
            cause = self._explained[draft.facts] = causes.explain(draft.facts)
            if len(self._explained) > _EXPLAINED:
                self._explained.popitem(last=False)
        draft.cause = cause
        if draft.facts.direction == "sent":
            draft.sent = self._sent[draft.group.number] = Sent(cause)
            if len(self._sent) > _TWINS:
                self._sent.popitem(last=False)

    def own(self, draft: Draft) -> None:
        """Owners: whose socket, and in whose context."""
        if draft.facts.crowded or draft.facts.past_stack or not draft.group.samples:
            return
        sample = draft.group.samples[0]
        draft.owner, draft.listener = self._owners.owner(sample, draft.facts)
        if draft.sent is not None:
            draft.sent.owner = draft.owner
        if sample.closer is not None:
            draft.closer = self._owners.process(sample.closer, sample.time_ns)
        if draft.listener is not None and draft.listener.until_ns > sample.time_ns:
            draft.listener = replace(draft.listener, until_ns=0)  # it still listened then
        if draft.listener is not None and draft.listener.closer not in (None, draft.listener.owner):
            draft.last = self._owners.process(draft.listener.closer, sample.time_ns)

    def introduce(self, draft: Draft) -> None:
        """Twins: each end learns who is at the other."""
        twin = self._twin(draft)
        if twin is not None:
            draft.peer, twin.peer = twin.owner, draft.owner

    def _twin(self, draft: Draft) -> Sent | None:
        """What was sent, for what was received from this host."""
        if draft.facts.direction != "received" or draft.group.twin is None:
            return None
        return self._sent.get(draft.group.twin) or self._sent.get(draft.group.twin_group or 0)

    def _finish(self, draft: Draft, epoch_ns: int) -> Reset:
        group, cause = draft.group, draft.cause
        assert cause is not None
        sample = group.samples[0] if group.samples else _nothing(group)
        words = _words(draft, sample)
        # what nobody has kept a sample of has no figures
        told = [each for each in cause.evidence if group.samples or "{" not in each]
        evidence = [_fill(sentence, words) for sentence in told]
        if draft.peer is not None and draft.facts.direction == "received":
            before = draft.peer.via == "former listener"
            evidence.append(_fill("{peer} listened there before" if before else "sent by {peer}", words))
        if draft.listener is not None and draft.listener.until_ns:
            evidence.append(_fill(_ended(draft, draft.listener), words))
        return Reset(
            number=group.number,
            count=group.count,
            facts=draft.facts,
            cause=cause,
            evidence=tuple(evidence),
            sample=sample,
            time_ns=group.first_ns + epoch_ns,
            last_ns=group.last_ns + epoch_ns,
            port=group.port,
            netns_name=self._netns_name(group.netns),
            remotes=group.remotes,
            owner=draft.owner,
            stop=_stop(draft, epoch_ns),
            closer=draft.closer,
            peer=draft.peer,
            twin=group.twin,
            on_wire=group.on_wire,
        )


def singles(groups: Iterable[Group]) -> list[Group]:
    """A group for each record that was kept, and one for what is left of each group without them."""
    out: list[Group] = []
    for group in groups:
        out += [
            replace(
                group,
                number=record.number,
                count=1,
                first_ns=record.time_ns,
                last_ns=record.time_ns,
                samples=(record,),
                twin=record.twin,
                twin_group=group.twin,
            )
            for record in group.samples
        ]
        rest = group.count - len(group.samples)
        if rest:
            # its last record was not kept, so its number is free
            out.append(replace(group, number=group.last_number if group.samples else group.number, count=rest))
    return out


def _nothing(group: Group) -> Record:
    """Stands for the sample of a group that had no room for one."""
    return Record(
        number=group.number,
        time_ns=group.first_ns,
        direction=group.facts.direction,
        netns=group.netns,
        netns_cookie=group.netns_cookie,
        family=0,
        local="",
        local_port=0,
        remote="",
        remote_port=0,
        reason=group.facts.reason,
        state=group.facts.state,
        state_before=group.facts.state_before,
    )


def _words(draft: Draft, sample: Record) -> dict[str, str]:
    queue, limit = sample.queue or (0, 0)
    closer, around = draft.closer, draft.group.surroundings
    return {
        "port": str(draft.group.port if draft.group.port is not None else sample.local_port),
        "remote": f"[{sample.remote}]" if ":" in sample.remote else sample.remote or "the peer",
        "owner": name(draft.owner.process) if draft.owner else _UNKNOWN,
        # who listens need not be who closed
        "side": name(draft.owner.process) if draft.owner and "listener" not in draft.owner.via else "this side",
        "peer": name(draft.peer.process) if draft.peer else _UNKNOWN,
        "closer": name(closer) if closer else _UNKNOWN,
        "last": name(draft.last) if draft.last else _UNKNOWN,
        "unread": amount(sample.unread, "byte"),
        "length": amount(sample.trigger.length if sample.trigger else 0, "byte"),
        "queue": str(queue),
        "limit": str(limit),
        "ended": duration(sample.ended_ms),
        "idle": duration(sample.idle_ms),
        "exit": _exit(draft, sample),
        "local": f"[{sample.local}]" if ":" in sample.local else sample.local or "this host",
        "rules": "; ".join(around.rules) if around else "none",
        "sockets": ", ".join((*around.sockets, *around.unread)) or "none" if around else "not looked at",
    }


def _exit(draft: Draft, sample: Record) -> str:
    """How the process ended that made the reset by ending; what is known of it may say that it was out of memory."""
    dying = draft.closer or (draft.owner.process if draft.owner else None)
    if dying is None or dying.exit_code != sample.exit_code:
        dying = Process(pid=0, exit_code=sample.exit_code)
    return describe_exit(dying)


def _fill(sentence: str, words: dict[str, str]) -> str:
    # one pass over the template: text of processes that happens to hold braces stays as it is
    return sentence.format_map(words)


def _stop(draft: Draft, epoch_ns: int) -> Stop | None:
    listener = draft.listener
    if listener is None or not listener.until_ns:
        return None
    return Stop(
        time_ns=listener.until_ns + epoch_ns,
        exit_code=listener.exit_code,
        out_of_memory=listener.out_of_memory,
        holder=draft.last,
    )


def _ended(draft: Draft, listener: Listener) -> str:
    """How a listener came to its end, in words to be filled."""
    how = describe_exit(Process(pid=0, exit_code=listener.exit_code, out_of_memory=listener.out_of_memory))
    if draft.last is None:
        return "{owner} listened there before" + (f": {how}" if how else " and closed its socket")
    # a child, or whoever was handed the socket, kept it open longer than its owner
    own = describe_exit(draft.owner.process) if draft.owner else ""
    before = f"{{owner}} listened there before ({own})" if own else "{owner} listened there before"
    return f"{before}; {{last}} held the socket last" + (f": {how}" if how else " and closed it")
