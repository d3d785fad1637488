"""What the pages' stories do not show of queues, dependencies, memory and stale peers: bounds, and the finer words."""

from typing import Any

import pytest

from tests.findings.story import BOOT, COOKIE, EPOCH, NETNS, SECOND, Story
from tests.outputs.values import count, reset
from whyreset.findings import dependencies, keepalive_losses, overflow, stale_peers, time_wait_trouble
from whyreset.findings.accept_queue_overflow import AcceptQueueOverflow
from whyreset.findings.base import Batch, Draft, Finder
from whyreset.findings.dependency_refuses import DependencyRefuses
from whyreset.findings.dependency_silent import DependencySilent, takes_ns
from whyreset.findings.keepalive_losses import KeepaliveLosses, network_of
from whyreset.findings.memory import Holders
from whyreset.findings.memory_pressure import MemoryPressure
from whyreset.findings.stale_peers import StalePeers, in_common
from whyreset.findings.steps import inside
from whyreset.findings.syn_queue_overflow import SynQueueOverflow
from whyreset.findings.time_wait_trouble import TimeWaitTrouble
from whyreset.findings.too_many_orphans import TooManyOrphans
from whyreset.model import Attempt, Cause, Finding, Holder, Host, Place, Process, Queue, Remotes, Reset, Step, Subject
from whyreset.observation import Traits


def batch(number: float, **fields: Any) -> Batch:
    """What came at that second."""
    return Batch(now_ns=EPOCH + round(number * SECOND), epoch_ns=BOOT, **fields)


def of(cause: str, number: float, port: int, *, remote: str = "192.0.2.9", many: int = 1, **facts: Any) -> Reset:
    """Resets of a cause."""
    time_ns = EPOCH + round(number * SECOND)
    return reset(
        cause=Cause(name=cause, family=cause, certainty="certain"),
        facts=facts,
        sample={"netns": NETNS, "netns_cookie": COOKIE, "remote": remote},
        port=port,
        count=many,
        time_ns=time_ns,
        last_ns=time_ns,
        remotes=Remotes(distinct=1, exact=True, top=((remote, many),)),
    )


def place(*queues: Queue, **fields: Any) -> Place:
    """A look into the namespace."""
    return Place(netns=NETNS, netns_cookie=COOKIE, queues=queues, **fields)


def queue(port: int, waiting: int = 0, limit: int = 5, **fields: Any) -> Queue:
    """A listener of nobody that is known."""
    return Queue(port=port, address="0.0.0.0", socket_cookie=port, waiting=waiting, limit=limit, **fields)


def drafts(finder: Finder, number: float) -> list[Draft]:
    """What it holds to be so at that second."""
    return list(finder.drafts(EPOCH + round(number * SECOND)))


def told(text: str, name: str) -> list[Finding]:
    """What a story tells of one finding."""
    return [each for each in Story(text).play() if each.name == name]


def overflowing(finder: Finder, *places: Place, seconds: int = 4, counter: str = "ListenOverflows") -> list[Draft]:
    """A counter moves each second, and the namespace is looked at."""
    for second in range(1, seconds + 1):
        finder.see(
            batch(second, counts=(count(netns=NETNS, netns_cookie=COOKIE, moved={counter: 30}),), places=tuple(places))
        )
    return drafts(finder, seconds)


# ---- queues ----


def test_of_several_full_queues_none_is_named_alone() -> None:
    """Without counts of their own it cannot be told whose clients were turned away."""
    [draft] = overflowing(AcceptQueueOverflow(), place(queue(80, 6), queue(81, 6), queue(82, 0)))
    assert draft.confidence == "likely"
    assert "one or more of the listeners on :80, :81" in draft.sentence
    assert draft.subject.port is None


def test_a_listeners_own_count_names_it_though_its_queue_is_empty_at_the_look() -> None:
    """For certain where no other dropped anything; else the one that dropped most."""
    [alone] = overflowing(AcceptQueueOverflow(), place(queue(80, 0, drops=30), queue(81, 0, drops=0)))
    assert (alone.subject.port, alone.count, alone.confidence) == (80, 4 * 30, "certain")
    [most] = overflowing(AcceptQueueOverflow(), place(queue(80, 0, drops=27), queue(81, 0, drops=3)))
    assert (most.subject.port, most.confidence) == (80, "likely")


def test_a_listener_that_dropped_something_else_is_not_accused() -> None:
    """Clients that reset half-open connections (checks, scans) count among its drops; another's queue is full."""
    found = overflowing(
        AcceptQueueOverflow(), place(queue(80, 6, drops=27), queue(81, 0, drops=29), queue(82, 6, drops=0))
    )
    assert [(each.subject.port, each.confidence) for each in found] == [(80, "certain")]


