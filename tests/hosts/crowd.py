"""Thousands of processes within seconds: many that sleep (crowd.c), and many short lives (brief.c)."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.hosts.built import built
from tests.hosts.hosts import Host


@contextmanager
def crowd(count: int, files: int = 0) -> Iterator[None]:
    """So many processes that sleep for the length of the block; OSError where there is no room for them.

    Args:
        files: how many each holds open.
    """
    argv = ["setpriv", "--pdeathsig", "KILL", str(built("crowd")), str(count), str(files)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            if (made := int(process.stdout.readline())) < count:
                raise OSError(0, f"only {made} of {count} processes could be made")
            yield
        finally:
            process.stdin.close()  # it ends them


def brief_lives(host: Host, count: int, port: int) -> None:
    """So many processes, one after the other: each tries a closed port of the host's loopback and ends."""
    host.run(str(built("brief")), str(count), str(port), timeout=60)
