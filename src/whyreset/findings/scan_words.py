"""port-scan in words: its sentence, its evidence, and what to do next.

Rules. Whoever sends single segments may send them in anyone's name: that is said, and no command is given that shuts an
address out, unless connections were completed by the scan itself and by it alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from whyreset.findings.base import times
from whyreset.model import Confidence, Contact, Step
from whyreset.words import span

_TECHNIQUES = {
    "connect": "a connect scan",
    "syn": "a SYN scan",
    "fin": "a FIN scan",
    "null": "a NULL scan",
    "xmas": "an Xmas scan",
    "ack": "an ACK or window scan",
    "maimon": "a Maimon scan (FIN with ACK)",
    "other": "flags that no stack sends",
}
_SHOWN = 8


class Scan(Struct, kw_only=True):
    """A source that scans; times are nanoseconds since the epoch."""

    contact: Contact
    first_ns: int
    last_ns: int
    #: Ports on which nobody listened, of those that are told apart, and how many places in all.
    ports: tuple[int, ...] = ()
    failed: int = 0
    confidence: Confidence = "suspected"
    #: The remote that this one came together with, itself where it came alone.
    leader: str = ""
    #: It is not told before.
    ready_ns: int = 0


def gap_ns(scan: Scan) -> int:
    """What lies between two of its places, on average."""
    return (scan.last_ns - scan.first_ns) // max(scan.failed - 1, 1)


def is_proven(scans: Sequence[Scan]) -> bool:
    """Whether the scan itself completed handshakes, so that the address is its own."""
    contact = scans[0].contact
    proven = contact.handshake and contact.techniques == ("connect",)
    return len(scans) == 1 and proven and bool(contact.opened)


def sentence(scans: Sequence[Scan], confidence: Confidence) -> str:
    """«Port scan: 198.51.100.7 tried about 1,000 ports of 192.0.2.2 within 13 s (a SYN scan)»."""
    scan = scans[0]
    contact = scan.contact
    head = "Possibly a port scan" if confidence == "suspected" else "Port scan"
    who = contact.remote if len(scans) == 1 else f"{len(scans):,} sources at the same time"
    how = f"{_within(scan)} ({_how(contact)})"
    tried = f"{who} tried {_ports(scan)}{_where(contact)} {how}"
    if len(scans) > 1:
        return f"{head}: {tried}; which of them is the true one cannot be told"
    found = f"; accepted at {_list(contact.opened)}" if is_proven(scans) else ""
    return f"{head}: {tried}{found}"


def evidence(scans: Sequence[Scan]) -> tuple[str, ...]:
    """The strongest first."""
    scan = scans[0]
    contact = scan.contact
    about = "" if contact.exact else "about "
    first = "the first ports" if scan.failed > len(scan.ports) or len(scan.ports) > _SHOWN else "ports"
    out = [
        f"{about}{times(scan.failed, 'place')} without a listener within the last day, as far as that was watched;"
        f" {first} {', '.join(map(str, scan.ports[:_SHOWN]))}"
    ]
    out.append(f"{times(contact.tries, 'segment')} that belong to no connection, {_pace(scan)}")
    if len(scans) > 1:
        named = ", ".join(each.contact.remote for each in scans[:_SHOWN])
        rest = f" and {len(scans) - _SHOWN:,} more" if len(scans) > _SHOWN else ""
        out.append(f"the same places from {named}{rest}: decoys in the name of others, as nmap -D makes them")
    if is_proven(scans):
        out.append(f"its connections were accepted at {_list(contact.opened)}: the address is its own")
    else:
        out.append(_doubt(contact, many=len(scans) > 1))
    if contact.opened and not is_proven(scans):
        out.append(f"answered at {_list(contact.opened)}")
    if "syn" in contact.techniques:
        out.append("SYNs with fewer options than stacks send; the kernel does not tell what such a scan finds open")
    if "ack" in contact.techniques:
        out.append("an ACK is answered alike by open and closed ports: such a scan looks for firewalls")
    return tuple(out)


def steps(scans: Sequence[Scan]) -> tuple[Step, ...]:
    """What to do next."""
    contact = scans[0].contact
    remote = contact.remote
    out = [Step("ss -ltn", "which ports are open for a scanner to find")]
    if is_proven(scans):
        out.append(Step(f"ss -tn dst {remote}", "connections that it has now"))
        family = "-6 " if ":" in remote else ""
        out.append(
            Step(f"ip {family}route add blackhole {remote}", "shuts it out, with everybody else behind that address")
        )
    else:
        who = "net" if "/" in remote else "host"
        out.append(
            Step(
                f"tcpdump -nevi any -c 20 'src {who} {remote} and tcp'",
                "where such segments enter (link address, TTL): the source that they name may be another's",
            )
        )
    return tuple(out)


def _doubt(contact: Contact, *, many: bool) -> str:
    whose = "their addresses" if many else "its address"
    if contact.handshake:
        return (
            f"single segments: {whose} may be spoofed; connections of {contact.remote} do not prove these are its own"
        )
    return f"no connection of it was completed: {whose} may be spoofed"


def _ports(scan: Scan) -> str:
    # of those that are only estimated it is not told apart which had a listener before: all were tried
    tried, about = (scan.failed, "") if scan.contact.exact else (scan.contact.failed, "about ")
    if scan.contact.addresses > 1:
        return f"{about}{times(tried, 'place')} (address and port)"
    if tried <= 4:
        return f"{'port' if tried == 1 else 'ports'} {_list(scan.ports)}"
    return f"{about}{times(tried, 'port')}"


def _where(contact: Contact) -> str:
    if contact.addresses > 1:
        return f" of {contact.addresses:,} addresses"
    return f" of {contact.places[0].address}" if contact.places and contact.places[0].address else ""


def _within(scan: Scan) -> str:
    return f"within {span(scan.last_ns - scan.first_ns)}"


def _pace(scan: Scan) -> str:
    gap = gap_ns(scan)
    if gap >= 1_000_000_000:
        return f"one every {span(gap)}"
    return f"{round(1e9 / gap):,} a second" if gap else "all at once"


def _how(contact: Contact) -> str:
    return ", ".join(_TECHNIQUES[each] for each in contact.techniques)


def _list(ports: Sequence[int]) -> str:
    shown = ", ".join(map(str, ports[:_SHOWN]))
    return f"{shown} and more" if len(ports) > _SHOWN else shown
