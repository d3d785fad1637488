"""The values that cross from one stage to the next.

All are frozen: a stage makes new ones. Times are nanoseconds since the epoch unless the name says otherwise; text that
came from the network or from other processes is untrusted and is escaped where it is shown.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from whyreset.observation import Traits

#: include/linux/socket.h.
_AF_INET6 = 10

Direction = Literal["sent", "received", "observed"]
Certainty = Literal["certain", "likely", "unknown"]
#: Of a finding: proven, good evidence short of proof, or too little yet to say it aloud.
Confidence = Literal["certain", "likely", "suspected"]
#: What a finding asks of an operator: nothing, a look some day, a look now, or help for a service that is down.
Severity = Literal["harmless", "notice", "warning", "critical"]


class Process(Struct, frozen=True, kw_only=True, gc=False):
    """One process, living or dead. A pid alone may be reused; with its start it names one process for ever."""

    pid: int
    #: Start of the process in nanoseconds of CLOCK_BOOTTIME; 0 where not known.
    start_ns: int = 0
    #: The leader's name, at most 15 bytes.
    comm: str = ""
    #: Path of the executable, or only its last component where the process was gone too soon.
    exe: str = ""
    command: tuple[str, ...] = ()
    uid: int | None = None
    user: str = ""
    unit: str = ""
    container: str = ""
    container_name: str = ""
    pod: str = ""
    #: The control group's path, or its last components.
    cgroup: str = ""
    netns: int = 0
    parent_pid: int = 0
    #: Start of the parent where both run one program, this by fork alone; 0 where it ran exec or that is not known.
    parent_start_ns: int = 0
    #: None while it lives; else how it ended, as wait(2) gives it.
    exit_code: int | None = None
    #: It was chosen by the kernel's OOM killer.
    out_of_memory: bool = False
    ended_ns: int = 0


class Listener(Struct, frozen=True, kw_only=True, gc=False):
    """A listening socket's life: who listened where, from when until when, and how that ended."""

    netns_cookie: int
    port: int
    address: str
    family: int
    ipv6_only: bool
    socket_cookie: int
    #: (pid, start_ns) of the process that called listen(2), or the eldest that held the socket when watching began.
    owner: tuple[int, int]
    backlog: int = 0
    #: CLOCK_BOOTTIME; 0: before watching began.
    since_ns: int = 0
    #: CLOCK_BOOTTIME; 0 while it listens.
    until_ns: int = 0
    closer: tuple[int, int] | None = None
    #: The closer was exiting; then this is its exit code.
    exit_code: int | None = None
    out_of_memory: bool = False
    #: Others that held the same socket when watching began (pre-forked children).
    holders: tuple[tuple[int, int], ...] = ()
    #: The namespace's inode number.
    netns: int = 0

    def serves(self, address: str, family: int = 0) -> bool:
        """Whether who connects to that address comes to it; "" and 0 for any."""
        if not address or self.address == address:
            return True
        if self.address not in ("0.0.0.0", "::"):
            return False
        return not family or self.family == family or (self.family == _AF_INET6 and not self.ipv6_only)


class Life(Struct, frozen=True, kw_only=True):
    """A listener that is known, and its processes."""

    listener: Listener
    owner: Owner
    netns_name: str = ""
    #: Who closed it last, where that was another process.
    last: Process | None = None


class Socket(Struct, frozen=True, kw_only=True):
    """A TCP socket as it is now, and one process that holds it."""

    netns: int
    #: 0 where the kernel does not tell.
    netns_cookie: int
    cookie: int
    state: str
    family: int
    local: str
    local_port: int
    remote: str
    remote_port: int
    ipv6_only: bool = False
    #: (pid, start_ns).
    holder: tuple[int, int] | None = None
    #: Of listeners: the accept queue, as (waiting, limit).
    queue: tuple[int, int] | None = None
    #: Number of its file; 0 where it has none (any more).
    inode: int = 0
    #: What it dropped since it was made: of a listener, handshakes that it had no room for. None where not asked for.
    drops: int | None = None


