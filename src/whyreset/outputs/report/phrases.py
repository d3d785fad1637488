"""What a row of a summary says: who reset whom, and what that means, seen by nobody's side."""

from __future__ import annotations

from whyreset.model import Verdict
from whyreset.outputs.report.gather import Gathering, Prober, Row
from whyreset.outputs.report.top import Top
from whyreset.words import span

#: Ports that are named where there are more, and the share of the resets that each of them has at least.
NAMED_PORTS, NAMED_SHARE = 3, 0.05
#: Owners that are named where there are more.
NAMED_OWNERS = 2

#: What happened, by slug or family; «client» and «server» are by who sent the SYN.
MEANINGS: dict[str, str] = {
    "closed-port": "nobody listens there, or a firewall refuses",
    "scan-probe": "flags that no TCP stack sends: somebody looks for open ports",
    "abort": "the program (or its end) cut the connection; packets do not tell how",
    "unread-data": "it closed while data lay unread, which is lost",
    "linger-zero": "cut on purpose (SO_LINGER 0)",
    "data-after-close": "more data came after it had closed; that data is lost",
    "linger2-expired": "it did not wait for the other side to close",
    "keepalive-timeout": "the other side left keepalive probes unanswered",
    "accept-queue-full": "the program accepts too slowly: its queue was full",
    "invalid-syn": "another SYN inside a handshake",
    "time-wait": "an earlier connection of the same ports was in the way: harmless",
    "time-wait-reuse": "an earlier connection of the same ports was in the way: harmless",
    "time-wait-segment": "an earlier connection of the same ports was in the way",
    "time-wait-assassination": "a late echo of a closed connection: harmless",
    "in-flight": "belongs to the reset before it: no trouble of its own",
    "late-duplicate": "a late segment of a closed connection: harmless",
    "half-open": "it did not know the connection that the other side used",
    "unsolicited-syn-ack": "an answer to a SYN that was never sent: backscatter, or a scanner",
    "bad-handshake-ack": "a handshake with a wrong number",
    "stray-segment": "a bare segment of no connection: a probe, or the echo of a flood",
    "mptcp": "Multipath TCP gave up a path or a connection",
    "forged": "neither end sent it: a firewall, a filter or an attacker on the way did",
    "unknown": "packets do not tell",
}


def meaning(row: Row) -> str:
    """What the cause of a row means, in half a sentence."""
    return MEANINGS.get(row.cause, "")


def place(address: str, port: int | None) -> str:
    """«192.0.2.2:8080», «[2001:db8::1]:443», «192.0.2.2»."""
    name = f"[{address}]" if ":" in address and port is not None else address
    return name if port is None else f"{name}:{port}"


def several(top: Top, one: str, many: str) -> str:
    """«192.0.2.1», «12 clients», «about 12,000 clients»; one that stands out is named."""
    most = top.most(2)
    if top.exact and len(most) == 1:
        return f"{one} {most[0][0]}" if one else most[0][0]
    count = f"{top.told()} {many}"
    if most and (len(most) == 1 or most[0][1] > 3 * most[1][1]):
        count += f" (mostly {most[0][0]})"
    return count


def who(row: Row) -> str:
    """«192.0.2.2:8080 reset 12 clients», «client 192.0.2.1 reset 300 servers, ports 80 and 443»."""
    named, ports_told = row.services.exact and row.services.distinct == 1, row.ports.exact and row.ports.distinct == 1
    if named and ports_told:
        service = place(row.services.most(1)[0][0], int(row.ports.most(1)[0][0]))
    else:
        service = several(row.services, "", "servers")
    peers = several(row.peers, "client", "clients")
    text = f"{service} reset {peers}" if row.by_service else f"{peers} reset {service}"
    if not (named and ports_told):
        text += f", {ports(row.ports, row.count)}"
    return f"{text}; {owners(row.owners)}" if row.owners else text


def owners(counts: dict[str, int]) -> str:
    """«owner nginx[911] (nginx.service)», «owners nginx[911], nginx[912] and others»."""
    named = sorted((each for each in counts if each), key=lambda each: -counts[each])
    others = " and others" if len(named) > NAMED_OWNERS or "" in counts else ""
    return f"owner{'s' if len(named) > 1 else ''} {', '.join(named[:NAMED_OWNERS])}{others}"


def ports(top: Top, resets: int) -> str:
    """«port 80», «ports 80, 443 and 12 more», «65,535 ports»: those are named that have their share of the resets."""
    most = top.most(NAMED_PORTS + 1)
    if len(most) == 1 and top.exact:
        return f"port {most[0][0]}"
    if len(most) <= NAMED_PORTS and top.exact:
        return f"ports {', '.join(port for port, _ in most[:-1])} and {most[-1][0]}"
    named = [port for port, count in most[:NAMED_PORTS] if count >= max(2, resets * NAMED_SHARE)]
    if not named:
        return f"{top.told()} ports"
    return f"port{'s' if len(named) > 1 else ''} {', '.join(named)} and {top.told(len(named))} more"


def scan(prober: Prober) -> str:
    """«198.51.100.1 tried 1,000 ports of 192.0.2.2 within 3 s; 2 answered»."""
    hosts = several(prober.hosts, "", "hosts")
    tried = prober.ports
    what = f"{tried.told()} ports"
    if tried.exact and tried.distinct == 1:
        what = f"port {tried.most(1)[0][0]}"
    text = f"{prober.address} tried {what} of {hosts} within {span(prober.last_ns - prober.first_ns)}"
    return text + (f"; {prober.opened:,} answered" if prober.opened else "")


def verdict(found: Gathering, meant: Verdict | None = None) -> str:
    """The one sentence that matters most; "" where there is nothing to say.

    Args:
        found: what was gathered.
        meant: what the findings say of it; where there are none, the commonest cause is what matters.
    """
    if meant is not None and meant.shares:
        return f"{meant.sentence}."
    rows, scans = found.ranked(), found.scans()
    if not rows:
        return ""
    tried = sum(prober.count for prober in scans)
    if scans and tried * 2 >= found.resets:
        others = f"; {len(scans) - 1} more scan" if len(scans) > 1 else ""
        return f"Mostly a port scan: {scan(scans[0])}{others}."
    first = rows[0]
    if first.count * 2 >= found.resets:
        likely = "" if first.certainty == "certain" else "probably "
        return f"Mostly {first.cause}: {who(first)}; {likely}{meaning(first)}."
    causes = ", ".join(f"{row.cause} {percent(row.count, found.resets)}" for row in rows[:3])
    return f"No cause stands out: {causes}."


def percent(part: int, whole: int) -> str:
    """«25 %», «0.8 %», «<0.1 %»."""
    value = 100 * part / whole if whole else 0
    if part and value < 0.1:
        return "<0.1 %"
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"
