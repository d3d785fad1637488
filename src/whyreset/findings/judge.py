"""Holds the finders together: what each found becomes a finding with an id and a state, and all become a verdict.

Rules. A reset is explained by one finding: by the first in the finders' order that claims it. A finding whose resets
are all explained by others, and that has nothing else to stand on, is not told. A change of its words is told at once,
one of its figures alone every TELL_NS. One that is over still explains the resets of its time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

from msgspec import Struct

from whyreset.findings import FINDERS
from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Finder, Looker, Table
from whyreset.findings.services import OfServices, Services
from whyreset.findings.verdict import verdict
from whyreset.findings.window import Row, Window, fits_time
from whyreset.model import Finding, Share, Verdict

#: Resets so old are still explained, and findings that are over so long still explain them.
WINDOW_NS = 300 * SECOND_NS
#: Findings of one finder at once; a bound of its own for each, so that a crowd of scans does not hide a service that is
#: down.
MOST = 32
TELL_NS = 10 * SECOND_NS

State = Literal["open", "update", "closed"]
#: Says whether a namespace is asked for, by its inode number and name.
Within = Callable[[int, str], bool]
_Key = tuple[str, Hashable]


def _everywhere(_netns: int, _name: str) -> bool:
    return True


class _Told(Struct, kw_only=True):
    """A finding that was told."""

    id: str
    #: Its finder's place among all.
    order: int
    draft: Draft
    #: What was told last, and when.
    words: tuple[str, ...] = ()
    count: int = 0
    time_ns: int = 0
    until_ns: int = 0


class Judge:
    """Finds.

    Args:
        finders: in the order in which they explain; each is made anew.
        window_ns: how long resets can be explained; 0 for ever.
        start: what ids begin with, so that those of two runs differ.
    """

    def __init__(
        self, finders: Sequence[type[Finder]] = FINDERS, *, window_ns: int = WINDOW_NS, start: str = ""
    ) -> None:
        services = Services()
        self._finders = [_made(each, services) for each in finders]
        self._window_ns = window_ns
        self._window = Window(window_ns)
        self._start = start
        self._number = 0
        most = MOST * len(self._finders)
        self._told: Table[_Key, _Told] = Table(2 * most, weight=lambda told: told.until_ns or math.inf)
        self._untold: Table[_Key, bool] = Table(4 * most)
        #: Findings that were not told, since there were so many already.
        self.left_out = 0

    def see(self, batch: Batch) -> None:
        """Takes in what came."""
        self._window.add(batch.resets, batch.now_ns)
        for finder in self._finders:
            finder.see(batch)

    def looks(self) -> set[tuple[int, int]]:
        """Ports whose connections the finders want to be counted, as namespace cookie and port."""
        return {each for finder in self._finders if isinstance(finder, Looker) for each in finder.looks()}

    def judge(self, now_ns: int) -> list[Finding]:
        """What began, changed or ended since it was asked last; about once a second is often enough."""
        drafts: dict[_Key, tuple[int, Draft]] = {}
        for order, finder in enumerate(self._finders):
            for draft in finder.drafts(now_ns):
                drafts[finder.NAME, draft.key] = order, draft
        shares = self._shares({key: each for key, each in drafts.items() if not each[1].over})
        findings = []
        for key, (order, draft) in drafts.items():
            told = self._told.get(key)
            if told is None or (told.until_ns and not draft.over):
                if draft.stands or (shares[key] and not draft.over):
                    findings += self._open(key, order, draft, now_ns)
                continue
            told.draft = draft
            late = now_ns - told.time_ns >= TELL_NS
            if draft.over and not told.until_ns:
                findings.append(_tell(key[0], told, "closed", now_ns))
            elif not draft.over and (told.words != _words(draft) or (told.count != draft.count and late)):
                findings.append(_tell(key[0], told, "update", now_ns))
        for key, told in self._told.items():
            if key not in drafts and not told.until_ns:
                findings.append(_tell(key[0], told, "closed", now_ns))
        if self._window_ns:
            self._told.drop(lambda told: 0 < told.until_ns < now_ns - self._window_ns)
        return findings

    def open(self, now_ns: int) -> list[Finding]:
        """All that go on, as they are now."""
        return [_finding(key[0], told, "update", now_ns) for key, told in self._told.items() if not told.until_ns]

    def verdict(
        self, now_ns: int, since_ns: int = 0, *, direction: str | None = None, within: Within = _everywhere
    ) -> Verdict:
        """What the resets since then mean.

        Args:
            now_ns: until when.
            since_ns: from when on, as far as that is remembered.
            direction: only resets so.
            within: only those of the namespaces of which it says so, by inode number and name.
        """
        known = {
            key: (told.order, told.draft)
            for key, told in self._told.items()
            if (not told.until_ns or told.until_ns >= since_ns)
            and (not told.draft.subject.netns or within(told.draft.subject.netns, told.draft.subject.netns_name))
        }
        causes: Counter[str] = Counter()
        counts = self._shares(known, since_ns, direction, within, causes)
        shares = []
        for key, (_, draft) in known.items():
            told = self._told.get(key)
            if told is not None and (counts[key] or (draft.stands and draft.last_ns >= since_ns)):
                shares.append(
                    Share(
                        id=told.id,
                        name=key[0],
                        subject=draft.subject,
                        count=counts[key],
                        sentence=draft.sentence,
                        severity=draft.severity,
                        confidence=draft.confidence,
                    )
                )
        steps = {told.id: told.draft.steps for _, told in self._told.items()}
        return verdict(shares, causes, steps, now_ns=now_ns, since_ns=since_ns)

    # ---- shares ----

    def _shares(
        self,
        drafts: dict[_Key, tuple[int, Draft]],
        since_ns: int = 0,
        direction: str | None = None,
        within: Within = _everywhere,
        unexplained: Counter[str] | None = None,
    ) -> Counter[_Key]:
        """How many resets each explains, the first in the finders' order before the others."""
        ordered = sorted(drafts.items(), key=lambda item: item[1][0])
        counts: Counter[_Key] = Counter()
        claimants = _claimants(ordered)
        for begins_ns, row in self._window.rows(since_ns):
            if direction not in (None, row.direction) or not within(row.netns, row.netns_name):
                continue
            left = row.count
            for _, key, claims in _of_row(claimants, row):
                taken = min(left, row.claimed(claims)) if fits_time(claims, begins_ns) else 0
                counts[key] += taken
                left -= taken
                if not left:
                    break
            if left and unexplained is not None:
                unexplained[row.cause] += left
        return counts

    def _open(self, key: _Key, order: int, draft: Draft, now_ns: int) -> list[Finding]:
        """A finding for the first time; none where there are too many."""
        if sum(name == key[0] and not told.until_ns for (name, _), told in self._told.items()) >= MOST:
            if key not in self._untold:
                self._untold.touch(key, lambda: True)
                self.left_out += 1
            return []
        self._number += 1
        self._told.pop(key)
        told = self._told.touch(key, lambda: _Told(id=f"{self._start}f{self._number}", order=order, draft=draft))
        return [_tell(key[0], told, "closed" if draft.over else "open", now_ns)]


