"""port-scan beyond its page: what the walk counts, decoys, spoofed sources, bounds."""

import pytest

from tests.findings.story import COOKIE, EPOCH, Story
from whyreset.findings.base import Batch
from whyreset.findings.port_scan import SCANS, SUSPECTS, PortScan
from whyreset.model import Contact, Finding, Target


def told(story: str) -> list[Finding]:
    """The scans that were told."""
    return [each for each in Story(story).play() if each.name == "port-scan"]


def scan(remote: str = "203.0.113.5", at: str = "0..0.9/0.1", technique: str = "syn", first: int = 7000) -> str:
    """Ten ports within a second."""
    return f"{at} contact {remote} {{{first}+i}} {technique}\n"


@pytest.mark.parametrize("successes", range(6))
def test_each_success_asks_for_one_failure_more_but_four_at_the_most(successes: int) -> None:
    """The walk up takes four steps from wherever the successes left it."""
    accepted = "".join(f"0 accept 203.0.113.5 {port}\n" for port in range(80, 80 + successes))
    needed = 4 + min(successes, 4)
    assert not any(
        each.confidence != "suspected" for each in told(accepted + scan(at=f"1..1.{needed - 2}/0.1", technique="syn"))
    )
    enough = told(accepted + "".join(f"1.{n} contact 203.0.113.5 {7000 + n} syn\n" for n in range(needed)))
    assert any(each.confidence == "likely" for each in enough)


def test_a_source_of_single_segments_is_never_shut_out() -> None:
    """Also where it has true connections here: its address may be used by somebody else."""
    for first in ("", "0 accept 203.0.113.5 80\n"):
        finding = told(first + scan(at="1..1.9/0.1"))[0]
        assert "may be spoofed" in " ".join(finding.evidence)
        assert not any("blackhole" in each.command for each in finding.steps)


def test_a_connect_scan_that_found_open_ports_is_proven() -> None:
    """It completed handshakes itself: the open ports are named, and how to shut it out."""
    finding = told("0 accept 203.0.113.5 22\n" + scan(at="0.1..1/0.1", technique="connect"))[-1]
    assert "accepted at 22" in finding.sentence
    assert "ip route add blackhole 203.0.113.5" in [each.command for each in finding.steps]


def test_decoys_are_one_scan_without_a_culprit() -> None:
    """nmap -D: one finding, all the addresses in it, and the gateway's is no better than the others."""
    sources = ("192.0.2.1", "198.51.100.7", "203.0.113.5")
    lines = [
        f"{1 + number / 10 + place / 100} contact {source} {7000 + number} syn\n"
        for number in range(8)
        for place, source in enumerate(sources)
    ]
    findings = told("0 accept 192.0.2.1 443\n" + "".join(lines))
    assert len({each.id for each in findings}) == 1
    last = findings[-1]
    assert "3 sources at the same time" in last.sentence
    assert "cannot be told" in last.sentence
    assert all(source in " ".join(last.evidence) for source in sources)
    assert not last.subject.remote
    assert not any("blackhole" in each.command for each in last.steps)


def test_two_scanners_at_different_times_are_two_scans() -> None:
    """The same ports alone make no decoys."""
    findings = told(scan() + scan("198.51.100.7", at="20..20.9/0.1"))
    assert {each.subject.remote for each in findings} == {"203.0.113.5", "198.51.100.7"}


def test_a_scan_of_several_addresses_says_so() -> None:
    """Each address and port counts by itself."""
    lines = [f"0.{number} contact 203.0.113.5 22 syn to=192.0.2.{number}\n" for number in range(2, 6)]
    assert "4 addresses" in told("".join(lines))[-1].sentence


def test_ipv6_sources_are_told_by_their_network() -> None:
    """A scanner that changes its address within its /64 is one."""
    lines = [f"0.{number} contact 2001:db8:0:1::{number} {7000 + number} syn\n" for number in range(1, 6)]
    finding = told("".join(lines))[0]
    assert finding.subject.remote == "2001:db8:0:1::/64"
    assert any("src net 2001:db8:0:1::/64" in each.command for each in finding.steps)


def test_a_listener_at_another_address_does_not_excuse() -> None:
    """What listens on the loopback only is no service for others; what listens everywhere is."""
    for address, excused in (("127.0.0.1", False), ("0.0.0.0", True), ("192.0.2.2", True)):
        listeners = "".join(f"0 listen {port} api{port} address={address}\n" for port in range(7000, 7010))
        assert bool(told(listeners + scan(at="1..1.9/0.1"))) is not excused, address


