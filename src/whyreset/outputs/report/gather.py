"""Gathers explained resets into what a summary needs; bounded, whatever comes."""

from __future__ import annotations

from msgspec import Struct, field

from whyreset.core.distinct import Addresses, Ports
from whyreset.observed import ObservedReset
from whyreset.outputs.report.timeline import Timeline
from whyreset.outputs.report.top import Top
from whyreset.outputs.sentences import process_text

#: Rows that are told apart; what comes beyond is counted in one row for its cause.
ROWS_MAX = 2048
#: Addresses that are watched for scans, and the places that are remembered of each.
PROBERS_MAX = 1024
PLACES_MAX = 4096
#: Owners that are told apart in a row.
OWNERS_MAX = 16
#: Resets of one service, and their share of the cause's, that are worth a line of their own.
STANDS_OUT, STANDS_OUT_SHARE = 3, 0.05
#: Zeek's simple-scan calls so many different places without success a scan.
SCAN_PLACES = 25

#: Causes whose receiver may be one who tries many places.
_PROBED = frozenset({"closed-port", "scan-probe", "stray-segment"})


def _addresses() -> Top:
    return Top(Addresses)


def _ports() -> Top:
    return Top(Ports)


class Row(Struct, kw_only=True):
    """Resets with one cause at one service."""

    cause: str
    family: str
    certainty: str
    #: Whether the service's side sent them, or its clients.
    by_service: bool
    #: "" and None: of many.
    address: str
    port: int | None
    count: int = 0
    #: The other side's addresses.
    peers: Top = field(default_factory=_addresses)
    #: The ports and addresses of the service, which may be many.
    ports: Top = field(default_factory=_ports)
    services: Top = field(default_factory=_addresses)
    #: Who a recorder noted as owners; "" for all that found no room.
    owners: dict[str, int] = field(default_factory=dict)
    first_ns: int
    last_ns: int
    #: One of them.
    sample: ObservedReset


class Prober(Struct, kw_only=True):
    """One who met closed ports, or what else scanners meet."""

    address: str
    count: int = 0
    hosts: Top = field(default_factory=_addresses)
    ports: Top = field(default_factory=_ports)
    #: Pairs of host and port, while there are not too many.
    places: set[tuple[str, str]] = field(default_factory=set)
    #: A lower bound from groups that did not list all.
    at_least: int = 0
    #: Ports that answered: a SYN-ACK, which it reset.
    opened: int = 0
    first_ns: int
    last_ns: int

    @property
    def distinct(self) -> int:
        """So many different places at least."""
        return max(len(self.places), self.at_least)