class Queue(Struct, frozen=True, kw_only=True):
    """A listener's queues at one moment."""

    port: int
    address: str
    socket_cookie: int
    #: Connections that wait to be accepted. The kernel lets in one more than the limit.
    waiting: int
    #: The smaller of listen(2)'s backlog and net.core.somaxconn: of connections that wait, and of half-open ones.
    limit: int
    #: Handshakes that are not complete; None where they were not counted.
    half_open: int | None = None
    #: Handshakes that it dropped since the look before; None where there was none.
    drops: int | None = None
    #: None where nobody is known.
    owner: Owner | None = None


class Holder(Struct, frozen=True, kw_only=True):
    """Sockets that hold memory of TCP, by the port that names the service."""

    port: int
    #: The port is one that somebody listens on here; else it is the remote one.
    served: bool
    sockets: int
    #: Of these, those that were closed by their process and still have data to send.
    orphans: int
    memory_bytes: int
    #: Whose listener that is; None where nobody is known.
    owner: Owner | None = None
    #: Cookie of that listener; 0 where there is none.
    socket_cookie: int = 0


class Place(Struct, frozen=True, kw_only=True):
    """A network namespace that was looked into, since a counter had said that there is something to see."""

    netns: int
    netns_cookie: int
    netns_name: str = ""
    #: Its settings under /proc/sys/net by their last name («tcp_syn_retries», «somaxconn»); those that could be read.
    settings: dict[str, int] = {}
    #: Its listeners, as far as there was room; none where only settings were asked for.
    queues: tuple[Queue, ...] = ()
    #: Who holds most memory there, and most orphans, where that was asked for.
    holders: tuple[Holder, ...] = ()
    #: Why it could not be looked into; "" where it was.
    unread: str = ""


class Attempt(Struct, frozen=True, kw_only=True):
    """Connections of one process to one destination that this host gave up without any answer to its SYN."""

    netns_cookie: int
    netns: int = 0
    netns_name: str = ""
    remote: str
    port: int
    #: (pid, start_ns); what is known of that process is filled in later.
    owner: tuple[int, int] | None
    process: Process | None = None
    count: int
    #: How long they had been tried, at the least and at the most; 0 where that is not known.
    shortest_ns: int
    longest_ns: int
    #: CLOCK_BOOTTIME of the first and last end.
    first_ns: int
    last_ns: int


class ProcessEnd(Struct, frozen=True, kw_only=True):
    """A process ended."""

    pid: int
    start_ns: int
    #: As wait(2) gives it: exit status times 256, or the signal's number.
    exit_code: int
    out_of_memory: bool
    time_ns: int


class ListenerEnd(Struct, frozen=True, kw_only=True):
    """A listening socket was closed, by whom, and whether that process was exiting."""

    netns_cookie: int
    socket_cookie: int
    time_ns: int
    closer: tuple[int, int]
    exit_code: int | None
    out_of_memory: bool


