"""What a kernel boots with: one archive in memory that holds Python, this project, and the commands that cases need.

Nothing of the host is shared, so nothing of it can be changed; and no file waits for a disk that is emulated.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from tools.kernels.packages import Kernel

PROJECT = "/whyreset"
SITE = "/site"
DISTRIBUTIONS = ("click", "msgspec")
COMMANDS = (
    *("sh", "ip", "ss", "nft", "setpriv", "iptables-legacy", "ip6tables-legacy", "nmap", "hping3"),
    *("modprobe", "kmod", "unshare"),
)
#: What commands read at run time, and ldd does not tell; what is missing is left out.
DATA = (
    "/usr/lib/x86_64-linux-gnu/xtables",
    "/usr/share/nmap/nmap-services",
    "/usr/share/nmap/nmap-protocols",
    "/usr/share/nmap/nmap-payloads",
    "/usr/share/nmap/nmap-mac-prefixes",
    "/usr/share/nmap/nmap-service-probes",
    "/usr/share/nmap/nmap-os-db",
    "/usr/share/nmap/nmap-rpc",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
)
LIBRARIES = ("libbpf.so.1", "libnss_files.so.2", "libgcc_s.so.1", "libtcl8.6.so")
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|site-packages|dist-packages|config-[^/]*)/|opt-[12].pyc"
)
#: Modules' folders that hold what cases need; what those need comes with them.
MODULES = re.compile(
    r"kernel/(net/(netfilter|ipv4|ipv6|mptcp|core|sched|unix|packet)/|drivers/net/(veth|dummy|tun)\.ko"
    r"|(arch/x86/|)crypto/crc32c|lib/libcrc32c)"
)
#: None: a folder; text: a link's target; numbers: a character device's.
Entries = dict[str, Path | bytes | str | tuple[int, int] | None]


def build(kernel: Kernel, project: Path, output: Path, init: str) -> None:
    """Write the archive. `init` is the text of the program that the kernel starts."""
    entries: Entries = {}
    for folder in ("proc", "sys", "dev", "tmp", "run", "root", "var", "var/tmp", "etc"):
        entries[f"/{folder}"] = None
    entries["/dev/console"] = (5, 1)  # else the first process would have no word to say
    for path in _python():
        entries.setdefault(str(path), path)
    _add_tree(entries, project / "src", f"{PROJECT}/src")
    _add_tree(entries, project / "tests", f"{PROJECT}/tests")
    for name in DISTRIBUTIONS:
        files = distribution(name).files or []
        entries.update({f"{SITE}/{file}": Path(str(file.locate())) for file in files if ".." not in file.parts})
    for place in DATA:
        _add_tree(entries, Path(place), place)
    _add_modules(entries, kernel)
    found = (shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") for name in COMMANDS)
    programs = [Path(each) for each in found if each]
    needed = [*programs, *_libraries(LIBRARIES), *(value for value in entries.values() if _is_elf(value))]
    for path in [*programs, *_libraries(LIBRARIES), *_linked(needed)]:
        _add_file(entries, path)
    for link in ("bin", "sbin", "lib", "lib64"):
        if Path(f"/{link}").is_symlink():
            entries[f"/{link}"] = os.readlink(f"/{link}")
    entries["/init"] = f"#!{Path(sys.executable).resolve()} -IS\n{init}".encode()
    with output.with_suffix(".new").open("wb") as file:
        for part in archive(entries):
            file.write(part)
    output.with_suffix(".new").rename(output)


def archive(entries: Entries) -> Iterator[bytes]:
    """The entries in the «new ASCII format» of cpio(5), which kernels unpack; the folders above them come too."""
    made: set[str] = set()
    for number, place in enumerate(sorted(entries)):
        for folder in reversed(Path(place).parents):
            name = str(folder).lstrip("/")
            if name and name not in made and isinstance(entries.get(str(folder)), Path | None):
                made.add(name)
                yield _entry(name, stat.S_IFDIR | 0o755, b"", 0)
        name = place.lstrip("/")
        content = entries[place]
        if content is None:
            if name not in made:
                made.add(name)
                yield _entry(name, stat.S_IFDIR | 0o1777, b"", 0)
        elif isinstance(content, tuple):
            yield _entry(name, stat.S_IFCHR | 0o600, b"", number + 1, content)
        elif isinstance(content, str):
            yield _entry(name, stat.S_IFLNK | 0o777, content.encode(), number + 1)
        else:
            data = content if isinstance(content, bytes) else content.read_bytes()
            yield _entry(name, stat.S_IFREG | 0o755, data, number + 1)
    yield _entry("TRAILER!!!", 0, b"", 0)


def _entry(name: str, mode: int, data: bytes, inode: int, device: tuple[int, int] = (0, 0)) -> bytes:
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _python() -> Iterator[Path]:
    """The interpreter that runs this, and its standard library."""
    yield Path(sys.executable).resolve()
    for key in ("stdlib", "platstdlib"):
        folder = Path(sysconfig.get_path(key, vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
        yield from (path for path in folder.rglob("*") if path.is_file() and not LEFT_OUT.search(str(path)))


def _add_tree(entries: Entries, source: Path, place: str) -> None:
    if source.is_file():
        entries[place] = source
    for path in source.rglob("*"):
        target = f"{place}/{path.relative_to(source)}"
        if path.is_symlink():
            entries[target] = os.readlink(path)
        elif path.is_file():
            entries[target] = path


def _add_file(entries: Entries, path: Path) -> None:
    """A file by the name that it is asked for, with the links that lead to it."""
    real = path.resolve()
    entries[str(real)] = real
    place = path.parent.resolve() / path.name
    while place.is_symlink() and str(place) not in entries:
        entries[str(place)] = os.readlink(place)
        place = place.parent.joinpath(os.readlink(place))
        place = place.parent.resolve() / place.name


def _add_modules(entries: Entries, kernel: Kernel) -> None:
    """Modules of the folders wanted and all that they need, and the indices by which they are found."""
    lines = (kernel.modules / "modules.dep").read_text().splitlines()
    needs = {name: rest.split() for name, rest in (line.split(":", 1) for line in lines)}
    wanted = [name for name in needs if MODULES.match(name)]
    while wanted:
        name = wanted.pop()
        place = f"/usr/lib/modules/{kernel.release}/{name}"
        if place not in entries:
            entries[place] = kernel.modules / name
            wanted += needs[name]
    for index in kernel.modules.glob("modules.*"):
        entries[f"/usr/lib/modules/{kernel.release}/{index.name}"] = index


def _libraries(names: Iterable[str]) -> Iterator[Path]:
    known = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    for name in names:
        if found := re.search(rf"^\s*{re.escape(name)} \(.*x86-64.*\) => (.*)$", known, re.MULTILINE):
            yield Path(found[1])


def _is_elf(value: object) -> bool:
    return isinstance(value, Path) and (".so" in value.name or os.access(value, os.X_OK)) and _magic(value)


def _magic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _linked(paths: Iterable[object]) -> set[Path]:
    """The shared libraries that these files are linked with, directly or not."""
    files = [str(path) for path in paths]
    told = subprocess.run(["ldd", *files], check=False, capture_output=True, text=True).stdout
    return {Path(found) for found in re.findall(r"(/\S+) \(0x", told)}
