"""What is said of services that are gone."""

from tests.findings.story import BOOT, EPOCH, NETNS, SECOND, Story
from tests.outputs.values import reset
from whyreset.findings.base import Batch
from whyreset.findings.judge import Judge
from whyreset.findings.service_down import QUIET_NS, ServiceDown
from whyreset.model import Finding, Life, Listener, Owner, Process, Stop

GUNICORN = Process(pid=2214, start_ns=SECOND, comm="gunicorn", unit="api.service", exit_code=11)
OTHER = Process(pid=2300, start_ns=9 * SECOND, comm="gunicorn", unit="api.service")
REFUSED = "sent closed-port 8080 x43 from 198.51.100.1..43"


def told(text: str, until: float | None = None) -> list[Finding]:
    """The findings of this kind in a story."""
    return [each for each in Story(text, Judge((ServiceDown,))).play(until) if each.name == "service-down"]


def life(cookie: int, address: str, *, since: float, until: float = 0, netns_cookie: int = 1, **fields: object) -> Life:
    """A listener on port 8080; seconds of the story."""
    owner = fields.pop("owner", GUNICORN)
    assert isinstance(owner, Process)
    listener = Listener(
        netns_cookie=netns_cookie,
        netns=NETNS + netns_cookie - 1,
        port=8080,
        address=address,
        family=2,
        ipv6_only=False,
        socket_cookie=cookie,
        owner=(owner.pid, owner.start_ns),
        since_ns=EPOCH - BOOT + round(since * SECOND),
        until_ns=EPOCH - BOOT + round(until * SECOND) if until else 0,
        **fields,  # type: ignore[arg-type]
    )
    return Life(listener=listener, owner=Owner(process=owner, via="listener", alive=not until), netns_name="")


def refused(after: float, *, port: int = 8080, local: str = "192.0.2.2", family: int = 2) -> Batch:
    """A client is refused, where GUNICORN had listened until 3 s."""
    now_ns = EPOCH + round(after * SECOND)
    return Batch(
        now_ns=now_ns,
        epoch_ns=BOOT,
        resets=(
            reset(
                port=port,
                sample={"netns_cookie": 1, "local": local, "family": family, "local_port": port},
                owner=Owner(process=GUNICORN, via="former listener", alive=False),
                stop=Stop(time_ns=EPOCH + 3 * SECOND, exit_code=11),
                time_ns=now_ns,
                last_ns=now_ns,
            ),
        ),
    )


def test_its_sentence_has_all_that_an_operator_asks_first() -> None:
    """Which service and process, which port, since when, how it ended, and how many clients that hurts."""
    text = f"0 listen 8080 gunicorn unit=api.service\n3 exit gunicorn SIGSEGV\n3.2 {REFUSED}"
    [first] = told(text)
    clock = first.sentence.partition(" at ")[2][:8]
    assert first.sentence == (
        f"Service down: api.service (gunicorn, pid 2214) stopped listening on :8080 at {clock}, killed by SIGSEGV; "
        "43 clients refused since"
    )
    assert [step.command.split()[0] for step in first.steps] == ["systemctl", "journalctl", "ss", "whyreset"]
    assert first.since_ns == EPOCH + 3 * SECOND


def test_its_end_says_how_long_it_was_gone() -> None:
    """A crash stays one when it is over."""
    text = f"0 listen 8080 api\n3 exit api 1\n3.2 {REFUSED}\n9.2 listen 8080 api"
    last = told(text)[-1]
    assert last.state == "closed"
    assert last.sentence.startswith("Service was down: api (pid 2214): nobody listened on :8080 for 6.2 s")
    assert "exited with status 1; 43 clients refused meanwhile" in last.sentence


def test_a_restart_in_order_is_called_one() -> None:
    """It is open until it listens again, and never critical."""
    text = f"0 listen 8080 api\n3 exit api SIGTERM\n3.2 {REFUSED}\n4.2 listen 8080 api"
    findings = told(text)
    assert [(each.state, each.severity) for each in findings] == [("open", "warning"), ("closed", "notice")]
    assert findings[-1].sentence.startswith("Restart of api (pid 2214): nobody listened on :8080 for 1.2 s")


