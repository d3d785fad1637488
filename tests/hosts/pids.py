"""Processes whose pid was chosen beforehand, as if pids had come round."""

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager

CLONE3 = {"x86_64": 435, "aarch64": 435}  # by machine
PR_SET_PDEATHSIG = 1


@contextmanager
def process_with_pid(pid: int) -> Iterator[None]:
    """A child that has this very pid, and only waits (clone3(2), set_tid); it is killed at the end of the block.

    Raises OSError where the kernel does not let us choose.
    """
    if platform.machine() not in CLONE3:
        raise OSError(0, f"the number of clone3 is not known for {platform.machine()}")
    # PyDLL keeps the interpreter's lock: the child has only this thread
    libc = ctypes.PyDLL(None, use_errno=True)
    wanted = (ctypes.c_int32 * 1)(pid)
    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size
    arguments = (ctypes.c_uint64 * 10)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1)
    made: int = libc.syscall(CLONE3[platform.machine()], arguments, ctypes.sizeof(arguments))
    if made == 0:
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            while True:
                signal.pause()
        finally:
            os._exit(1)
    if made < 0:
        raise OSError(ctypes.get_errno(), f"choosing a pid: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.kill(made, signal.SIGKILL)
        os.waitpid(made, 0)