class Gathering:
    """All that a summary tells, as it grows."""

    def __init__(self) -> None:
        self.resets = 0
        #: By cause and by whether the service's side sent them.
        self.causes: dict[tuple[str, str, bool], Row] = {}
        #: The same, by service too.
        self.rows: dict[tuple[str, str, bool, str, int | None], Row] = {}
        self.timeline = Timeline()
        self._probers: dict[str, Prober] = {}

    def add(self, reset: ObservedReset) -> None:
        """Take a reset, or a group of like ones, in."""
        count = reset.count
        self.resets += count
        self.timeline.add(reset.time_ns, reset.last_ns, count, reset.cause.family)
        by_service = _by_service(reset)
        head = (reset.cause.name, reset.cause.certainty, by_service)
        if head not in self.causes:
            self.causes[head] = _row(reset, by_service, "", None)
        _count(self.causes[head], reset)
        self._add_row(reset, head)
        self._add_prober(reset)

    def ranked(self) -> list[Row]:
        """The causes, the commonest first."""
        return sorted(self.causes.values(), key=lambda row: -row.count)

    def ranked_rows(self) -> list[Row]:
        """Causes and services, the commonest first."""
        return sorted(self.rows.values(), key=lambda row: -row.count)

    def parts(self, row: Row) -> list[Row]:
        """A cause's rows by service, the commonest first; none where one service has it all."""
        head = (row.cause, row.certainty, row.by_service)
        found = [each for key, each in self.rows.items() if key[:3] == head and key[3] and key[4] is not None]
        return sorted((each for each in found if each.count < row.count), key=lambda each: -each.count)

    def standing_out(self, row: Row) -> list[Row]:
        """Of a cause, the one or two services that have more than their share of it."""
        least = max(STANDS_OUT, row.count * STANDS_OUT_SHARE)
        return [each for each in self.parts(row)[:2] if each.count >= least]

    def scans(self) -> list[Prober]:
        """Those who tried many places, the busiest first."""
        found = [prober for prober in self._probers.values() if prober.distinct >= SCAN_PLACES]
        return sorted(found, key=lambda prober: -prober.count)

    def _add_row(self, reset: ObservedReset, head: tuple[str, str, bool]) -> None:
        by_service = head[2]
        service = reset.senders if by_service else reset.receivers
        address = service.top[0][0] if service.exact and service.distinct == 1 else ""
        key = (*head, address, reset.port)
        if key not in self.rows and len(self.rows) >= ROWS_MAX:
            key = (*head, "", None)
        if key not in self.rows:
            self.rows[key] = _row(reset, by_service, key[3], key[4])
        _count(self.rows[key], reset)

    def _add_prober(self, reset: ObservedReset) -> None:
        if reset.cause.name in _PROBED:
            probers, hosts = reset.receivers, reset.senders
        elif _opened(reset):
            probers, hosts = reset.senders, reset.receivers
        else:
            return
        if not probers.exact or probers.distinct != 1:
            return
        address = probers.top[0][0]
        prober = self._probers.get(address)
        if prober is None:
            if len(self._probers) >= PROBERS_MAX:
                self._forget_a_prober()
            prober = self._probers[address] = Prober(address=address, first_ns=reset.time_ns, last_ns=reset.last_ns)
        prober.count += reset.count
        prober.opened += reset.count if _opened(reset) else 0
        prober.first_ns, prober.last_ns = min(prober.first_ns, reset.time_ns), max(prober.last_ns, reset.last_ns)
        for top, tally in ((prober.hosts, hosts), (prober.ports, reset.ports)):
            top.add_all(tally)
        prober.at_least = max(prober.at_least, hosts.distinct, reset.ports.distinct)
        if hosts.distinct == 1 and len(prober.places) < PLACES_MAX:
            prober.places.update((hosts.top[0][0], port) for port, _ in reset.ports.top)

    def _forget_a_prober(self) -> None:
        """The quietest half makes room."""
        kept = sorted(self._probers.values(), key=lambda prober: -prober.distinct)[: PROBERS_MAX // 2]
        self._probers = {prober.address: prober for prober in kept}


def _row(reset: ObservedReset, by_service: bool, address: str, port: int | None) -> Row:
    return Row(
        cause=reset.cause.name,
        family=reset.cause.family,
        certainty=reset.cause.certainty,
        by_service=by_service,
        address=address,
        port=port,
        first_ns=reset.time_ns,
        last_ns=reset.last_ns,
        sample=reset,
    )


def _count(row: Row, reset: ObservedReset) -> None:
    service, peers = (reset.senders, reset.receivers) if row.by_service else (reset.receivers, reset.senders)
    row.count += reset.count
    row.first_ns, row.last_ns = min(row.first_ns, reset.time_ns), max(row.last_ns, reset.last_ns)
    for top, tally in ((row.peers, peers), (row.ports, reset.ports), (row.services, service)):
        top.add_all(tally)
    if reset.recorded is not None and reset.recorded.owner is not None:
        owner = process_text(reset.recorded.owner.process)
        if owner not in row.owners and len(row.owners) >= OWNERS_MAX:
            owner = ""
        row.owners[owner] = row.owners.get(owner, 0) + reset.count


def _opened(reset: ObservedReset) -> bool:
    """A SYN-ACK that whoever asked for it reset: half-open scans leave that behind."""
    traits = reset.seen.traits
    return reset.cause.family == "half-open" and traits.opener == "sender" and "S" in (traits.trigger or "")


def _by_service(reset: ObservedReset) -> bool:
    """Whether the reset's sender is the service, as the core's `service_port` has it."""
    seen = reset.seen
    if seen.opener is not None:
        return seen.opener == "receiver"
    if not seen.sender.packets and (seen.receiver.packets or seen.traits.seq == "zero"):
        return True
    return seen.sport <= seen.dport
