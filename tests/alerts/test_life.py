"""Lives of alerts, told line by line: a time and what happens then, «20 warning», or «40» where only time passes."""

import json
from pathlib import Path

import msgspec
import pytest

from whyreset.alerts import life as module
from whyreset.alerts.life import LifeState, Lives, Signal, Telling
from whyreset.alerts.mutes import Silence
from whyreset.alerts.rule import Delay
from whyreset.alerts.status import CLEAR, CRITICAL, UNDEFINED, WARNING
from whyreset.model import Alert, Shares

STATUSES = {"clear": CLEAR, "warning": WARNING, "critical": CRITICAL, "undefined": UNDEFINED}
RECORDED = Path(__file__).with_name("recorded")
#: Delays of Netdata's rule on resets.
NETDATA = Telling(delay=Delay(up=20, down=3600, multiplier=1.2, maximum=7200), no_clear=True, to="sysadmin")
AT_ONCE = Telling(repeat_warning=3600)


def signal(status: str, telling: Telling = AT_ONCE, *, cookie: int = 1, rule: str = "r", window: int = 10) -> Signal:
    """What a rule says."""
    return Signal(rule=rule, netns_cookie=cookie, netns=7, status=STATUSES[status], telling=telling, window=window)


def line(alert: Alert) -> str:
    """«60 told: firing warning», «60 changed: pending warning, muted by x»."""
    return (
        f"{alert.time_ns // 10**9:g} {alert.event}: {alert.state} {alert.new_status}"
        + (" (told)" if alert.told else "")
        + (f", muted by {alert.muted_by}" if alert.muted_by else "")
        + (", flapping" if alert.flapping else "")
    )


def play(lives: Lives, story: str, telling: Telling = AT_ONCE) -> list[str]:
    """What comes of a story: each of its lines is a second, and perhaps a status."""
    told = []
    for each in story.split(";"):
        second, *status = each.split()
        alerts = lives.update(signal(status[0], telling), float(second)) if status else []
        told += [line(alert) for alert in alerts + lives.tick(float(second))]
    return told


def test_from_the_first_warning_to_the_end() -> None:
    """Without delays: told at once, and told when it is over."""
    assert play(Lives(), "0 clear; 10 warning; 20 warning; 30 critical; 40 warning; 50 clear; 60 clear") == [
        "10 changed: firing warning (told)",
        "30 changed: firing critical (told)",
        "40 changed: firing warning (told)",
        "50 changed: resolved clear (told)",
    ]


def test_a_first_clear_is_told_to_nobody() -> None:
    """Nothing was wrong before."""
    assert play(Lives(), "0 clear; 5; 10 undefined; 20 clear; 30") == []
    assert play(Lives(), "0 clear; 5 warning; 10 undefined; 20 clear; 30") == [
        "5 changed: firing warning (told)",
        "10 changed: unknown undefined",
        "20 changed: resolved clear (told)",
    ]


def test_a_delay_waits_before_it_tells() -> None:
    """The status changes at once, people hear of it when it has lasted."""
    assert play(Lives(), "0 clear; 100 warning; 110; 119; 120; 130; 140 clear", NETDATA) == [
        "100 changed: pending warning",
        "120 told: firing warning (told)",
        "140 changed: resolved clear",
    ]


def test_what_is_over_before_its_delay_is_never_told() -> None:
    """Netdata's rule tells nobody of a surge of 20 s."""
    assert play(Lives(), "0 clear; 100 warning; 110 clear; 120; 130; 4000; 9000", NETDATA) == [
        "100 changed: pending warning",
        "110 changed: resolved clear",
    ]


def test_each_change_meanwhile_lengthens_the_next_delay() -> None:
    """Up 20 s, times 1.2 with each change, up to the maximum."""
    telling = Telling(delay=Delay(up=20, down=100, multiplier=2, maximum=70))
    lives = Lives()
    play(lives, "0 clear; 1000 warning; 1010 clear", telling)
    # 20 s, then 40; the wait for clear is cut at the maximum
    assert play(lives, "1020 warning; 1090; 1099; 1100", telling) == [
        "1020 changed: pending warning",
        "1090 told: firing warning (told)",
    ]


def test_after_a_calm_delays_are_short_again() -> None:
    """What was lengthened is forgotten when the last delay is over."""
    telling = Telling(delay=Delay(up=20, down=30, multiplier=2, maximum=70))
    lives = Lives()
    play(lives, "0 clear; 1000 warning; 1010 clear", telling)
    assert play(lives, "2000 warning; 2019; 2020", telling)[-1] == "2020 told: firing warning (told)"


