"""reset-flood, syn-flood, backscatter and health-check beyond their pages: what is told, and bounds."""

import pytest

from tests.findings.story import BOOT, EPOCH, NETNS, SECOND, Story
from tests.outputs.values import count, reset
from whyreset.findings.backscatter import Backscatter
from whyreset.findings.base import Batch, Finder
from whyreset.findings.forged_resets import ForgedResets
from whyreset.findings.health_check import HealthCheck
from whyreset.findings.pace import Recent
from whyreset.findings.reset_flood import ResetFlood
from whyreset.findings.syn_flood import SynFlood
from whyreset.model import Cause, Finding, Remotes, Reset


def told(story: str, name: str) -> list[Finding]:
    """What was told of one kind."""
    return [each for each in Story(story).play() if each.name == name]


def test_a_flood_from_one_address_may_be_spoofed_and_is_not_shut_out() -> None:
    """The steps drop what is for the closed port, and nobody's address."""
    finding = told("0..3/0.1 sent closed-port 4444 x50 from 203.0.113.5", "reset-flood")[0]
    assert "in the name of 203.0.113.5" in finding.sentence
    assert "may be spoofed" in " ".join(finding.evidence)
    assert "iptables -I INPUT -p tcp --dport 4444 -j DROP" in [each.command for each in finding.steps]
    assert not any("203.0.113.5" in each.command for each in finding.steps)


def test_a_flood_whose_port_is_known_is_told_once() -> None:
    """While many ports are tried at once, a part of its segments is not told apart: that is no flood of its own."""
    story = "0..3/0.1 sent closed-port 4444 x200 from 240.0.0.1..200\n"
    story += "1.5..3/0.1 sent closed-port - x90 from 241.0.0.1..90\n"
    assert {each.subject.port for each in told(story, "reset-flood")} == {4444}


def test_a_flood_of_ports_that_were_not_told_apart_says_so() -> None:
    """No port is named, and why."""
    finding = told("0..3/0.1 sent closed-port - x200 from 240.0.0.1..200", "reset-flood")[0]
    assert "Flood of SYNs to ports that were not told apart" in finding.sentence
    assert any("told apart in a tenth of a second" in each for each in finding.evidence)


def test_a_flood_hides_no_service_that_is_down() -> None:
    """Spoofed SYNs for one closed port explain nothing of another's."""
    story = Story(
        "0 listen 8080 api\n1 exit api SIGSEGV\n1..4/0.1 sent closed-port 4444 x200 from 240.0.0.1..200\n"
        "1..4/0.1 sent closed-port 8080 x2 from 198.51.100.1..2\n"
    )
    names = {each.name for each in story.play()}
    assert {"reset-flood", "service-down"} <= names
    shares = {each.name: each.count for each in story.judge.verdict(story.now_ns).shares}
    assert shares == {"reset-flood": 31 * 200, "service-down": 31 * 2}


def test_a_flood_is_over_when_it_is_quiet() -> None:
    """Ten seconds without one of its segments end it; a later one is another."""
    story = Story("0..3/0.1 sent closed-port 4444 x200 from 240.0.0.1..200\n")
    findings = [each for each in story.play(30) if each.name == "reset-flood"]
    assert [findings[0].state, findings[-1].state] == ["open", "closed"]
    assert findings[-1].until_ns == EPOCH + 3 * SECOND


@pytest.mark.parametrize(
    "line", ["count SyncookiesSent=99", "count EmbryonicRsts=60 SyncookiesSent=30", "count TCPReqQFullDrop=50"]
)
def test_few_unanswered_syns_are_no_flood(line: str) -> None:
    """Below a hundred a second nothing is said."""
    assert not told(f"0..9/1 {line}", "syn-flood")


def test_a_program_with_a_packet_socket_is_only_perhaps_who_asked() -> None:
    """Most programs with packet sockets only read: both is said."""
    story = "0.15 raw packet socket of tcpdump[4711]\n0.1..0.9/0.1 sent unsolicited-syn-ack - from 198.51.100.{1+i}\n"
    assert "backscatter, or of a packet socket of tcpdump[4711]" in told(story, "backscatter")[-1].sentence


def test_checks_are_told_once() -> None:
    """However long they go on, their figures alone are told every ten seconds and no more."""
    checks = "0 listen 80 web\n1..61/2 received unknown 80 from 192.0.2.9 state=ESTABLISHED by=web"
    findings = told(checks, "health-check")
    assert [each.state for each in findings].count("open") == 1
    assert all(each.severity == "harmless" for each in findings)


def test_who_refuses_is_not_who_checks() -> None:
    """Regular refusals of a closed port are no checks that succeed."""
    assert not told("0..60/2 sent closed-port 8080 from 192.0.2.9", "health-check")


def test_recent_counts_only_what_is_recent() -> None:
    """What is older than its length is forgotten, and memory stays as it is."""
    recent = Recent(2 * SECOND)
    for number in range(100_000):
        recent.add(number * SECOND // 1000, 1)
    assert 1900 <= recent.total <= 2100
    assert recent.lasted_ns <= 2 * SECOND
    recent.forget(200 * SECOND)
    assert recent.total == 0


def one(number: int, cause: str, direction: str = "sent", **facts: object) -> Reset:
    """Resets of a place of their own."""
    remote = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return reset(
        number=number,
        count=200 if cause != "linger-zero" else 1,
        cause=Cause(name=cause, family=cause, certainty="certain"),
        facts={"direction": direction, **facts},
        sample={"netns": NETNS, "netns_cookie": number, "remote": remote},
        port=number % 65536,
        time_ns=EPOCH,
        last_ns=EPOCH,
        remotes=Remotes(distinct=1, exact=True, top=((remote, 200),)),
    )


BOUNDED = {
    ResetFlood: ("closed-port", {}),
    Backscatter: ("unsolicited-syn-ack", {}),
    HealthCheck: ("linger-zero", {"active_open": True}),
    ForgedResets: ("forged", {"direction": "received"}),
}


@pytest.mark.parametrize("made", BOUNDED, ids=lambda made: made.NAME)
def test_tables_are_bounded(made: type[Finder]) -> None:
    """As many places as anyone can make up leave no more in memory than the tables' room."""
    finder = made()
    cause, facts = BOUNDED[made]
    for number in range(3000):
        finder.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, resets=(one(number, cause, **facts),)))  # type: ignore[arg-type]
    tables = [value for value in vars(finder).values() if hasattr(value, "forgotten")]
    assert any(table.forgotten > 2000 for table in tables)
    assert all(len(table) <= 512 for table in tables)


def test_counters_of_many_namespaces_are_bounded() -> None:
    """Each namespace may be flooded; so many are known at once."""
    finder = SynFlood()
    for number in range(1000):
        account = count(time_ns=EPOCH, netns=NETNS, netns_cookie=number, moved={"SyncookiesSent": 500})
        finder.see(Batch(now_ns=EPOCH, counts=(account,)))
    assert len(finder._floods) <= 64
