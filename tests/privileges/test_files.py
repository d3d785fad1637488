"""Files that a user has named are made by the keeper, in the user's name; nothing else is."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests import needs
from tests.privileges.parted import worker
from whyreset.privileges import rights
from whyreset.privileges.grants import Grants
from whyreset.privileges.rights import RightsError

EVIDENCE = "20261122T120000Z-surge.pcapng"


@pytest.fixture(autouse=True)
def _root() -> None:
    needs.root()


def mode(path: Path) -> tuple[int, int]:
    """Whose it is, and who may read it."""
    found = path.stat()
    return found.st_uid, stat.S_IMODE(found.st_mode)


def test_evidence_is_roots_alone_and_made_where_the_worker_may_not_go(tmp_path: Path) -> None:
    """A new file in a folder that is made for it; what is written by the worker arrives."""
    folder = tmp_path / "private"
    said = worker(
        f"""
hands.files.make_folder({str(folder)!r})
descriptor = hands.files.open({str(folder / EVIDENCE)!r}, force=False)
os.write(descriptor, b'packets')
tell(again=refused(requests.OpenFile({str(folder / EVIDENCE)!r}, False)))
""",
        f"evidence={str(folder)!r}",
    )
    assert (folder / EVIDENCE).read_bytes() == b"packets"
    assert mode(folder / EVIDENCE) == (0, 0o600)
    assert mode(folder) == (0, 0o700)
    assert said["again"].endswith("File exists")


def test_there_are_so_many_files_of_evidence(tmp_path: Path) -> None:
    """A worker in other hands cannot fill the disk with files without end."""
    names = [str(tmp_path / f"20261122T12000{number}Z-x.pcapng") for number in range(3)]
    said = worker(
        f"tell(why=[refused(requests.OpenFile(each, False)) for each in {names!r}])",
        f"evidence={str(tmp_path)!r}, evidence_files=2",
    )
    assert said["why"] == ["", "", "not granted: another file"]


def test_what_alerts_remember_is_put_there_whole(tmp_path: Path) -> None:
    """Through a file without a name; what is too large is not taken, and the old content stays."""
    path = tmp_path / "state.json"
    said = worker(
        f"""
hands.files.put({str(path)!r}, b'x' * 300_000)
large = os.memfd_create('large')
os.truncate(large, (64 << 20) + 1)
tell(large=refused(requests.Put({str(path)!r}), large), alive=alive())
""",
        f"state={str(path)!r}",
    )
    assert path.read_bytes() == b"x" * 300_000
    assert mode(path) == (0, 0o600)
    assert said == {"large": "not granted: so large a file", "alive": True}


def test_what_cannot_be_written_is_said_in_the_systems_words(tmp_path: Path) -> None:
    """As without a keeper."""
    path = tmp_path / "nowhere" / "state.json"
    said = worker(
        f"""
try:
    hands.files.put({str(path)!r}, b'x')
except OSError as error:
    tell(number=error.errno, why=error.strerror)
""",
        f"state={str(path)!r}",
    )
    assert (said["number"], said["why"]) == (2, "No such file or directory")


def test_a_folder_of_its_own_belongs_to_the_worker() -> None:
    """It is made, handed over, and stays so the next time."""
    with TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        folder = Path(place, "home")
        for _ in range(2):
            said = worker(
                f"""
hands.files.make_folder({str(folder)!r})
open({str(folder / "history")!r}, 'a').write('x')
tell(mine=os.stat({str(folder)!r}).st_uid == os.getuid())
""",
                f"home={str(folder)!r}",
                user="4242",
            )
            assert said["mine"]
        assert mode(folder) == (4242, 0o700)


def test_a_history_of_root_s_is_handed_over_with_its_folder(tmp_path: Path) -> None:
    """Which an agent of one process had kept."""
    (tmp_path / "history.db").touch()
    worker(
        f"hands.files.make_folder({str(tmp_path)!r})\ntell(done=True)",
        f"home={str(tmp_path)!r}, home_files=('history.db',)",
        user="4242",
    )
    assert mode(tmp_path)[0] == mode(tmp_path / "history.db")[0] == 4242


def other_owner(folder: Path) -> None:
    """Somebody else's."""
    os.chown(folder, 4343, 4343)


def other_file(folder: Path) -> None:
    """Root keeps something else there."""
    (folder / "precious").touch()


def open_to_all(folder: Path) -> None:
    """Like /tmp."""
    folder.chmod(0o1777)


def a_second_name(folder: Path) -> None:
    """What looks like ours is a file that has another name elsewhere."""
    (folder.parent / "elsewhere").touch()
    os.link(folder.parent / "elsewhere", folder / "history.db")


def a_link(folder: Path) -> None:
    """What looks like ours leads elsewhere."""
    (folder / "history.db").symlink_to("/etc/passwd")


@pytest.mark.parametrize("prepare", [other_owner, other_file, open_to_all, a_second_name, a_link])
def test_a_folder_that_is_not_its_own_stays_as_it_is(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    """Nothing that is there already is given away."""
    folder = tmp_path / "home"
    folder.mkdir()
    prepare(folder)
    before = [each.lstat().st_uid for each in (folder, *folder.iterdir())]
    worker(
        f"hands.files.make_folder({str(folder)!r})\ntell(done=True)",
        f"home={str(folder)!r}, home_files=('history.db',)",
        user="4242",
    )
    assert [each.lstat().st_uid for each in (folder, *folder.iterdir())] == before


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("out/x-00001.pcapng", True),
        ("./out/x-00001.pcapng", True),
        ("out/x.pcapng", False),
        ("out/x-1.pcapng", False),
        ("out/x-00001.pcapng.sh", False),
        ("out/x-00001/../../../etc/x.pcapng", False),
        ("elsewhere/x-00001.pcapng", False),
        ("", False),
    ],
)
def test_files_that_rotate_have_a_number(path: str, may: bool) -> None:
    """And differ by nothing else."""
    assert Grants(capture="./out/x.pcapng", rotated=True).may_write(path, force=False) is may


@pytest.mark.parametrize(
    ("name", "what"),
    [("root", "may not be root"), ("0", "may not be root"), ("0:5", "may not be root"), ("-1", "no user '-1'")]
    + [(each, "no user") for each in ("", "nosuch", "1:", "1:x", "99999999999", "1 ", "no:body")],
)
def test_who_it_is_to_be_is_a_user_and_not_root(tmp_path: Path, name: str, what: str) -> None:
    """Read from a file, without a name service."""
    passwd = tmp_path / "passwd"
    passwd.write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/sh\nodd:x:y:z\n")
    assert rights.user("nobody", str(passwd)) == (65534, 65533)
    assert rights.usual_user(str(passwd)) == "nobody"
    if name == "1:":
        assert rights.user(name, str(passwd)) == (1, 1)
        return
    with pytest.raises(RightsError, match=what):
        rights.user(name, str(passwd))
