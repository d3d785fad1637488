"""Ids and states of findings, who explains which reset, and the verdict."""

from collections import Counter
from collections.abc import Iterable

from tests.findings.story import EPOCH, SECOND, Story
from tests.outputs.values import reset
from whyreset.findings.base import Batch, Claims, Draft, Finder
from whyreset.findings.judge import MOST, TELL_NS, WINDOW_NS, Judge
from whyreset.findings.window import ROWS, SLICE_NS, Window
from whyreset.model import Cause, Subject

CLOSED = frozenset({"closed-port"})


def draft(key: object = "a", **fields: object) -> Draft:
    """A finding that explains what was sent to closed ports."""
    return Draft(
        **{  # type: ignore[arg-type]
            "key": key,
            "subject": Subject(),
            "since_ns": EPOCH,
            "last_ns": EPOCH,
            "count": 1,
            "confidence": "certain",
            "severity": "warning",
            "sentence": f"It is {key}",
            "evidence": (),
            "claims": (Claims(causes=CLOSED),),
            **fields,
        }
    )


class Script:
    """Gives what it is told to."""

    NAME = "script"
    given: tuple[Draft, ...] = ()

    def see(self, batch: Batch) -> None:
        """It knows already."""

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """What it was told."""
        return self.given


def judge_of(*finders: type[Finder], resets: int = 1) -> Judge:
    """A judge that has seen resets of a closed port."""
    judge = Judge(finders)
    judge.see(Batch(now_ns=EPOCH, resets=(reset(count=resets, time_ns=EPOCH, last_ns=EPOCH),)))
    return judge


def script(*drafts: Draft, name: str = "script") -> type[Script]:
    """A finder that gives these."""
    return type("Made", (Script,), {"NAME": name, "given": drafts})


def test_a_finding_opens_changes_and_closes_under_one_id() -> None:
    """What it says beside figures is told at once, a figure alone after some time, its end once."""
    kind = script(draft())
    judge = judge_of(kind)
    [opened] = judge.judge(EPOCH)
    assert (opened.state, opened.count) == ("open", 1)
    kind.given = (draft(count=2),)
    assert judge.judge(EPOCH + SECOND) == []
    kind.given = (draft(count=3, severity="critical"),)
    [changed] = judge.judge(EPOCH + 2 * SECOND)
    assert (changed.id, changed.state, changed.count) == (opened.id, "update", 3)
    kind.given = (draft(count=4, severity="critical"),)
    [later] = judge.judge(EPOCH + 2 * SECOND + TELL_NS)
    assert (later.state, later.count) == ("update", 4)
    kind.given = ()
    [closed] = judge.judge(EPOCH + 20 * SECOND)
    assert (closed.id, closed.state, closed.until_ns) == (opened.id, "closed", EPOCH)
    assert judge.judge(EPOCH + 21 * SECOND) == []


def test_one_that_comes_back_is_another() -> None:
    """After its end the same draft is a new finding."""
    kind = script(draft())
    judge = judge_of(kind)
    [first] = judge.judge(EPOCH)
    kind.given = ()
    judge.judge(EPOCH + SECOND)
    kind.given = (draft(),)
    [second] = judge.judge(EPOCH + 2 * SECOND)
    assert second.state == "open"
    assert second.id != first.id


def test_a_reset_is_explained_by_the_first_that_claims_it() -> None:
    """The second finding has nothing left, and is not told; one that stands by itself is."""
    judge = judge_of(script(draft()), script(draft("b"), name="second"), script(draft("c", stands=True), name="third"))
    assert [each.name for each in judge.judge(EPOCH)] == ["script", "third"]
    told = judge.verdict(EPOCH)
    assert [(each.name, each.count) for each in told.shares] == [("script", 1), ("third", 0)]


def test_what_no_finding_explains_is_said() -> None:
    """The verdict counts the rest by cause."""
    judge = judge_of(script(draft()), resets=3)
    other = reset(count=2, cause=Cause(name="half-open", family="half-open", certainty="certain"))
    judge.see(Batch(now_ns=EPOCH, resets=(other,)))
    judge.judge(EPOCH)
    told = judge.verdict(EPOCH)
    assert (told.resets, told.unexplained, told.causes) == (5, 2, (("half-open", 2),))
    assert told.sentence == "It is a (60.0 % of 5 resets); 2 resets explained by no finding: half-open 2"