def test_a_burst_at_one_listener_does_not_belong_to_the_trouble_of_another() -> None:
    """It dropped handshakes too, but once."""
    finder = AcceptQueueOverflow()
    overflowing(finder, place(queue(80, 6, drops=3), queue(81, 0, drops=12)), seconds=1)
    found = overflowing(finder, place(queue(80, 6, drops=3), queue(81, 0, drops=0)))
    assert [each.subject.port for each in found] == [80]


def test_the_only_listener_of_a_namespace_is_the_one() -> None:
    """Also where it had no count, and its queue was empty again."""
    [draft] = overflowing(AcceptQueueOverflow(), place(queue(80)))
    assert (draft.subject.port, draft.confidence) == (80, "certain")


def test_sockets_that_share_a_port_are_one_listener() -> None:
    """Of SO_REUSEPORT's the full one is shown."""
    [draft] = overflowing(
        AcceptQueueOverflow(), place(queue(80, 0, drops=0), queue(80, 6, drops=5), queue(80, 1, drops=0))
    )
    assert draft.evidence[0] == "its queue held 6, its limit is 5 (full at 4 of 4 looks)"


def test_who_set_the_limit_is_said() -> None:
    """The program, or the system."""
    [own] = overflowing(AcceptQueueOverflow(), place(queue(80, 6), settings={"somaxconn": 4096}))
    [systems] = overflowing(AcceptQueueOverflow(), place(queue(80, 129, 128), settings={"somaxconn": 128}))
    assert "the limit of 5 is the program's own backlog; net.core.somaxconn would allow 4096" in own.evidence
    assert "the limit of 128 is net.core.somaxconn: the program asked for so many or more" in systems.evidence


def test_cookies_for_every_syn_are_not_taken_for_a_full_queue_where_settings_are_unread() -> None:
    """With net.ipv4.tcp_syncookies 2 the same counter moves without any trouble: it is only suspected then."""
    [draft] = overflowing(SynQueueOverflow(), place(unread="no way in"), counter="TCPReqQFullDoCookies")
    assert draft.confidence == "suspected"


def test_drops_for_other_reasons_are_no_full_queue() -> None:
    """The kernel also counts as dropped what it had no memory or no route for."""
    assert overflowing(SynQueueOverflow(), place(queue(80, half_open=1)), counter="ListenDrops") == []


def test_resets_alone_tell_it_where_counters_are_read_seldom() -> None:
    """Three seconds of them are enough; what the kernel counts of them later is not counted twice."""
    finder = AcceptQueueOverflow()
    for second in range(1, 5):
        finder.see(batch(second, resets=(of("accept-queue-full", second, 80, many=5),)))
    finder.see(batch(5, counts=(count(netns=NETNS, netns_cookie=COOKIE, moved={"ListenOverflows": 20}),)))
    [draft] = drafts(finder, 5)
    assert (draft.subject.port, draft.count) == (80, 20)


def test_a_syn_that_the_kernel_refuses_is_no_full_queue() -> None:
    """It is of the same family, and says nothing of the accept queue."""
    finder = AcceptQueueOverflow()
    for second in range(1, 9):
        finder.see(batch(second, resets=(of("invalid-syn", second, 80, many=5),)))
    assert drafts(finder, 9) == []


@pytest.mark.parametrize(
    ("finder", "counter"), [(AcceptQueueOverflow, "ListenOverflows"), (SynQueueOverflow, "TCPReqQFullDrop")]
)
def test_troubles_of_queues_are_bounded(finder: Any, counter: str) -> None:
    """In namespaces and in ports of each, however many there are."""
    made = finder()
    for cookie in range(1000):
        made.see(batch(1, counts=(count(netns=cookie, netns_cookie=cookie, moved={counter: 5}),)))
    assert len(made._overflows) == overflow.NAMESPACES
    overflowing(made, place(*[queue(port, 6, drops=3, half_open=9) for port in range(1000)]), counter=counter)
    [trouble] = [each for cookie, each in made._overflows.troubles() if cookie == COOKIE]
    assert len(trouble.ports) == overflow.PORTS


# ---- dependencies ----


@pytest.mark.parametrize(("retries", "seconds"), [(0, 1), (1, 3), (2, 7), (6, 127), (7, 247), (-1, 1)])
def test_how_long_the_kernel_tries(retries: int, seconds: int) -> None:
    """Twice as long after each SYN, two minutes at the most (TCP_RTO_MAX)."""
    assert takes_ns(retries) == seconds * SECOND


def test_both_ends_on_this_host_are_told_where_it_refuses() -> None:
    """The other end's finding says more."""
    finder = DependencyRefuses()
    for second in range(9):
        finder.see(
            batch(second, resets=(_twin(of("closed-port", second, 5432, direction="received", state="SYN_SENT")),))
        )
    assert drafts(finder, 9) == []