class Facts(Struct, frozen=True, kw_only=True):
    """The small, discrete features that a cause follows from. Hashable: identical facts are explained once."""

    direction: Direction
    #: The kernel's own reason by name, without SK_RST_REASON_; "" where the kernel gives none.
    reason: str = ""
    #: The socket's state when the reset was traced; "" without a socket.
    state: str = ""
    #: The state that the connection left for CLOSE; "" where unknown.
    state_before: str = ""
    #: What a TIME-WAIT mini socket stands for: TIME_WAIT, or FIN_WAIT2. What a segment for a listener met, where that
    #: is known: NEW_SYN_RECV for a half-open request, else LISTEN.
    substate: str = ""
    #: Flags of the segment that provoked it, as letters of FSRPAU ("" for none set); None where none did.
    trigger: str | None = None
    trigger_payload: bool = False
    #: The trigger carried TCP options; hand-made segments rarely do, stacks with timestamps always do.
    trigger_options: bool = False
    #: The trigger's place against a remembered connection: "old", "last-ack", "new"; "" without one. While a connection
    #: is being opened, against what was sent: "fits" acknowledges all of it, "old" less, "new" more.
    segment: Literal["", "old", "last-ack", "new", "fits"] = ""
    #: How the connection of this four-tuple had ended, if the memory of closed connections knows.
    ended: Literal["", "orderly", "half-closed", "reset-sent", "reset-received", "abandoned", "silent"] = ""
    #: Within a round trip or so of that end.
    at_once: bool = False
    #: Later, but so soon that a busy peer may not have noticed.
    soon: bool = False
    #: This host had sent the SYN.
    active_open: bool = False
    #: The current task held the socket's lock: it is the closer.
    in_closer: bool = False
    #: The closer's process is the socket's owner, as far as both are known.
    by_owner: bool = False
    #: The current task was exiting.
    exiting: bool = False
    #: The socket hung on an open file.
    has_file: bool = False
    #: That file's last reference was gone: close(2), not a call on an open socket.
    released: bool = False
    orphaned: bool = False
    linger_zero: bool = False
    linger2_negative: bool = False
    unread: bool = False
    data_unacked: bool = False
    fin_received: bool = False
    user_timeout: bool = False
    #: SO_KEEPALIVE was on; said only of resets of the kernel's own accord for which it gives no reason.
    keepalive: bool = False
    kernel_socket: bool = False
    accept_queue_full: bool = False
    abort_on_overflow: bool = False
    cookies_recent: bool = False
    embryos: bool = False
    memory_exhausted: bool = False
    #: Part of a group that stands for all that did not fit: ports and processes are not told apart.
    crowded: bool = False
    #: Only the wire showed it: it left this host, and the TCP stack neither told of it nor counted it.
    past_stack: bool = False
    #: Reject rules of a firewall that fit it: "" for none, "moved" where the counter of one moved by as many and more,
    #: "uncounted" where one has no counter that would tell, "unread" where the rules could not be read.
    reject: Literal["", "moved", "uncounted", "unread"] = ""
    #: The same reset's cause as seen at its sender, when both ends are on this host.
    twin_cause: Cause | None = None
    #: What packets tell of it; causes turn to that where the kernel gave no reason.
    traits: Traits | None = None

    @property
    def goes_on_after_reset(self) -> bool:
        """What comes is beyond a reset that was received: its sender is not who sent that reset.

        A reset counts only at exactly the next number expected (RFC 5961 section 3.2), so that nothing new was on its
        way before it; except where segments had changed their order (tcp_validate_incoming() takes it behind a hole,
        too).
        """
        return self.ended == "reset-received" and self.segment == "new"


class Segment(Struct, frozen=True, kw_only=True):
    """A TCP segment's header, as far as it bears on a reset."""

    flags: str
    seq: int
    ack: int
    #: Payload bytes.
    length: int
    window: int = 0
    ttl: int = 0


class Record(Struct, frozen=True, kw_only=True):
    """One reset as the kernel showed it, before anyone has explained it: defaults stand for what it did not show.

    `local` is this host's side.
    """

    number: int
    #: CLOCK_BOOTTIME.
    time_ns: int
    direction: Direction
    netns: int
    netns_cookie: int
    #: 0 without a socket.
    socket_cookie: int = 0
    family: int
    local: str
    local_port: int
    remote: str
    remote_port: int
    interface: str = ""
    trigger: Segment | None = None
    reason: str = ""
    state: str = ""
    state_before: str = ""
    #: CLOCK_BOOTTIME when the connection was opened; 0 where that was not seen.
    opened_ns: int = 0
    #: Since data last came or went.
    idle_ms: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    unread: int = 0
    snd_nxt: int = 0
    rcv_nxt: int = 0
    #: Where a listener was asked: its accept queue, as (waiting, limit).
    queue: tuple[int, int] | None = None
    #: Milliseconds since the remembered connection of this four-tuple ended.
    ended_ms: int | None = None
    exit_code: int = 0
    owner: tuple[int, int] | None = None
    owner_via: str = ""
    closer: tuple[int, int] | None = None
    #: Socket cookie of the listener that the connection came from; 0 where that is not known.
    listener_cookie: int = 0
    #: Number of the same reset's record at its other end.
    twin: int | None = None


class Remotes(Struct, frozen=True, kw_only=True):
    """A bounded account of the remote addresses of a group."""

    #: Distinct addresses; an estimate (about 6 %) when `exact` is false.
    distinct: int
    exact: bool
    #: The addresses seen most, with counts that are exact only while `exact` is true (upper bounds otherwise).
    top: tuple[tuple[str, int], ...]


