"""What a service manager is told (sd_notify(3)): that everything is attached, that it still works, that it ends."""

from __future__ import annotations

import os
import socket


class Manager:
    """Speaks to whoever started this program and wants to know; to nobody where there is none.

    Its address is taken out of the environment, so that no child speaks in our name.
    """

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog = os.environ.pop("WATCHDOG_USEC", "")
        mine = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: So often it is to be told that all is well, in nanoseconds; half of what would be too late. 0 for never.
        self._every_ns = int(watchdog) * 500 if watchdog.isdecimal() and mine else 0
        self._told_ns = 0

    def ready(self, status: str) -> None:
        """Everything is attached."""
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self, now_ns: int) -> None:
        """The loop goes round.

        Args:
            now_ns: of a clock that never goes back.
        """
        if self._every_ns and now_ns - self._told_ns >= self._every_ns:
            self._told_ns = now_ns
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """It ends in order."""
        self._tell("STOPPING=1")

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
            try:
                out.sendto(words.encode(), self._address)
            except OSError:  # nobody listens any more: that is the manager's affair
                pass
