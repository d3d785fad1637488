"""The files that a run was granted, made in its user's name."""

from __future__ import annotations

import os
import stat

from whyreset.files import OWN
from whyreset.privileges.grants import Grants, same
from whyreset.privileges.line import content
from whyreset.privileges.requests import CONTENT_BYTES_MAX, NotGrantedError


class Outputs:
    """Makes them; everything raises OSError and NotGrantedError.

    Args:
        grants: which.
        owner: user and group that the worker will be; None for the same.
    """

    def __init__(self, grants: Grants, owner: tuple[int, int] | None) -> None:
        self._grants = grants
        self._owner = owner
        self._opened: set[str] = set()
        self._made = 0

    def open(self, path: str, *, force: bool) -> int:
        """A descriptor for writing."""
        if not self._grants.may_write(path, force=force):
            raise NotGrantedError("that file")
        if self._grants.evidence and self._made >= self._grants.evidence_files:
            raise NotGrantedError("another file")
        descriptor = OWN.open(path, force=force)
        self._made += 1
        self._opened.add(path)
        return descriptor

    def remove(self, path: str) -> None:
        """One of those that were opened here."""
        if path not in self._opened:
            raise NotGrantedError("that file")
        self._opened.discard(path)
        OWN.remove(path)

    def make_folder(self, path: str) -> None:
        """The folder for evidence, or the worker's own."""
        if not (same(path, self._grants.evidence) or same(path, self._grants.home)):
            raise NotGrantedError("that folder")
        OWN.make_folder(path)
        if same(path, self._grants.home):
            self._hand_over(path)

    def put(self, path: str, descriptor: int) -> None:
        """What alerts remember."""
        if not same(path, self._grants.state):
            raise NotGrantedError("that file")
        data = content(descriptor, CONTENT_BYTES_MAX + 1)
        if len(data) > CONTENT_BYTES_MAX:
            raise NotGrantedError("so large a file")
        OWN.put(path, data)

    def _hand_over(self, path: str) -> None:
        """A folder of root's in which nothing is but what was granted becomes the worker's, with its files.

        One that anything else lies in, or that others may write to, stays as it is.
        """
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(folder)
            if self._owner is None or status.st_uid or status.st_mode & 0o022:
                return
            names = os.listdir(folder)
            files = [os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names]
            if not all(each.startswith(self._grants.home_files) for each in names) or not all(map(_is_ours, files)):
                return
            for name in names:
                os.chown(name, *self._owner, dir_fd=folder, follow_symlinks=False)
            os.fchown(folder, *self._owner)
        finally:
            os.close(folder)


def _is_ours(status: os.stat_result) -> bool:
    """A file that only root has written, under this name alone."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == 0 and status.st_nlink == 1