class Surroundings(Struct, frozen=True, kw_only=True):
    """What there is in a namespace that sends resets past the TCP stack; sentences for people."""

    #: Reject rules that fit, so that a person finds them; or why the rules could not be read.
    rules: tuple[str, ...] = ()
    #: Raw and packet sockets with who holds them.
    sockets: tuple[str, ...] = ()
    #: What of that could not be read, and why.
    unread: tuple[str, ...] = ()


class Group(Struct, frozen=True, kw_only=True):
    """Resets alike in facts, port, owner and namespace within one tick."""

    #: Number of its first record.
    number: int
    #: Number of its last record.
    last_number: int = 0
    facts: Facts
    count: int
    #: CLOCK_BOOTTIME of the first and last.
    first_ns: int
    last_ns: int
    netns: int
    netns_cookie: int
    #: The port that names the service: ours, or the peer's for connections that this host opened; None when crowded.
    port: int | None
    remotes: Remotes
    samples: tuple[Record, ...]
    #: Number of the twin group's first record; of one record's own twin where the group was made of it.
    twin: int | None
    #: There the twin group's number, since not every record of that was kept by itself.
    twin_group: int | None = None
    #: How many of them were seen on the wire too.
    on_wire: int = 0
    #: Where they went past the stack.
    surroundings: Surroundings | None = None


class Cause(Struct, frozen=True, kw_only=True):
    """Why a reset was sent."""

    #: A slug, or the family's name where the slug cannot be told, or "unknown".
    name: str
    family: str
    certainty: Certainty
    #: What it may be, where `name` is not a slug.
    candidates: tuple[str, ...] = ()
    #: Sentences; words in braces are filled from the reset that is shown.
    evidence: tuple[str, ...] = ()
    #: What would have to be seen to know more; empty when certain.
    missing: str = ""


class Owner(Struct, frozen=True, kw_only=True):
    """The process that owns, or last owned, a socket or a listening port, and how that is known."""

    process: Process
    via: str
    alive: bool


class Stop(Struct, frozen=True, kw_only=True):
    """How the listener came to its end that a reset's owner is known by."""

    #: Nanoseconds since the epoch.
    time_ns: int
    #: As wait(2) gives it; None where it was closed by a process that went on.
    exit_code: int | None = None
    out_of_memory: bool = False
    #: Who held it last, where that was another process than the owner.
    holder: Process | None = None


class Reset(Struct, frozen=True, kw_only=True):
    """One reset, or a group of like ones, explained."""

    #: Number of the (first) reset; unique while one program runs.
    number: int
    count: int
    facts: Facts
    cause: Cause
    #: The cause's evidence with the sample's figures filled in.
    evidence: tuple[str, ...]
    sample: Record
    #: Of the first and of the last.
    time_ns: int
    last_ns: int
    #: The service's port; None where many were put together.
    port: int | None
    netns_name: str
    remotes: Remotes | None = None
    owner: Owner | None = None
    #: How the owner's listener ended; None while it listens, and where the owner is not known by a listener.
    stop: Stop | None = None
    closer: Process | None = None
    #: The owner at the other end, when that is on this host too.
    peer: Owner | None = None
    #: Number of the same reset seen at its other end.
    twin: int | None = None
    #: How many of them were seen on the wire.
    on_wire: int = 0


class Counters(Struct, frozen=True, kw_only=True):
    """What the kernel counted in one namespace since that began."""

    netns: int
    netns_cookie: int
    #: By the names of /proc/net/snmp and /proc/net/netstat.
    values: dict[str, int]


class Host(Struct, frozen=True, kw_only=True):
    """What is counted for the whole host, or only for the namespace that whyreset itself is in."""

    #: That namespace's inode number.
    netns: int = 0
    #: Seconds since boot.
    uptime: float = 0.0
    #: When its list of installed packages changed last, in nanoseconds since the epoch; 0 where that is not known.
    packages_changed_ns: int = 0
    #: By the names of /proc/net/sockstat and /proc/net/snmp: how many there are now.
    gauges: dict[str, float] = {}
    #: Limits, by the names that Netdata's rules know them by.
    limits: dict[str, float] = {}


