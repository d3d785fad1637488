"""The kernel source: each reset as the TCP stack sent or received it, with the kernel's own reason."""

from __future__ import annotations

from whyreset.core.merge import Merge
from whyreset.core.records import Recorder
from whyreset.model import Attempt, Contact, Group, Listener, Missing
from whyreset.sources.base import SourceError
from whyreset.sources.program import Program

#: Groups that one flush tells apart by port and process, and how many of them may be of one kind; what is beyond is put
#: together. Bounds what a flood can cost, and keeps it from hiding the rest.
_GROUPS, _OF_ONE_KIND = 256, 32
_SAMPLES = 1
#: With one line for each reset.
_EACH_GROUPS, _EACH_OF_ONE_KIND = 768, 256


class KernelSource:
    """Resets from the kernel program.

    Args:
        each_per_tick: how many single resets one flush keeps; 0 for a few samples of each group.
        merge: joins them with what the wire shows, where packets are read.
    """

    name = "kernel"

    def __init__(self, program: Program, *, each_per_tick: int = 0, merge: Merge | None = None) -> None:
        self._program = program
        self._merge = merge
        self._each = each_per_tick
        self._recorder: Recorder | None = None
        self._since_ns = 0

    def can_run(self) -> Missing | None:
        return self._program.can_run()

    def start(self) -> None:
        groups, kind = (_EACH_GROUPS, _EACH_OF_ONE_KIND) if self._each else (_GROUPS, _OF_ONE_KIND)
        self._recorder = self._program.recorder(
            merge=self._merge,
            group_limit=groups,
            kind_limit=kind,
            # room for the first of each group, and for so many more
            sample_limit=groups + self._each,
            samples_per_group=max(self._each, _SAMPLES),
            samples_per_kind=self._each // 2,
        )

    @property
    def tier(self) -> str:
        """How deep this kernel lets us see (DESIGN section 5)."""
        return self._program.tier.name

    @property
    def _running(self) -> Recorder:
        if self._recorder is None:
            raise SourceError("the kernel source was not started")
        return self._recorder

    def begin(self, now_ns: int) -> None:
        """Forgets what came before: the account begins here."""
        self._running.drain(now_ns, everything=True)
        self._running.flush()

    def drain(self, now_ns: int) -> int:
        """Empties the rings into groups without handing them out."""
        return self._running.drain(now_ns)

    def take(self, now_ns: int, *, everything: bool = False) -> list[Group]:
        """The groups since the last call, what was sent before what was received.

        Args:
            now_ns: CLOCK_BOOTTIME.
            everything: also records so young that what bears on them may still come.
        """
        self._running.drain(now_ns, everything)
        return self._running.flush()

    def serve(self, listener: Listener) -> None:
        """Somebody listens there: a crowd of resets of other ports does not hide those of this one."""
        self._running.serve(listener.netns_cookie, listener.port)

    def contacts(self, most: int) -> list[Contact]:
        """Remotes whose first contacts say more than when they were told last, so many at most."""
        return self._running.contacts.take(most)

    def attempts(self) -> tuple[Attempt, ...]:
        """Connections of this host that got no answer to their SYN, given up since the last call."""
        return self._running.memory.attempts.take()

    def losses(self) -> dict[str, tuple[int, str]]:
        """What was lost so far, by name: how much, and what that means for the user."""
        recorder, kernel = self._running, self._program.losses()
        return {
            "crowded": (
                recorder.crowded,
                "resets of so many kinds at once that ports and processes were not told apart",
            ),
            "forgotten": (
                recorder.memory.forgotten,
                "closed connections forgotten for newer ones: late segments of theirs are told less exactly",
            ),
            "contacts-forgotten": (
                recorder.contacts.forgotten,
                "remotes forgotten for newer ones: a slow scan of theirs may not be found",
            ),
            "attempts-beyond": (
                recorder.memory.attempts.beyond,
                "connections given up without an answer, to more destinations at once than are told apart",
            ),
            "closes-lost": (
                kernel["closes"],
                "closed connections that were not read in time: their late segments cannot be told",
            ),
            "lives-lost": (
                kernel["lives"],
                "starts and ends of processes or listeners that were not read in time: owners may be missing",
            ),
            "triggers-lost": (
                kernel["triggers"],
                "segments that provoked resets, for which there was no room: evidence lacks them",
            ),
            "namespaces-lost": (kernel["namespaces"], "resets in more namespaces than the account can hold"),
            "misread": (recorder.misread, "records of the kernel program that were not understood"),
        }

    def close(self) -> None:
        self._recorder = None