def _twin(received: Reset) -> Reset:
    return Reset(**{**{name: getattr(received, name) for name in Reset.__struct_fields__}, "twin": 5})


def test_what_the_kernel_gave_up_is_told_from_what_the_program_did() -> None:
    """By how long the kernel would try in that namespace."""
    kernels = "0 run app\n1 place tcp_syn_retries=2\n1 attempt 5432 7.1s by=app\n9 attempt 5432 7.1s by=app"
    own = kernels.replace("7.1s", "3s") + "\n17 attempt 5432 3s by=app"
    assert "net.ipv4.tcp_syn_retries is 2, which takes 7 s here" in told(kernels, "dependency-silent")[0].evidence[-1]
    assert "given up by the program itself" in told(own, "dependency-silent")[0].evidence[-1]


def test_dependencies_are_bounded() -> None:
    """A program that tries everything does not fill memory."""
    refuses, silent = DependencyRefuses(), DependencySilent()
    for port in range(2000):
        attempt = Attempt(
            netns_cookie=port,
            remote="192.0.2.9",
            port=port,
            owner=None,
            process=Process(pid=port),
            count=1,
            shortest_ns=2 * SECOND,
            longest_ns=2 * SECOND,
            first_ns=EPOCH - BOOT,
            last_ns=EPOCH - BOOT,
        )
        refused = of("closed-port", 1, port, direction="received", state="SYN_SENT")
        settings = Place(netns=port, netns_cookie=port, settings={"tcp_syn_retries": 2})
        refuses.see(batch(1, resets=(refused,)))
        silent.see(batch(1, attempts=(attempt,), places=(settings,)))
    assert len(refuses._refused) == len(silent._silent) == dependencies.DESTINATIONS
    assert len(silent._retries) == 256
    known = silent._silent.at(Subject(netns_cookie=1, remote="192.0.2.1", port=1), 0)
    for pid in range(100):
        known.tried(Process(pid=pid), 1, 0, 0)
    assert len(known.known) == len(known.processes) == dependencies.PROCESSES


# ---- stale peers ----


@pytest.mark.parametrize(
    ("seconds", "common"),
    [
        ([350, 352, 349, 355, 351], 351),
        ([350, 352, 349, 10, 351, 3000], 350),
        ([350, 352, 349, 351], 0),
        ([10, 50, 200, 600, 3000], 0),
        ([5, 5, 5, 5, 5, 5], 0),
        ([], 0),
    ],
)
def test_idle_times_that_most_agree_on_have_a_time_out_in_common(seconds: list[int], common: int) -> None:
    """Five at least, most within a tenth, and long enough to be a box's."""
    found = in_common([each * SECOND for each in seconds])
    assert abs(found - common * SECOND) <= SECOND if common else not found


def test_a_common_idle_time_is_named_with_a_keepalive_time_below_it() -> None:
    """The number that an operator looks for, and what to set."""
    story = "1..9/1 received unknown 5432 from 192.0.2.9 state=ESTABLISHED idle_ms=350000 bytes_in=5 certainty=unknown"
    found = told(story, "stale-peers")[-1]
    assert "all about 350 s after data last came or went" in found.sentence
    assert "sysctl -w net.ipv4.tcp_keepalive_time=175" in [each.command for each in found.steps]


def test_a_service_that_began_while_watching_is_no_restart() -> None:
    """The connections of the one before would be remembered: these were never known."""
    story = "0 run other\n5 listen 8080 api\n6..9/1 sent half-open 8080 from 192.0.2.{1+i} trigger=PA certainty=likely"
    assert "has not known them since watching began" in told(story, "stale-peers")[0].sentence


def test_packets_alone_say_no_more_than_that_a_host_does_not_know_them() -> None:
    """Nor do they tell a full accept queue from what else refuses."""
    stale, full = StalePeers(), AcceptQueueOverflow()
    for second in range(1, 6):
        traits = Traits(flags="R", handshake="none", opener="")
        stale.see(batch(second, resets=(of("half-open", second, 80, traits=traits),)))
        full.see(batch(second, resets=(of("accept-queue-full", second, 80, traits=traits),)))
    [draft] = drafts(stale, 6)
    assert (draft.confidence, "who reset them answered as a host does" in draft.sentence) == ("likely", True)
    assert drafts(full, 6) == []


def test_a_host_that_started_lately_explains_connections_that_it_does_not_know() -> None:
    """They are from before."""
    finder = StalePeers()
    finder.see(batch(0, host=Host(netns=NETNS, uptime=90.0)))
    finder.see(batch(1, resets=tuple(of("half-open", 1, 8080, remote=f"192.0.2.{n}", trigger="PA") for n in range(4))))
    [draft] = drafts(finder, 2)
    assert "this host started not long ago" in draft.sentence


