"""Names of network namespaces, as `ip netns` and container runtimes leave them on disk."""

import os
from pathlib import Path

import msgspec
import pytest

from whyreset.owners.namespaces import Namespaces

SECOND = 1_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with both folders."""
    (tmp_path / "run/netns").mkdir(parents=True)
    (tmp_path / "run/docker/netns").mkdir(parents=True)
    return tmp_path


def put(path: Path) -> int:
    """A file stands for a namespace; its inode number."""
    path.write_text("")
    return path.stat().st_ino


@pytest.mark.parametrize("folder", ["run/netns", "run/docker/netns"])
def test_a_namespace_has_the_name_of_its_file(root: Path, folder: str) -> None:
    """Both places are looked at."""
    inode = put(root / folder / "blue")
    assert Namespaces(str(root)).name(inode, 0) == "blue"


def test_a_namespace_without_a_name_has_none(root: Path) -> None:
    """Most have none."""
    assert Namespaces(str(root)).name(1, 0) == ""


def test_a_name_known_beforehand_needs_no_file(root: Path) -> None:
    """The demo names its own; a file's name is the better one."""
    inode = put(root / "run/netns/blue")
    names = Namespaces(str(root), {7: "red", inode: "green"})
    assert (names.name(7, 0), names.name(inode, 0)) == ("red", "blue")


def test_without_the_folders_no_namespace_has_a_name(tmp_path: Path) -> None:
    """A host that never named a namespace is no error."""
    assert Namespaces(str(tmp_path)).name(1, 0) == ""


def test_names_are_read_again_after_five_seconds(root: Path) -> None:
    """A name that came, or went, is known after five seconds and not asked for before."""
    names = Namespaces(str(root))
    old = put(root / "run/netns/old")
    assert names.name(old, 100) == "old"
    new = put(root / "run/netns/new")
    (root / "run/netns/old").unlink()
    assert (names.name(new, 100 + 5 * SECOND), names.name(old, 100)) == ("", "old")
    assert (names.name(new, 101 + 5 * SECOND), names.name(old, 101 + 5 * SECOND)) == ("new", "")


def test_an_entry_that_leads_nowhere_hides_no_other(root: Path) -> None:
    """A dangling link or a name that vanishes while the folder is read is passed over."""
    (root / "run/netns/dangling").symlink_to(root / "nowhere")
    inode = put(root / "run/netns/blue")
    assert Namespaces(str(root)).name(inode, 0) == "blue"


def test_a_name_of_any_bytes_can_be_written(root: Path) -> None:
    """File names need not be UTF-8; a line with such a name must not end the watch."""
    path = os.path.join(os.fsencode(root), b"run/netns/b\xff\xfelue")
    with open(path, "w"):
        inode = os.stat(path).st_ino
    name = Namespaces(str(root)).name(inode, 0)
    assert "lue" in name
    assert msgspec.json.decode(msgspec.json.encode(name)) == name