class FamilyShare(Struct, frozen=True, kw_only=True):
    """A family's part of the resets that were counted, as far as the kernel's counters tell it."""

    #: "unknown" for what moved no counter of its own.
    family: str
    count: int
    certainty: Certainty
    #: The counters that speak for it, and the causes that they speak of.
    counters: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    #: Families that it may be of, where it is unknown.
    candidates: tuple[str, ...] = ()


class Count(Struct, frozen=True, kw_only=True):
    """The account of one namespace since watching began.

    counted + uncounted = seen + lost + unseen, and seen = explained + unknown. `unseen` were counted by the kernel but
    not traced, `uncounted` traced but not counted (IPv6 resets without a route); one of them is 0.
    """

    time_ns: int
    netns: int
    netns_cookie: int
    netns_name: str
    counted: int
    uncounted: int
    seen: int
    explained: int
    unknown: int
    lost: int
    unseen: int
    #: Of the unseen, those that were traced and only wait to be read.
    pending: int = 0
    #: Resets received that were traced, and those the ring lost.
    received: int
    received_lost: int
    #: Seen on the wire only: neither traced nor counted, so that they are in none of the figures above.
    past_stack: int = 0
    #: Of the seen, those that never left the namespace; None where its packets are not read.
    off_wire: int | None = None
    #: The same since the last line.
    delta: dict[str, int]
    #: Other counters of the kernel that moved since the last line.
    moved: dict[str, int]
    #: Where only the kernel's counters are read: families of what was counted since watching began.
    families: tuple[FamilyShare, ...] = ()
    #: The namespace is gone; resets after its last reading are not in these figures.
    gone: bool = False


class Missing(Struct, frozen=True, kw_only=True):
    """A source that cannot run, why, and what is lost by that; sentences for an operator."""

    source: str
    why: str
    lost: str


class Notice(Struct, frozen=True, kw_only=True):
    """Something the user should know: a loss, a limit reached."""

    time_ns: int
    name: str
    text: str
    count: int = 0


class Shares(Struct, frozen=True, kw_only=True):
    """Whose the resets of some seconds were: names and counts, the largest first, the rest as «other»."""

    #: Resets sent in those seconds that were explained; the shares are of these.
    resets: int
    causes: tuple[tuple[str, int], ...] = ()
    owners: tuple[tuple[str, int], ...] = ()
    remotes: tuple[tuple[str, int], ...] = ()
    #: Of these, those that were declared to be expected.
    expected: int = 0


class Target(Struct, frozen=True, kw_only=True, gc=False):
    """An address and port of this host that a remote tried in vain."""

    #: "" where more addresses were tried than are told apart.
    address: str
    port: int
    #: Seconds of CLOCK_BOOTTIME when it tried first.
    first_s: int = 0
    #: How often it came back to this very place.
    again: int = 0


class Contact(Struct, frozen=True, kw_only=True):
    """What a remote's first contacts with this host came to, within a day at most. Times are of CLOCK_BOOTTIME."""

    netns: int
    netns_cookie: int
    #: An address, or for IPv6 the network that it is in («2001:db8:0:1::/64»).
    remote: str
    #: Of its first contact that failed, and of its last contact.
    first_ns: int
    last_ns: int
    #: Segments that were answered with a reset, though they belong to no connection.
    tries: int
    #: Distinct places (address and port) that they were for; an estimate (about 9 %) where it is not `exact`.
    failed: int
    exact: bool = True
    #: The first of these places, and the lowest and the highest port of all.
    places: tuple[Target, ...] = ()
    low: int = 0
    high: int = 0
    #: Addresses of this host among them; an estimate beyond a few.
    addresses: int = 1
    #: How it tried, by the segments' flags: "connect" (a SYN as stacks send it), "syn" (one as programs make it),
    #: "fin", "null", "xmas", "ack", "maimon" (FIN with ACK), "other".
    techniques: tuple[str, ...] = ()
    #: Ports at which a connection of it was accepted and has closed since, the first of them; and how many connections.
    opened: tuple[int, ...] = ()
    accepted: int = 0
    #: It completed a handshake with this host, so that its address is its own.
    handshake: bool = False


