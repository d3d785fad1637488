"""What a Prometheus stored of node_exporter's counters: the very samples, with their own times.

Asked through its HTTP API (prometheus.io/docs, «HTTP API»): /api/v1/series for the hosts it knows, and /api/v1/query
with range selectors for samples. Others that speak it (Thanos, Mimir, VictoriaMetrics) are asked alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from whyreset.sources.base import SourceError
from whyreset.sources.grid import Grid, usual_step
from whyreset.sources.web import Server
from whyreset.stored import COUNTERS, RESETS, Series, Store

_PREFIX = "node_netstat_"
#: By metric; the first part is the line of /proc/net/snmp or netstat.
_METRICS = {
    f"{_PREFIX}{'TcpExt' if name.startswith(('TCP', 'Listen', 'Syncookies', 'Embryonic')) else 'Tcp'}_{name}": name
    for name in COUNTERS
}
#: Seconds of one question, so that answers stay small.
_CHUNK = 21_600
_LISTED = 8


class _Sampled(Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Matrix(Struct):
    result: list[_Sampled]


class _Answer(Struct):
    data: _Matrix


class _Labels(Struct):
    data: list[dict[str, str]]


class Prometheus(Store):
    """One host's counters in a Prometheus.

    Args:
        url: where it is.
        instance: the label of the host, whole or without its port; "" where there is but one, or one of this name.
        here: this host's name.
    """

    name = "prometheus"

    def __init__(self, url: str, *, instance: str, here: str) -> None:
        self._server = Server(url, "a Prometheus")
        self._instance = instance
        self._here = here
        self._selector = ""
        self._resets: dict[float, float] = {}
        self._notes: list[str] = []
        self.where = self._server.where

    def open(self, since: int, until: int) -> None:
        """Finds the host, its counters and their interval.

        Raises:
            SourceError: it cannot be asked, or knows no such host, or more than one.
        """
        found = self._series(f"{_PREFIX}Tcp_{RESETS}", since, until)
        if not found:
            raise SourceError(
                f"{self.where} holds no {_PREFIX}Tcp_{RESETS} of that time; node_exporter's netstat collector gives it"
            )
        labels = self._chosen(found)
        words = ",".join(f"{key}={json.dumps(labels[key])}" for key in ("instance", "job") if key in labels)
        self._selector = f"{{{words}}}"
        every = self._series(f'{{__name__=~"{_PREFIX}(Tcp|TcpExt)_.*",{words}}}', since, until)
        self.counters = frozenset(_METRICS[name] for each in every if (name := each.get("__name__", "")) in _METRICS)
        names = {each.get("nodename", "") for each in self._series(f"node_uname_info{self._selector}", since, until)}
        self.host = names.pop() if len(names) == 1 else ""
        self._resets = self._samples((RESETS,), since, until).get(RESETS, {})
        times = sorted(self._resets)
        self.step = usual_step(times)
        if not self.step:
            raise SourceError(f"{self.where} holds fewer than two values of {RESETS} of that time")
        self.kept = (times[0], times[-1])

    def read(self, counters: Sequence[str], since: int, until: int) -> Series:
        """The counters' growth.

        Raises:
            SourceError: it does not answer any more, or not as it should.
        """
        grid = Grid(since, until, self.step, phase=round(min(self._resets)))
        asked = tuple(each for each in counters if each != RESETS)
        # one value before the first step and one after the last
        found = self._samples(asked, since - 2 * self.step, until + 2 * self.step) if asked else {}
        if RESETS in counters:
            found[RESETS] = self._resets
        for counter, values in found.items():
            grid.totals(counter, sorted(values.items()), leading=counter == RESETS)
        if RESETS in counters:
            grid.gap(since, min(self._resets))
            grid.gap(max(self._resets), until)
        return grid.series()

    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return tuple(self._notes)

    def _series(self, match: str, since: int, until: int) -> list[dict[str, str]]:
        words = {"match[]": match, "start": str(since), "end": str(until)}
        return self._server.ask("/api/v1/series", words, _Labels).data

    def _chosen(self, found: Iterable[dict[str, str]]) -> dict[str, str]:
        """The labels of the one host that is meant."""
        ordered = sorted(found, key=lambda each: sorted(each.items()))
        instances = list(dict.fromkeys(each.get("instance", "") for each in ordered))
        wanted = self._instance
        if wanted:
            meant = [each for each in instances if wanted in (each, _host(each))]
        else:
            meant = instances if len(instances) == 1 else [each for each in instances if self._is_here(each)]
        if len(meant) != 1:
            several = "several" if len(meant) > 1 else "no" if wanted else f"{len(instances)}"
            named = ", ".join((meant or instances)[:_LISTED]) + (", ..." if len(meant or instances) > _LISTED else "")
            asked = f" named {wanted}" if wanted else ""
            raise SourceError(f"{self.where} stores {several} hosts{asked}: choose with --instance one of {named}")
        those = [each for each in ordered if each.get("instance", "") == meant[0]]
        if len(those) > 1:
            self._notes.append(
                f"{meant[0]} is stored {len(those)} times; this is of job {those[0].get('job', '')!r} alone"
            )
        if not wanted and len(instances) > 1:
            self._notes.append(f"of {len(instances)} hosts this is {meant[0]}, by this host's name")
        return those[0]

    def _is_here(self, instance: str) -> bool:
        return _host(instance).split(".")[0] == self._here.split(".")[0]

    def _samples(self, counters: Sequence[str], since: int, until: int) -> dict[str, dict[float, float]]:
        """By counter: its values by time."""
        metrics = "|".join(metric for metric, counter in _METRICS.items() if counter in counters)
        out: dict[str, dict[float, float]] = {}
        for begin, end in _chunks(since, until):
            query = f'{{__name__=~"{metrics}",{self._selector[1:]}[{end - begin + 1}s]'
            answer = self._server.ask("/api/v1/query", {"query": query, "time": str(end)}, _Answer)
            for sampled in answer.data.result:
                if (counter := _METRICS.get(sampled.metric.get("__name__", ""))) in counters and counter:
                    # times that were not asked for are nobody's
                    values = ((at, total) for at, total in _numbers(sampled.values) if begin - 1 <= at <= end)
                    out.setdefault(counter, {}).update(values)
        return out


def _chunks(since: int, until: int) -> Iterator[tuple[int, int]]:
    for begin in range(since, until, _CHUNK):
        yield begin, min(begin + _CHUNK, until)


def _numbers(values: Iterable[tuple[float, str]]) -> Iterator[tuple[float, float]]:
    for at, word in values:
        try:
            number = float(word)
        except ValueError:
            continue
        if 0 <= number < 1e18:
            yield at, number


def _host(instance: str) -> str:
    """An instance without its port."""
    host, colon, port = instance.rpartition(":")
    return host if colon and port.isdigit() else instance