def test_stale_peers_vanished_peers_and_time_wait_are_bounded() -> None:
    """In ports, and in what is told apart of each."""
    stale, lost, waiting = StalePeers(), KeepaliveLosses(), TimeWaitTrouble()
    for number in range(1000):
        remote = f"10.{number // 250}.{number % 250}.1"
        for finder, cause in ((stale, "half-open"), (lost, "keepalive-timeout"), (waiting, "time-wait-segment")):
            resets = (of(cause, 1, number, trigger="PA"), of(cause, 1, 80, remote=remote, trigger="PA"))
            finder.see(batch(1, resets=resets))
        waiting.see(batch(1, resets=(of("closed-port", 1, number, direction="received", state="SYN_SENT"),)))
    assert len(stale._stale) == stale_peers.PORTS
    assert len(lost._losses) == keepalive_losses.PORTS
    assert len(waiting._troubles) == len(waiting._refused) == time_wait_trouble.PORTS
    assert max(len(each.peers) for _, each in stale._stale.items()) == stale_peers.PEERS
    assert max(len(each.networks) for _, each in lost._losses.items()) == keepalive_losses.NETWORKS
    assert max(len(each.peers) for _, each in waiting._troubles.items()) == time_wait_trouble.PEERS


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8::9", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"), ("", "")],
)
def test_the_network_that_stands_for_a_place(address: str, network: str) -> None:
    """/24, or /64; what is no address stands for itself."""
    assert network_of(address) == network


# ---- memory ----


def test_who_holds_the_memory_is_named() -> None:
    """By what was seen when it was short; the most first."""
    finder = MemoryPressure()
    holders = (
        Holder(port=80, served=True, sockets=3, orphans=0, memory_bytes=1 << 20),
        Holder(port=5432, served=False, sockets=9, orphans=0, memory_bytes=64 << 20),
    )
    gauges = Host(netns=NETNS, gauges={"mem": 300.0}, limits={"tcp_mem_pressure": 200.0, "tcp_mem_high": 400.0})
    finder.see(batch(1, host=gauges, places=(place(holders=holders),)))
    [draft] = drafts(finder, 1)
    assert draft.evidence[1:] == (
        "remote port 5432: 9 sockets, 0 orphans, 64 MiB",
        ":80: 3 sockets, 0 orphans, 1,024 KiB",
    )


@pytest.mark.parametrize("finder", [MemoryPressure, TooManyOrphans])
def test_memory_that_is_not_short_any_more_is_over(finder: Any) -> None:
    """A minute after the last sign nothing of it is told."""
    made = finder()
    limits = {"tcp_mem_pressure": 200.0, "tcp_mem_high": 400.0, "tcp_max_orphans": 100.0}
    made.see(batch(1, host=Host(netns=NETNS, gauges={"mem": 300.0, "orphan": 90.0}, limits=limits)))
    [draft] = drafts(made, 2)
    assert draft.subject == Subject()  # the whole machine's
    made.see(batch(70, host=Host(netns=NETNS, gauges={"mem": 1.0, "orphan": 1.0}, limits=limits)))
    assert drafts(made, 70) == []


def test_what_is_remembered_of_memory_is_bounded() -> None:
    """Namespaces of looks, and ports of resets."""
    holders, orphans = Holders(), TooManyOrphans()
    holder = Holder(port=80, served=True, sockets=1, orphans=1, memory_bytes=1)
    for number in range(1000):
        holders.see(batch(1, places=(Place(netns=number, netns_cookie=number, holders=(holder,)),)))
        orphans.see(batch(1, resets=(of("too-many-orphans", 1, number),)))
    assert len(holders) == len(orphans._ports) == 64


# ---- commands ----


@pytest.mark.parametrize(
    ("subject", "commands"),
    [
        (Subject(netns=1), ["ss"]),
        (Subject(netns=0), ["ss"]),
        (Subject(netns=2, process=Process(pid=7)), ["nsenter -t 7 -n ss"]),
        (Subject(netns=2, netns_name="a b"), ["ip netns exec 'a b' ss"]),
        (Subject(netns=2, netns_name="web", process=Process(pid=7, exit_code=9)), ["ip netns exec web ss"]),
        (Subject(netns=2), ["lsns -t net -o NS,PID,COMMAND | grep -w 2", "nsenter -t PID -n ss"]),
    ],
)
def test_commands_run_in_the_namespace_that_they_are_about(subject: Subject, commands: list[str]) -> None:
    """By a living process, else by its name, else by how to find one."""
    assert [each.command for each in inside(subject, 1, Step("ss", "why"))] == commands