class Subject(Struct, frozen=True, kw_only=True):
    """What a finding is about; what does not apply keeps its default."""

    netns: int = 0
    netns_cookie: int = 0
    netns_name: str = ""
    #: The service's port, and this host's address where more than one is concerned.
    port: int | None = None
    address: str = ""
    #: The program concerned; of a service, the process that listens or listened.
    process: Process | None = None
    #: The other side: an address, or for IPv6 the network that such a one has to itself («2001:db8:0:1::/64»).
    remote: str = ""


class Step(Struct, frozen=True):
    """What to do next: a command with real names and numbers in it, ready to be pasted, and what it is good for."""

    command: str
    why: str


class Finding(Struct, frozen=True, kw_only=True):
    """What resets mean together, as of now."""

    #: One for the time from its first sign to its end.
    id: str
    #: Slug of the module and page that found it.
    name: str
    state: Literal["open", "update", "closed"]
    time_ns: int
    subject: Subject
    since_ns: int
    #: When it was over, or of its last sign where it was told as over already; 0 while it goes on.
    until_ns: int = 0
    #: How often: resets, refused clients, whatever its sentence counts.
    count: int
    confidence: Confidence
    severity: Severity
    #: All of it in one sentence, without an end stop; not escaped.
    sentence: str
    #: The strongest first; not escaped.
    evidence: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    #: Numbers of resets that show it.
    resets: tuple[int, ...] = ()


class Share(Struct, frozen=True, kw_only=True):
    """What of a verdict's resets a finding explains. Each reset is explained by one finding at most."""

    id: str
    name: str
    subject: Subject
    count: int
    #: The finding's own.
    sentence: str
    severity: Severity
    confidence: Confidence


class Verdict(Struct, frozen=True, kw_only=True):
    """What some time's resets mean, in a sentence."""

    time_ns: int
    #: Beginning of the time that it is of.
    since_ns: int
    #: Resets of that time, a reset between two ends on this host counting once.
    resets: int
    #: The findings, the weightiest first.
    shares: tuple[Share, ...]
    #: Resets that no finding explains, and their causes with how many, the most frequent first.
    unexplained: int
    causes: tuple[tuple[str, int], ...] = ()
    #: Without an end stop; not escaped.
    sentence: str
    #: Of the first finding.
    steps: tuple[Step, ...] = ()


class Alert(Struct, frozen=True, kw_only=True):
    """Something that happened to an alert: its status changed, somebody is told, or reminded."""

    #: One for the time from the first warning to the end.
    id: str
    rule: str
    time_ns: int
    netns: int = 0
    netns_cookie: int = 0
    netns_name: str = ""
    event: Literal["changed", "told", "reminder"]
    old_status: str
    new_status: str
    #: Raised but nobody was told yet; told; over; or the rule could not be evaluated.
    state: Literal["pending", "firing", "resolved", "unknown"]
    #: Whether people are told now, and if not, by what it was muted.
    told: bool = False
    muted_by: str = ""
    to: str = ""
    flapping: bool = False
    #: It is over because its namespace is gone.
    gone: bool = False
    #: Since it was raised.
    since_ns: int = 0
    #: None where nothing could be computed.
    value: float | None = None
    #: What the value was held against, and what is usual; None where there is no single number.
    threshold: float | None = None
    usual: float | None = None
    units: str = ""
    #: Seconds that the value is of.
    window: int = 0
    summary: str = ""
    #: Streams of their own that surge: causes, or "all" for everything together.
    streams: tuple[str, ...] = ()
    shares: Shares | None = None
    #: What its resets mean.
    verdict: Verdict | None = None


class Tick(Struct, frozen=True, kw_only=True):
    """What one visit brought."""

    resets: tuple[Reset, ...] = ()
    counts: tuple[Count, ...] = ()
    notices: tuple[Notice, ...] = ()
    alerts: tuple[Alert, ...] = ()
    findings: tuple[Finding, ...] = ()
    #: What the last minute's resets mean; once a second, where that is another than before.
    verdict: Verdict | None = None
