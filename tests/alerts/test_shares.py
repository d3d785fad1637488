from typing import Any

from tests.outputs.values import EPOCH, owner, reset
from whyreset.alerts.shares import NAMES, OTHER, SECONDS, TOLD, Recent
from whyreset.model import Cause, Remotes, Reset, Shares

SECOND = EPOCH // 1_000_000_000


def made(cause: str = "closed-port", count: int = 1, after: int = 0, **fields: Any) -> Reset:
    """Resets of one cause, so many seconds after the first."""
    return reset(
        cause=Cause(name=cause, family="x", certainty="certain"),
        count=count,
        last_ns=EPOCH + after * 1_000_000_000,
        **fields,
    )


def test_whose_the_resets_of_a_window_were() -> None:
    """By cause, owner and remote, the largest first, of the seconds that were asked for."""
    recent = Recent()
    recent.add(made("closed-port", 100, owner=None), expected=False)
    recent.add(made("linger-zero", 5, 1, owner=owner(comm="haproxy", unit="haproxy.service")), expected=True)
    recent.add(made("linger-zero", 2, 1, owner=owner(comm="nginx")), expected=False)
    assert recent.shares(SECOND + 1, SECOND + 1) == Shares(
        resets=7,
        causes=(("linger-zero", 7),),
        owners=(("haproxy.service", 5), ("nginx", 2)),
        remotes=(("192.0.2.1", 7),),
        expected=5,
    )
    assert recent.shares(SECOND, SECOND + 9).causes == (("closed-port", 100), ("linger-zero", 7))
    assert recent.shares(SECOND, SECOND).owners == (("unknown", 100),)
    assert recent.shares(SECOND + 2, SECOND + 9) == Shares(resets=0)


def test_of_many_remotes_the_rest_is_other() -> None:
    """The account of a group names some; no more are said than there were."""
    recent = Recent()
    recent.add(made(count=10, remotes=Remotes(distinct=9, exact=True, top=(("a", 4), ("b", 2)))), expected=False)
    recent.add(made(count=3, remotes=Remotes(distinct=9, exact=False, top=(("a", 5),))), expected=False)
    recent.add(made(count=1, remotes=None, sample={"remote": "c"}), expected=False)
    assert recent.shares(SECOND, SECOND).remotes == (("a", 7), ("b", 2), ("c", 1), (OTHER, 4))


def test_memory_is_bounded() -> None:
    """Names within a second, seconds, and what an alert carries."""
    recent = Recent()
    for number in range(1000):
        recent.add(made(f"cause-{number}"), expected=False)
    shares = recent.shares(SECOND, SECOND)
    assert len(shares.causes) == TOLD + 1
    assert shares.causes[-1] == (OTHER, 1000 - TOLD)
    for after in range(1, 500):
        recent.add(made(after=after), expected=False)
    assert recent.shares(0, 10**11).resets == SECONDS
    assert NAMES >= TOLD


def test_what_comes_late_belongs_to_the_latest_second() -> None:
    """Groups are told a little out of order; none is lost."""
    recent = Recent()
    recent.add(made(after=5), expected=False)
    recent.add(made(after=4), expected=False)
    assert recent.shares(SECOND + 5, SECOND + 5).resets == 2


def test_older_seconds_are_kept_as_minutes() -> None:
    """As far back as rules look, whoever it was; what is older than that is forgotten."""
    recent = Recent(memory=600)
    for after in range(3600):
        recent.add(made("linger-zero" if after < 3300 else "closed-port", after=after), expected=after < 3300)
    shares = recent.shares(SECOND + 3600 - 600, SECOND + 3600)
    assert shares.resets == sum(count for _, count in shares.causes)
    assert 600 <= shares.resets <= 660
    assert dict(shares.causes)["closed-port"] == 300
    assert shares.expected == shares.resets - 300
    everything = recent.shares(0, 10**11).resets
    assert shares.resets <= everything <= 12 * 60 + SECONDS


def test_names_within_a_minute_are_bounded() -> None:
    """However many seconds bring new ones, and none is lost."""
    recent = Recent(memory=3600)
    for after in range(400):
        for number in range(5):
            recent.add(made(f"cause-{after}-{number}", after=after), expected=False)
    shares = recent.shares(0, 10**11)
    assert (shares.resets, sum(count for _, count in shares.causes)) == (2000, 2000)
    assert max(len(part.causes) for part in recent._minutes) <= NAMES + 1