def test_one_that_is_over_before_it_is_told_has_a_beginning_all_the_same() -> None:
    """A gap shorter than a look is opened, then closed."""
    text = "0 listen 8080 api\n3.1 exit api 0\n3.2 sent closed-port 8080 x9\n3.3 listen 8080 api"
    assert [each.state for each in told(text, 8)] == ["open", "closed"]


def test_ports_that_go_together_are_one_finding() -> None:
    """A process had two ports; clients of both are refused; it is over when both listen again."""
    text = """0 listen 80 nginx
0 listen 443 nginx
3 exit nginx SIGKILL
3.2 sent closed-port 80 x2 from 198.51.100.1
4.2 sent closed-port 443 x3 from 198.51.100.2
6 listen 80 nginx"""
    findings = told(text, 9)
    assert {each.id for each in findings} == {findings[0].id}
    assert "on :80, :443" in told(text + "\n20 sent closed-port 443", 23)[-1].sentence
    assert not [each for each in findings if each.state == "closed"]
    assert told(text + "\n8 listen 443 nginx", 12)[-1].state == "closed"


def test_what_becomes_of_who_listens_again_is_another_end() -> None:
    """The new process ends unwanted: nothing is told, and the first finding stays over."""
    text = "0 listen 8080 api\n3 exit api 1\n3.2 sent closed-port 8080\n5 listen 8080 api\n9 exit api 1"
    assert [each.state for each in told(text, 15)] == ["open", "closed"]


def test_a_listener_on_another_address_does_not_end_it() -> None:
    """It listens again, but not where clients ask: that is said."""
    finder = ServiceDown()
    finder.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=(life(1, "0.0.0.0", since=0, until=3, exit_code=11),)))
    finder.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=(life(2, "127.0.0.1", since=4, owner=OTHER),)))
    finder.see(refused(5))
    [draft] = finder.drafts(EPOCH + 6 * SECOND)
    assert not draft.over
    assert any("pid 2300) listens on 127.0.0.1 port 8080, which clients do not ask for" in e for e in draft.evidence)


def test_a_listener_in_another_namespace_is_named() -> None:
    """A container that came up in a namespace of its own is not where clients ask."""
    finder = ServiceDown()
    elsewhere = life(2, "0.0.0.0", since=4, netns_cookie=2, owner=OTHER)
    finder.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=(elsewhere,)))
    finder.see(refused(5))
    [draft] = finder.drafts(EPOCH + 6 * SECOND)
    assert any(f"in network namespace {NETNS + 1}" in each for each in draft.evidence)


def test_another_that_listened_all_the_time_says_nothing_of_this_end() -> None:
    """Two shared the port; one has ended, and a reset that comes late is not held against the other's service."""
    finder = ServiceDown()
    finder.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=(life(2, "0.0.0.0", since=0, owner=OTHER),)))
    finder.see(refused(5))
    assert list(finder.drafts(EPOCH + 6 * SECOND)) == []


def test_it_is_over_when_nobody_wants_it_any_more() -> None:
    """After some time without a refused client."""
    judge = Judge((ServiceDown,))
    judge.see(refused(5))
    [opened] = judge.judge(EPOCH + 6 * SECOND)
    later_ns = EPOCH + 6 * SECOND + QUIET_NS
    judge.see(Batch(now_ns=later_ns, epoch_ns=BOOT))
    [closed] = judge.judge(later_ns)
    assert (closed.id, closed.state) == (opened.id, "closed")


def test_a_scan_that_meets_a_service_that_ended_long_ago_is_not_its_client() -> None:
    """Its first SYN goes to that port, and what it is is known a moment later: until then nothing is told."""
    text = "0 listen 8080 api\n1 exit api 1\n100 sent closed-port 8080 from 203.0.113.5"
    assert told(text, 101) == []
    assert [each.severity for each in told(text, 103)] == ["critical"]
