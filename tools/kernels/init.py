"""The first process of a kernel that was booted for tests: gives them the usual file systems, and ends with them."""

import ctypes
import os
import subprocess
import sys

MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
)
POWER_OFF = 0x4321FEDC  # linux/reboot.h

libc = ctypes.CDLL(None, use_errno=True)
for kind, place in MOUNTS:
    os.makedirs(place, exist_ok=True)
    if libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None):
        print(f"{kind} at {place}: {os.strerror(ctypes.get_errno())}")
os.umask(0o022)
environment = os.environ | {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": "/whyreset/src:/whyreset:/site",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/root",
}
try:
    with open("/dev/ttyS1", "w") as told:
        subprocess.run(
            [sys.executable, "-m", "tests.kernels.guest"], cwd="/whyreset", env=environment, stdout=told, check=False
        )
finally:
    os.sync()
    libc.reboot(POWER_OFF)
