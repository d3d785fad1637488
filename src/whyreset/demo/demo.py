"""The demo as `watch` starts it: a process that plays the scenes, over and over, until it is closed.

That process is forked before anything is loaded into the kernel, so it holds nothing of it; all that it makes ends
with it, and it ends with us.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, Self

from whyreset.demo import namespaces
from whyreset.demo.actors import set_title
from whyreset.demo.scenes import Scene
from whyreset.demo.stage import Stage
from whyreset.model import Notice

#: How long setting the stage may take.
_READY_SECONDS = 10.0
#: Between two scenes.
_PAUSE_SECONDS = 0.7


class DemoError(Exception):
    """The demo cannot be played here; says why, and what to do."""


class Playing:
    """The process that plays, as a child of this one."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            self.control.close()
            _direct(theirs, scenes, parent)
        theirs.close()

    def close(self) -> None:
        """Ends it; harmless when called twice."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        self.control.close()


class Demo:
    """Plays scenes from `begin` on. Use as a context manager: leaving ends all its processes and namespaces.

    Args:
        scenes: what is played.
        control: where the process that plays is spoken to, which somebody else has started and will end.

    Raises:
        DemoError: it cannot be played here.
    """

    def __init__(self, scenes: Sequence[Scene], control: socket.socket | None = None) -> None:
        self._scenes = scenes
        self._playing: Playing | None = None
        if control is None:
            self._playing = Playing(scenes)
            control = self._playing.control
        self._control = control
        try:
            self._control.settimeout(_READY_SECONDS)
            answer = self._hear()
            if "failed" in answer or not answer:
                raise DemoError(answer.get("failed", "its stage could not be set"))
            self._control.setblocking(False)
        except BaseException:
            self.close()
            raise
        self._ended = False
        #: What to call its namespaces, by inode.
        self.names = {int(inode): name for inode, name in answer.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> Notice:
        """Raises the curtain; what to tell those who watch."""
        with suppress(BrokenPipeError):  # `notices` tells that it has ended
            self._control.send(b"begin")
        played = f"the scene {self._scenes[0].name}" if len(self._scenes) == 1 else f"{len(self._scenes)} scenes"
        places = " and ".join(self.names.values())
        text = f"a demo plays {played} in netns {places}"
        return Notice(time_ns=time.time_ns(), name="demo", text=text)

    def notices(self) -> list[Notice]:
        """What went wrong on the stage since the last call."""
        out: list[Notice] = []
        while not self._ended:
            try:
                heard = self._hear()
            except BlockingIOError:
                break
            self._ended = not heard
            text = heard.get("missing", "the demo has ended by itself")
            out.append(Notice(time_ns=time.time_ns(), name="demo", text=text))
        return out

    def close(self) -> None:
        """Ends it, if it is ours."""
        if self._playing:
            self._playing.close()
        self._control.close()

    def _hear(self) -> dict[str, str]:
        """One message; empty when the process has ended or does not answer."""
        try:
            heard = self._control.recv(4096)
        except (TimeoutError, ConnectionResetError):  # reset: it died with something of ours unread
            return {}
        return json.loads(heard) if heard else {}


def _direct(control: socket.socket, scenes: Sequence[Scene], parent: int) -> NoReturn:
    """The life of the demo's first process."""
    try:
        namespaces.die_with(parent)
        _leave_the_terminal()
        _hold_only(control.fileno())
        try:
            stage = _set_stage()
        except OSError as error:
            _tell(control, {"failed": _why(error)})
        else:
            _tell(control, {str(inode): name for inode, name in stage.names.items()})
            if control.recv(16):
                _play(control, stage, scenes)
    finally:
        os._exit(0)


def _leave_the_terminal() -> None:
    """Ctrl-C is for our parent to heed; what is written belongs to it too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_title("whyreset-demo")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _hold_only(descriptor: int) -> None:
    """Nothing else of whoever started us: it would stay open as long as we live."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))


def _set_stage() -> Stage:
    try:
        return Stage()
    except PermissionError as denied:
        # whoever is not root may still be it in a user namespace of its own, where the host allows those; with a
        # network namespace of its own too, since nobody comes back from another into the host's without its rights
        try:
            namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNET)
        except OSError:
            raise denied from None
        return Stage()


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "network namespaces may not be made here; run it as root (CAP_SYS_ADMIN)"
    if error.errno == errno.ENOSPC:
        return "this host allows no more network namespaces (user.max_net_namespaces)"
    if error.errno == errno.EOPNOTSUPP:
        return "this kernel cannot join network namespaces by a wire (CONFIG_VETH)"
    return f"network namespaces cannot be made and joined here: {error.strerror or error}"


def _play(control: socket.socket, stage: Stage, scenes: Sequence[Scene]) -> None:
    """Plays for ever; a scene that fails twice in a row cannot be played here: that is told, and it is left out."""
    playable, failed = list(scenes), set()
    while playable:
        for scene in list(playable):
            try:
                scene.play(stage)
                time.sleep(_PAUSE_SECONDS)
                stage.finish()
                failed.discard(scene.name)
            except OSError as error:
                stage.clear()
                if scene.name in failed:
                    playable.remove(scene)
                    why = error.strerror or str(error)
                    _tell(control, {"missing": f"the demo's scene {scene.name} cannot be played here: {why}"})
                failed.add(scene.name)
                time.sleep(_PAUSE_SECONDS)


def _tell(control: socket.socket, message: dict[str, str]) -> None:
    control.send(json.dumps(message).encode())
