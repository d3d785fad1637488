"""Kernels to test on, from Debian's own packages: fetched by apt, unpacked and not installed.

Releases beside the one that runs here have other kernels; apt is asked for them with lists of its own below the folder,
so that nothing of this machine's settings changes.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Series of kernels, as their releases begin; "" is the newest of all.
SERIES = ("5.10", "6.1", "6.12", "")
#: Debian's suites that have them, by which of its archives they are in.
SUITES = {"security": ("bullseye-security", "bookworm-security"), "main": ("bookworm", "trixie-backports")}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: What may follow the version proper in a release's name: -50, +deb13.
RELEASE = re.compile(r"linux-image-([0-9.]+(-[0-9]+|\+deb[0-9]+)-amd64)")


@dataclass(frozen=True)
class Kernel:
    """A kernel that was unpacked."""

    release: str  # as `uname -r` gives it
    root: Path

    @property
    def image(self) -> Path:
        """The file to boot; newer packages have it beside the modules."""
        older = self.root / "boot" / f"vmlinuz-{self.release}"
        return older if older.exists() else self.modules / "vmlinuz"

    @property
    def modules(self) -> Path:
        """The folder of its modules; newer packages have it below usr."""
        places = [self.root / prefix / "lib/modules" / self.release for prefix in (".", "usr")]
        return next(place for place in places if place.exists())


class NotThere(Exception):
    """A kernel cannot be had here; the text says why."""


class Archive:
    """Debian's archive as this machine reaches it, in suites of all ages.

    Args:
        folder: where its lists are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._options = [
            *("-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"),
            *("-o", "APT::Sandbox::User="),
        ]
        if not (folder / "complete").exists():
            for part in ("lists/partial", "cache/archives/partial"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            (folder / "sources.list").write_text("".join(_sources()))
            self._run("apt-get", "update", "-qq")
            (folder / "complete").touch()

    def newest(self, series: str) -> str:
        """The newest release of a series, for example 6.1.0-50-amd64. Raises NotThere."""
        listed = self._run("apt-cache", "search", "--names-only", "^linux-image-[0-9].*-amd64$")
        names = [found[1] for line in listed.splitlines() if (found := RELEASE.fullmatch(line.split()[0]))]
        fitting = [name for name in names if not series or name.startswith(f"{series}.")]
        if not fitting:
            raise NotThere(f"Debian has no kernel {series} that apt can reach here")
        return max(fitting, key=lambda name: [int(number) for number in re.findall("[0-9]+", name)])

    def unpack(self, release: str, root: Path) -> None:
        """Fetch a kernel and unpack it below `root`. Raises NotThere."""
        shown = self._run("apt-cache", "depends", "--no-recommends", f"linux-image-{release}")
        parts = re.findall(rf"Depends: (linux-(?:binary|modules)-{re.escape(release)})$", shown, re.MULTILINE)
        fetched = self._folder / "packages"
        fetched.mkdir(exist_ok=True)
        self._run("apt-get", "download", "-qq", f"linux-image-{release}", *parts, folder=fetched)
        for package in fetched.glob("*.deb"):
            _run("dpkg", "--extract", str(package), str(root))
            package.unlink()

    def _run(self, command: str, *words: str, folder: Path | None = None) -> str:
        return _run(command, *self._options, *words, folder=folder)


def unpack(series: str, folder: Path) -> Kernel:
    """The newest kernel of a series, fetched and unpacked below `folder` unless it is there. Raises NotThere."""
    archive = Archive(folder / "apt")
    release = archive.newest(series)
    kernel = Kernel(release, folder / release)
    if not (kernel.root / "complete").exists():
        print(f"fetching Linux {release}", flush=True)
        archive.unpack(release, kernel.root)
        _run("depmod", "--basedir", str(kernel.modules.parents[2]), release)
        (kernel.root / "complete").touch()
    return kernel


def _sources() -> list[str]:
    """Lines for apt: Debian's archives where this machine has them from, in the suites wanted. Raises NotThere."""
    wanted = "$(ORIGIN) $(REPO_URI)"
    told = _run("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").split("\n")
    places = {line.removeprefix("Debian ") for line in told if line.startswith("Debian ")}
    lines = []
    for kind, suites in SUITES.items():
        place = next((each for each in sorted(places) if ("security" in each) == (kind == "security")), None)
        if place is None:
            raise NotThere("this machine's apt has no Debian archive to fetch other kernels from")
        lines += [f"deb [signed-by={KEYRING}] {place} {suite} main\n" for suite in suites]
    return lines


def _run(*command: str, folder: Path | None = None) -> str:
    try:
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise NotThere(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise NotThere(f"{command[0]} failed: {error.stderr.strip() or error.returncode}") from error