def test_an_end_is_told_only_of_what_was_told() -> None:
    """A warning that nobody heard of ends unheard."""
    telling = Telling(delay=Delay(up=20))
    assert play(Lives(), "0 clear; 100 warning; 110 clear; 200 warning; 220; 230 clear", telling)[-3:] == [
        "200 changed: pending warning",
        "220 told: firing warning (told)",
        "230 changed: resolved clear (told)",
    ]


def test_nothing_is_told_twice() -> None:
    """A rule that says the same again says nothing, and one that comes back to what was told neither."""
    telling = Telling(delay=Delay(up=5, down=60, maximum=60))
    lives = Lives()
    assert play(lives, "0 clear; 100 warning; 105; 110 warning; 120 clear; 130 warning; 140; 200", telling) == [
        "100 changed: pending warning",
        "105 told: firing warning (told)",
        "120 changed: resolved clear",
        "130 changed: firing warning",
    ]


def test_who_wants_no_end_told_is_told_each_warning() -> None:
    """Netdata's no-clear-notification."""
    telling = Telling(no_clear=True)
    assert play(Lives(), "0 clear; 10 warning; 20 clear; 30 warning", telling) == [
        "10 changed: firing warning (told)",
        "20 changed: resolved clear",
        "30 changed: firing warning (told)",
    ]


def test_reminders() -> None:
    """As long as it goes on, so often as the rule says for its gravity."""
    telling = Telling(repeat_warning=600, repeat_critical=60)
    assert play(Lives(), "0 clear; 10 warning; 500; 610; 700 critical; 760; 770; 800 clear; 3000", telling) == [
        "10 changed: firing warning (told)",
        "610 reminder: firing warning (told)",
        "700 changed: firing critical (told)",
        "760 reminder: firing critical (told)",
        "800 changed: resolved clear (told)",
    ]


def test_flapping_is_said_once_and_then_nothing_until_it_is_calm() -> None:
    """Five warnings told within half an hour are flapping; after half an hour of calm the truth is told again."""
    story = "; ".join(f"{at} warning; {at + 10} clear" for at in range(0, 160, 20))
    told = play(Lives(), f"{story}; 1000; 1000 clear; 1949; 1950; 2000 warning")
    assert [each for each in told if "(told)" in each] == [
        *("0 changed: firing warning (told)", "10 changed: resolved clear (told)"),
        *("20 changed: firing warning (told)", "30 changed: resolved clear (told)"),
        *("40 changed: firing warning (told)", "50 changed: resolved clear (told)"),
        *("60 changed: firing warning (told)", "70 changed: resolved clear (told)"),
        "80 changed: firing warning (told), flapping",
        "1950 told: resolved clear (told)",
        "2000 changed: firing warning (told)",
    ]
    assert "90 changed: resolved clear, muted by flapping, flapping" in told
    assert "100 changed: firing warning, flapping" in told


def test_a_silence_mutes_and_what_goes_on_after_it_is_told_then() -> None:
    """The alert is shown all the time, with the name of what mutes it."""
    silence = Silence(name="backup", rules=("r*",), begin=100, end=200)
    assert play(Lives(silences=[silence]), "0 clear; 150 warning; 180; 199; 200; 210; 250 clear") == [
        "150 changed: pending warning, muted by silence: backup",
        "200 told: firing warning (told)",
        "250 changed: resolved clear (told)",
    ]


def test_what_begins_and_ends_in_a_silence_is_told_to_nobody() -> None:
    """Neither the warning nor its end."""
    silence = Silence(name="backup", begin=100, end=200)
    told = play(Lives(silences=[silence]), "0 clear; 150 warning; 180 clear; 300")
    assert not any("(told)" in each for each in told)


def test_the_end_of_what_was_told_is_told_in_a_silence_too() -> None:
    """Nobody shall go on looking for what is over."""
    silence = Silence(name="backup", begin=100, end=200)
    assert play(Lives(silences=[silence]), "0 clear; 50 warning; 150 clear")[-1] == "150 changed: resolved clear (told)"


def test_a_silence_is_for_some_rules_and_namespaces() -> None:
    """Others are told as ever."""
    for silence, muted in (
        (Silence(name="s", rules=("other",)), False),
        (Silence(name="s", rules=("!r", "*")), False),
        (Silence(name="s", netns=("8",)), False),
        (Silence(name="s", netns=("7",)), True),
    ):
        told = play(Lives(silences=[silence]), "0 clear; 10 warning")[-1]
        assert ("muted by" in told) is muted


def test_a_rule_to_silent_tells_nobody() -> None:
    """As newer Netdata ships them."""
    assert play(Lives(), "0 clear; 10 warning; 20", Telling(to="silent")) == [
        "10 changed: pending warning, muted by to: silent"
    ]


