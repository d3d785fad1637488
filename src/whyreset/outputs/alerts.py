"""Alerts as lines of JSON and as lines for people."""

from __future__ import annotations

from whyreset.model import Alert, Shares
from whyreset.outputs.findings import verdict_key
from whyreset.outputs.keys import ShareKey, SharesKey
from whyreset.outputs.lines import SCHEMA, AlertLine
from whyreset.outputs.wire import timestamp
from whyreset.words import clock, escape

#: Names of each kind in a line for people.
_SHOWN = 3
#: That of the host's own namespace.
_FIRST_COOKIE = 1


def alert_line(alert: Alert, *, second: int | None = None) -> AlertLine:
    """An alert as a line.

    Args:
        alert: what happened.
        second: of a replayed series.
    """
    return AlertLine(
        schema=SCHEMA,
        time=timestamp(alert.time_ns),
        second=second,
        id=alert.id,
        rule=alert.rule,
        event=alert.event,
        netns=alert.netns or None,
        netns_cookie=alert.netns_cookie or None,
        netns_name=alert.netns_name,
        old_status=alert.old_status,
        new_status=alert.new_status,
        state=alert.state,
        told=alert.told,
        muted_by=alert.muted_by,
        to=alert.to,
        flapping=alert.flapping,
        gone=alert.gone,
        since=timestamp(alert.since_ns) if alert.since_ns and second is None else "",
        value=alert.value,
        threshold=alert.threshold,
        usual=alert.usual,
        units=alert.units,
        window=alert.window,
        summary=alert.summary,
        streams=list(alert.streams),
        shares=_shares(alert.shares) if alert.shares is not None and alert.shares.resets else None,
        verdict=verdict_key(alert.verdict) if alert.verdict is not None else None,
        text=alert_sentence(alert),
    )


def alert_text(alert: Alert) -> str:
    """«12:00:03  alert     warning: surge of TCP resets sent: 212 resets/s over 2 s, ...»"""
    return f"{clock(alert.time_ns)}  alert     {alert_sentence(alert)}"


def alert_sentence(alert: Alert) -> str:
    """What happened to an alert, in a sentence; safe to print."""
    what = alert.summary or alert.rule
    if alert.new_status in ("warning", "critical"):
        again = {"reminder": "still ", "told": ""}.get(alert.event, "")
        head = f"{again}{alert.new_status}: {what}"
    elif alert.new_status == "clear":
        head = f"over: {what}"
    else:
        head = f"{alert.new_status}: {what}"
    parts = [_value(alert), *_whose(alert)]
    if alert.netns_name or alert.netns_cookie > _FIRST_COOKIE:
        parts.append(f"in {alert.netns_name}" if alert.netns_name else f"in network namespace {alert.netns}")
    if alert.gone:
        parts.append("the namespace is gone")
    if alert.muted_by:
        parts.append(f"nobody is told ({alert.muted_by})")
    if alert.flapping:
        parts.append("it comes and goes: nothing more until it is calm")
    details = ", ".join(part for part in parts if part)
    return escape(f"{head}{': ' if details else ''}{details} [{alert.rule}]")


def raised_texts(alert: Alert, home: int) -> tuple[str, ...]:
    """An alert that is raised, in less and less words: «WARNING since 12:00:03 (212/s): surge of TCP resets sent».

    Its figure is of that moment, or of when it became critical.

    Args:
        alert: as it is now; not escaped.
        home: inode number of the namespace that needs no name.
    """
    status, what = alert.new_status.upper(), alert.summary or alert.rule
    since = f"{status} since {clock(alert.since_ns)}"
    where = f", in netns {alert.netns_name or alert.netns}" if alert.netns not in (0, home) else ""
    muted = f", nobody is told ({alert.muted_by})" if alert.muted_by else ""
    short = (f"{since}: {what}", f"{status}: {what}")
    if alert.value is None:
        return (f"{since}: {what}{where}{muted}", f"{since}: {what}{where}", *short)
    unit = alert.units if alert.units.startswith("%") else "/s" if alert.units.endswith("/s") else f" {alert.units}"
    figure = f"{_number(alert.value)}{unit.rstrip()}"
    over = f" over {alert.window} s" if alert.window else ""
    usual = f", usually {_number(alert.usual)}" if alert.usual is not None else ""
    return (
        f"{since} ({figure}{over}{usual}): {what}{where}{muted}",
        f"{since} ({figure}{over}{usual}): {what}{where}",
        f"{since} ({figure}): {what}{where}",
        f"{since} ({figure}): {what}",
        *short,
    )


def _value(alert: Alert) -> str:
    if alert.value is None:
        return ""
    unit = alert.units if alert.units.startswith("%") else f" {alert.units}" if alert.units else ""
    text = f"{_number(alert.value)}{unit}"
    if alert.window:
        text += f" over {alert.window} s"
    limits = []
    if alert.usual is not None:
        limits.append(f"usually {_number(alert.usual)}")
    if alert.threshold is not None and alert.new_status != "clear":
        limits.append(f"limit {_number(alert.threshold)}")
    return f"{text} ({', '.join(limits)})" if limits else text


def _whose(alert: Alert) -> list[str]:
    """What the resets mean; where nothing was found, whose they are."""
    if alert.verdict is not None and alert.verdict.shares and alert.new_status != "clear":
        return [alert.verdict.sentence]
    shares = alert.shares
    if shares is None or not shares.resets or alert.new_status == "clear":
        return []
    return [
        _top(shares.causes, shares),
        f"by {_top(shares.owners, shares)}" if shares.owners else "",
        f"to {_top(shares.remotes, shares)}" if shares.remotes else "",
    ]


def _top(names: tuple[tuple[str, int], ...], shares: Shares) -> str:
    shown = [f"{name} {_percent(count, shares.resets)} %" for name, count in names[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _percent(part: int, whole: int) -> str:
    # all of it is only what leaves nothing out
    return str(100 * part // whole or "<1")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _shares(shares: Shares) -> SharesKey:
    return SharesKey(
        resets=shares.resets,
        expected=shares.expected,
        causes=_keys(shares.causes),
        owners=_keys(shares.owners),
        remotes=_keys(shares.remotes),
    )


def _keys(names: tuple[tuple[str, int], ...]) -> list[ShareKey]:
    return [ShareKey(name=name, count=count) for name, count in names]
