"""The kernel program in this very process, attached and detached at will, and what its runs cost the kernel."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Self

from whyreset.core import lives
from whyreset.core.records import Recorder
from whyreset.core.triggers import Triggers
from whyreset.sources.loading import LoadedHere, Loading
from whyreset.sources.program import Program

#: enum bpf_stats_type.
_RUN_TIME = 0
_ROOM = 8192


class Attached:
    """The programs that watch attaches for good; rings are emptied at each switch, so that they never fill.

    Args:
        triggers: they also copy a sample of what provokes resets.
    """

    def __init__(self, *, triggers: bool = False) -> None:
        self._program = Program(Loading(triggers=triggers))
        self._program.load()
        held = self._program._loaded
        assert isinstance(held, LoadedHere)
        self._object = held.object
        #: An iterator costs nothing while it does not run.
        self._names = [name for name in self._object._links if name != "held_sockets"]
        self._recorder: Recorder = self._program.recorder()
        self._triggers = Triggers(self._program.triggers)
        self._on = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._recorder, self._triggers
        self._program.close()

    def switch(self, on: bool) -> None:
        """Attaches or detaches all."""
        if on != self._on:
            for name in self._names:
                if on:
                    self._object.attach(name)
                else:
                    self._object._library.link_destroy(self._object._links.pop(name))
            self._on = on
        self._recorder.drain(time.clock_gettime_ns(time.CLOCK_BOOTTIME), True)
        self._recorder.flush()
        lives.drain(self._program.lives, _ROOM)
        self._triggers.drain(None, 0)

    def runs(self) -> dict[str, tuple[int, int]]:
        """By program: how often it ran while `Clock` was open, and nanoseconds in all."""
        out = {}
        for name in self._names:
            descriptor = self._object._library.program_fd(self._object._programs[name])
            lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            out[name] = (int(fields["run_cnt"]), int(fields["run_time_ns"]))
        return out


class Clock:
    """The kernel measures each run of each program while this is open, and no longer than this process lives."""

    def __enter__(self) -> Self:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        self._descriptor = int(library.bpf_enable_stats(_RUN_TIME))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "the kernel does not measure its programs")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