#: By cause or family, and namespace: who claims such resets, the first in the finders' order first.
_Claimants = dict[tuple[str, int | None], list[tuple[int, _Key, Claims]]]


def _claimants(ordered: list[tuple[_Key, tuple[int, Draft]]]) -> _Claimants:
    """So that of many findings only those are asked that may explain a reset."""
    found: _Claimants = {}
    place = 0
    for key, (_, draft) in ordered:
        for claims in draft.claims:
            place += 1
            for cause in claims.causes:
                found.setdefault((cause, claims.netns_cookie), []).append((place, key, claims))
    return found


def _of_row(claimants: _Claimants, row: Row) -> list[tuple[int, _Key, Claims]]:
    names, places = {row.cause, row.family}, (None, row.netns_cookie)
    found = {each[0]: each for name in names for cookie in places for each in claimants.get((name, cookie), ())}
    return [found[place] for place in sorted(found)]


def _made(finder: type[Finder], services: Services) -> Finder:
    return finder(services) if issubclass(finder, OfServices) else finder()


def _words(draft: Draft) -> tuple[str, ...]:
    return draft.severity, draft.confidence, draft.stage


def _tell(name: str, told: _Told, state: State, now_ns: int) -> Finding:
    told.words, told.count, told.time_ns = _words(told.draft), told.draft.count, now_ns
    if state == "closed":
        told.until_ns = told.draft.last_ns
    return _finding(name, told, state, now_ns)


def _finding(name: str, told: _Told, state: State, now_ns: int) -> Finding:
    draft = told.draft
    return Finding(
        id=told.id,
        name=name,
        state=state,
        time_ns=now_ns,
        subject=draft.subject,
        since_ns=draft.since_ns,
        until_ns=told.until_ns,
        count=draft.count,
        confidence=draft.confidence,
        severity=draft.severity,
        sentence=draft.sentence,
        evidence=draft.evidence,
        steps=draft.steps,
        resets=draft.resets,
    )
