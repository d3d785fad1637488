"""A server that accepts its one connection by io_uring and closes it unread: uring.c beside this file."""

import subprocess
from contextlib import suppress
from typing import Literal, Self

from tests.hosts.built import built
from tests.hosts.cases.model import Missing
from tests.hosts.hosts import Host

NO_RING = 77  # its exit status where the kernel has no io_uring for it
END_SECONDS = 10.0


class Uring:
    """It listens when the constructor returns. Raises Missing where the kernel forbids io_uring.

    Args:
        host: where it serves.
        port: where it listens.
        kind: `fd`: the connection has a descriptor; `direct`: only the ring's own table of files holds it.
    """

    def __init__(self, host: Host, port: int, kind: Literal["fd", "direct"]) -> None:
        pipe = subprocess.PIPE
        self._process = host.start(str(built("uring")), str(port), kind, stdin=pipe, stdout=pipe, stderr=pipe)
        self.pid = self._process.pid
        try:
            self._await("listening")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill it, if it still lives."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe
            with suppress(BrokenPipeError):
                pipe.close()

    def await_accepted(self) -> None:
        """Wait until it has accepted."""
        self._await("accepted")

    def close_connection(self) -> None:
        """Have it close the connection; only where that has a descriptor."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._await("closed")

    def end(self) -> int:
        """Have it end, and wait for that; its exit status."""
        assert self._process.stdin
        self._process.stdin.close()
        return self._process.wait(END_SECONDS)

    def _await(self, word: str) -> None:
        assert self._process.stdout
        said = self._process.stdout.readline().strip()
        if said != word:
            assert self._process.stderr
            error = self._process.stderr.read().strip()
            if self.end() == NO_RING:
                raise Missing(f"io_uring (kernel.io_uring_disabled): {error}")
            raise RuntimeError(f"it said {said!r} instead of {word!r}: {error}")
