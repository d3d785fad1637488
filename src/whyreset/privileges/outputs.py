"""The files that a run was granted, made in its user's name."""

from __future__ import annotations

import os

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
        """A folder of root's becomes the worker's; one of somebody else stays theirs."""
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if self._owner and os.fstat(folder).st_uid == 0:
                os.fchown(folder, *self._owner)
        finally:
            os.close(folder)