def test_a_verdict_without_findings_names_causes() -> None:
    """Nothing was found: the sentence says so, and what there was."""
    told = judge_of(resets=7).verdict(EPOCH)
    assert told.sentence == "7 resets and nothing that they mean together was found: closed-port 7"


def test_what_hurts_more_goes_first() -> None:
    """Severity before share, and what is only suspected last among equals."""
    judge = judge_of(
        script(draft(severity="notice")),
        script(draft("b", severity="critical", stands=True, confidence="suspected"), name="second"),
        script(draft("c", severity="critical", stands=True), name="third"),
    )
    judge.judge(EPOCH)
    assert [each.name for each in judge.verdict(EPOCH).shares] == ["third", "second", "script"]


def test_resets_are_forgotten_after_the_window() -> None:
    """A verdict of now does not count what was long ago."""
    judge = judge_of(script(draft()))
    judge.see(Batch(now_ns=EPOCH + 2 * WINDOW_NS, resets=(reset(),)))
    assert judge.verdict(EPOCH + 2 * WINDOW_NS).resets == 1


def test_the_window_is_bounded_and_still_counts() -> None:
    """Beyond its rows resets are put together by cause; none is lost."""
    window = Window(WINDOW_NS)
    window.add([reset(port=port) for port in range(10 * ROWS)], EPOCH)
    rows = [row for _, row in window.rows()]
    assert len(rows) <= ROWS + 1
    assert sum(row.count for row in rows) == 10 * ROWS


def test_so_many_findings_at_once() -> None:
    """Of each finder the number is bounded, and what is left out is counted."""
    finders = [script(*(draft(number, stands=True) for number in range(3 * MOST)), name=f"n{n}") for n in range(4)]
    judge = judge_of(*finders)
    told = judge.judge(EPOCH)
    assert Counter(each.name for each in told) == {f"n{n}": MOST for n in range(4)}
    judge.judge(EPOCH + SECOND)  # the same are not counted again
    assert judge.left_out == 4 * 2 * MOST


def test_a_crowd_of_one_kind_does_not_hide_another() -> None:
    """A service is down while very many scan."""
    crowd = script(*(draft(number, stands=True) for number in range(500)), name="crowd")
    judge = judge_of(crowd, script(draft("down", stands=True), name="down"))
    assert [each.name for each in judge.judge(EPOCH)].count("down") == 1


def test_a_reset_within_the_host_counts_once() -> None:
    """What was received here from here was sent here."""
    judge = judge_of()
    judge.see(Batch(now_ns=EPOCH, resets=(reset(facts={"direction": "received"}, twin=1),)))
    assert judge.verdict(EPOCH).resets == 1


def test_a_finding_that_is_over_still_explains_its_time() -> None:
    """The verdict of the last minute names what ended within it."""
    story = Story("0 listen 8080 api\n3 exit api 1\n3.2 sent closed-port 8080 x5\n5 listen 8080 api")
    story.play()
    told = story.judge.verdict(story.now_ns, EPOCH)
    assert [(each.name, each.count) for each in told.shares] == [("service-down", 5)]
    assert told.unexplained == 0


def test_a_reset_that_is_read_after_a_slice_has_begun_is_still_of_its_time() -> None:
    """It was sent at the end of one slice and read in the next; the finding whose time ended with it explains it."""
    sent_ns = EPOCH - EPOCH % SLICE_NS + SLICE_NS - SECOND // 100
    judge = Judge((script(draft(claims=(Claims(causes=CLOSED, since_ns=sent_ns, until_ns=sent_ns),))),))
    judge.see(Batch(now_ns=sent_ns + SECOND // 10, resets=(reset(time_ns=sent_ns, last_ns=sent_ns),)))
    assert [each.state for each in judge.judge(sent_ns + SECOND // 10)] == ["open"]
