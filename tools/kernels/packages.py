"""Kernels to test on, from Debian's own packages: fetched by apt, unpacked and not installed."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Series of kernels, as their packages' names begin.
SERIES = ("6.1", "6.12")


@dataclass(frozen=True)
class Kernel:
    """A kernel that was unpacked."""

    release: str  # as `uname -r` gives it
    root: Path

    @property
    def image(self) -> Path:
        """The file to boot."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The folder of its modules; Debian moved it below usr."""
        places = [self.root / prefix / "lib/modules" / self.release for prefix in (".", "usr")]
        return next(place for place in places if place.exists())


class NotThere(Exception):
    """A kernel cannot be had here; the text says why."""


def newest(series: str) -> str:
    """The newest release of a series that apt knows, for example 6.1.0-56-amd64. Raises NotThere."""
    listed = _run("apt-cache", "search", "--names-only", f"^linux-image-{re.escape(series)}\\.[0-9].*amd64$")
    names = [line.split()[0].removeprefix("linux-image-") for line in listed.splitlines()]
    plain = [name for name in names if re.fullmatch(r"[0-9.]+(-[0-9]+|\+deb[0-9]+)-amd64", name)]
    if not plain:
        raise NotThere(f"apt knows no kernel {series} (Debian's linux-image-{series}*-amd64); try apt-get update")
    return max(plain, key=lambda name: [int(number) for number in re.findall("[0-9]+", name)])


def unpack(series: str, folder: Path) -> Kernel:
    """The newest kernel of a series, fetched and unpacked below `folder` unless it is there. Raises NotThere."""
    there = sorted(folder.glob(f"{series}.*/complete"))
    release = there[-1].parent.name if there else newest(series)
    kernel = Kernel(release, folder / release)
    done = kernel.root / "complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"fetching Linux {release}", flush=True)
        _run("apt-get", "download", "-qq", f"linux-image-{release}", folder=folder)
        [package] = folder.glob(f"linux-image-{release}_*.deb")
        _run("dpkg", "--extract", str(package), str(kernel.root))
        package.unlink()
        base = kernel.modules.parents[2]
        _run("depmod", "--basedir", str(base), release)
        done.touch()
    return kernel


def _run(*command: str, folder: Path | None = None) -> str:
    try:
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise NotThere(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise NotThere(f"{' '.join(command)}: {error.stderr.strip() or error.returncode}") from error