def test_expected_resets_are_shown_but_tell_nobody() -> None:
    """Where nine of ten resets are meant to be, nobody needs to come; where other ones join them, somebody does."""
    expected = [95]
    lives = Lives(shares=lambda _cookie, _seconds: Shares(resets=100, expected=expected[0]))
    assert play(lives, "0 clear; 10 warning; 20") == ["10 changed: pending warning, muted by expected"]
    expected[0] = 50
    assert play(lives, "30; 40 clear") == ["30 told: firing warning (told)", "40 changed: resolved clear (told)"]


def test_alerts_carry_whose_the_resets_were() -> None:
    """Of their own namespace and over their own window."""
    asked: list[tuple[int, int]] = []

    def shares(cookie: int, seconds: int) -> Shares:
        asked.append((cookie, seconds))
        return Shares(resets=3, causes=(("closed-port", 3),))

    lives = Lives(shares=shares)
    (alert,) = lives.update(signal("warning", cookie=5, window=60), 10)
    assert alert.shares == Shares(resets=3, causes=(("closed-port", 3),))
    assert set(asked) == {(5, 60)}


def test_namespaces_and_rules_have_lives_of_their_own() -> None:
    """Each with a number of its own for each time it is raised."""
    lives = Lives()
    ids = [
        lives.update(signal(status, cookie=cookie, rule=rule), second)[0].id
        for second, (rule, cookie, status) in enumerate(
            [("r", 1, "warning"), ("r", 2, "warning"), ("q", 1, "warning"), ("r", 1, "clear"), ("r", 1, "warning")]
        )
    ]
    assert ids == ["a1", "a2", "a3", "a1", "a4"]


def test_a_namespace_that_goes_takes_its_alerts_with_it() -> None:
    """They are over, and who was told of them is told so."""
    lives = Lives()
    lives.update(signal("warning", cookie=1), 0)
    lives.update(signal("warning", cookie=2), 0)
    (over,) = lives.forget([2], 30)
    assert (line(over), over.gone, over.value) == ("30 changed: resolved clear (told)", True, None)
    assert [alert.netns_cookie for alert in lives.firing(40)] == [1]


@pytest.mark.parametrize("cut", range(9))
def test_a_restart_changes_nothing(cut: int) -> None:
    """Wherever in a story the state is written and read, the rest goes on as it would have."""
    telling = Telling(delay=Delay(up=20, down=30, multiplier=1.5, maximum=100), repeat_warning=300)
    story = [
        "0 clear",
        " 100 warning",
        " 110 clear",
        " 120 warning",
        " 150",
        " 500",
        " 600 critical",
        " 700",
        " 800 clear",
        " 900",
    ]
    whole = play(Lives(), ";".join(story), telling)
    lives = Lives()
    told = play(lives, ";".join(story[: cut + 1]), telling)
    saved = msgspec.json.decode(msgspec.json.encode(lives.state()), type=LifeState)
    assert told + play(Lives(saved), ";".join(story[cut + 1 :]), telling) == whole


def test_lives_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is clear makes room first."""
    monkeypatch.setattr(module, "MOST_LIVES", 3)
    lives = Lives()
    lives.update(signal("warning", cookie=1), 0)
    for cookie in range(2, 20):
        lives.update(signal("warning", cookie=cookie), 0)
        lives.update(signal("clear", cookie=cookie), 1)
    assert len(lives.state().lives) == 3
    assert [alert.netns_cookie for alert in lives.firing(0)] == [1]


@pytest.mark.parametrize("path", sorted(RECORDED.glob("surge-*.json")), ids=lambda path: path.stem)
def test_netdatas_notifications(path: Path) -> None:
    """Of the changes that a real Netdata logged, those are told that it ran its script for, no later than it did."""
    entries = [each for each in json.loads(path.read_text())["changes"] if each["name"] == "10s_ipv4_tcp_resets_sent"]
    lives = Lives()
    told: list[tuple[str, int]] = []
    moments = {int(each["when"]): each for each in entries}
    for now in range(min(moments), max(moments) + 200):
        alerts = []
        if now in moments and moments[now]["status"].lower() in STATUSES:
            alerts += lives.update(signal(moments[now]["status"].lower(), NETDATA), now)
        told += [(alert.new_status, now) for alert in [*alerts, *lives.tick(now)] if alert.told]
    ran = [(each["status"].lower(), each["exec_run"]) for each in entries if each["exec_run"]]
    assert [status for status, _ in told] == [status for status, _ in ran]
    for (_, ours), (_, theirs) in zip(told, ran, strict=True):
        assert theirs - 10 <= ours <= theirs