def test_it_is_over_after_some_quiet_and_explains_its_resets() -> None:
    """A scan that has stopped is told as over; its resets are its own."""
    story = Story(scan())
    findings = [each for each in story.play(60) if each.name == "port-scan"]
    assert [each.state for each in findings] == ["open", "closed"]
    verdict = story.judge.verdict(EPOCH + 60_000_000_000)
    assert [(each.name, each.count) for each in verdict.shares] == [("port-scan", 10)]
    assert verdict.unexplained == 0


def test_a_slow_scan_is_not_over_between_two_contacts() -> None:
    """One port a minute stays one finding."""
    findings = told("0..600/60 contact 203.0.113.5 {7000+i} syn")
    assert len({each.id for each in findings}) == 1
    assert all(each.state != "closed" for each in findings)


def test_scans_beyond_the_room_forget_the_smallest() -> None:
    """The table is bounded, and the largest scan stays."""
    finder = PortScan()

    def contact(number: int, failed: int) -> Contact:
        remote = f"10.{number >> 8}.{number & 255}.1"
        places = tuple(Target(address="192.0.2.2", port=7000 + number + n) for n in range(min(failed, 16)))
        return Contact(
            netns=1,
            netns_cookie=COOKIE,
            remote=remote,
            first_ns=0,
            last_ns=0,
            tries=failed,
            failed=failed,
            places=places,
            exact=failed <= 16,
            techniques=("syn",),
        )

    everyone = [contact(0, 1000), *(contact(number, 5) for number in range(1, 4 * SCANS))]
    for at in range(0, len(everyone), 64):
        finder.see(Batch(now_ns=EPOCH, epoch_ns=EPOCH, contacts=tuple(everyone[at : at + 64])))
    drafts = list(finder.drafts(EPOCH))
    assert len(drafts) <= SCANS
    assert any(each.subject.remote == "10.0.0.1" for each in drafts)


def places(evidence: str) -> int:
    """How many it says there were."""
    return int(evidence.removeprefix("about ").split()[0])


def test_of_many_places_those_that_may_have_listened_are_not_counted() -> None:
    """Beyond the places that are told apart, each port that had a listener may be among the others."""
    listeners = "".join(f"0 listen {port} api{port}\n" for port in range(7000, 7030))
    fewer = told(listeners + scan(at="1..1.59/0.01"))[-1].evidence[0]
    more = told(scan(at="1..1.59/0.01"))[-1].evidence[0]
    assert 15 <= places(fewer) <= 45 < places(more) <= 80


def test_a_crowd_of_suspects_is_not_told() -> None:
    """Many addresses that tried a few odd ports each are a flood with made-up senders, not as many scans."""
    few = "\n".join(f"{number} contact 203.0.113.{number} {9000 + number} fin" for number in range(1, SUSPECTS + 1))
    many = "\n".join(
        f"{number / 10:.1f} contact 203.0.113.{number} {9000 + number} fin" for number in range(1, 5 * SUSPECTS)
    )
    assert {each.confidence for each in Story(few).play()} == {"suspected"}
    story = Story(many)
    told = story.play()
    assert not story.judge.open(story.now_ns)
    assert sum(each.state == "open" for each in told) <= SUSPECTS


def test_a_scan_does_not_hide_that_a_service_is_down() -> None:
    """Its clients may share an address with who scans, behind a NAT."""
    probes = "".join(f"{2 + number / 100:.2f} contact 198.51.100.7 {9000 + number} syn\n" for number in range(40))
    crash = "0 listen 8080 api unit=api.service\n2.5 exit api SIGSEGV\n2.6..3.5/0.05 sent closed-port 8080\n"
    told = {each.name for each in Story(probes + crash).play()}
    assert {"port-scan", "service-down"} <= told


def test_a_scan_of_a_port_whose_service_is_gone_is_a_scan() -> None:
    """It tries that port as any other."""
    probes = "".join(f"{302 + number / 100:.2f} contact 198.51.100.7 {9000 + number} syn\n" for number in range(40))
    gone = "0 listen 8080 api unit=api.service\n2.5 exit api 0\n302.5 sent closed-port 8080\n"
    told = {each.name for each in Story(probes + gone).play()}
    assert "port-scan" in told
    assert "service-down" not in told
