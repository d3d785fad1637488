"""Boots a kernel under emulation; what it has to say comes over its second serial port."""

import os
import shutil
import subprocess
from pathlib import Path

from tools.kernels.packages import Kernel, NotThere

MEMORY = "1500M"
CPUS = 2


def boot(kernel: Kernel, archive: Path, log: Path, told: Path, *, words: str, seconds: float) -> bool:
    """Run to the end, or to the time limit; whether it ended by itself.

    Args:
        archive: what it starts with (image.py).
        log: where its console is written.
        told: where its second serial port is written.
        words: further words of its command line.
        seconds: how long it may take.
    """
    emulator = shutil.which("qemu-system-x86_64")
    if emulator is None:
        raise NotThere("qemu-system-x86_64 is not installed (Debian, Ubuntu: apt install qemu-system-x86)")
    flags = Path("/proc/cpuinfo").read_text().split()
    accelerated = os.access("/dev/kvm", os.R_OK | os.W_OK) and ("vmx" in flags or "svm" in flags)
    command = [emulator, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"]
    command += ["-accel", "kvm", "-cpu", "host"] if accelerated else ["-accel", "tcg,thread=multi", "-cpu", "max"]
    command += ["-m", MEMORY, "-smp", str(CPUS), "-kernel", str(kernel.image), "-initrd", str(archive)]
    command += ["-serial", f"file:{log}", "-serial", f"file:{told}"]
    command += ["-append", f"console=ttyS0 panic=-1 quiet oops=panic mitigations=off rdinit=/init {words}"]
    with subprocess.Popen(["nice", "-n", "10", *command], stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            process.kill()
