"""Alerts as lines: what stands in them, and that whatever a process calls itself they are safe to print."""

import json
import re
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.outputs.values import alert
from whyreset.model import Alert, Shares
from whyreset.outputs import lines
from whyreset.outputs.alerts import alert_line, alert_sentence, alert_text

VALIDATOR = jsonschema.Draft202012Validator(lines.schema())


def written(value: Alert, **options: Any) -> dict[str, Any]:
    """The line as a reader gets it, held against the schema."""
    line: dict[str, Any] = json.loads(msgspec.json.encode(alert_line(value, **options)))
    VALIDATOR.validate(line)
    properties = lines.schema()["$defs"]["AlertLine"]["properties"]
    assert not set(line) - set(properties)
    return line


def test_a_line_has_all_that_is_known() -> None:
    """Rule, namespace, both statuses, value and limits, whose the resets are, and a sentence."""
    line = written(alert())
    assert line["type"] == "alert"
    assert (line["id"], line["rule"], line["netns"], line["netns_cookie"]) == ("a1", "resets_sent_surge", 4026531840, 1)
    assert (line["old_status"], line["new_status"], line["state"], line["told"]) == ("clear", "warning", "firing", True)
    assert (line["value"], line["threshold"], line["usual"], line["window"]) == (212.4, 38.3, 0.12345, 2)
    assert line["streams"] == ["closed-port"]
    assert line["shares"]["causes"] == [{"name": "closed-port", "count": 190}, {"name": "half-open", "count": 10}]
    assert line["shares"]["resets"] == 200
    assert line["since"] == line["time"] == "2026-11-22T05:43:15.123456789Z"
    assert line["text"] == alert_sentence(alert())


def test_what_is_not_known_is_left_out() -> None:
    """Never a made-up number."""
    bare = alert(value=None, threshold=None, usual=None, netns=0, netns_cookie=0, since_ns=0, shares=None, streams=())
    assert not set(written(bare)) & {"value", "threshold", "usual", "netns", "since", "shares", "streams", "second"}
    assert "shares" not in written(alert(shares=Shares(resets=0)))


def test_a_replayed_alert_has_its_second() -> None:
    """That of the series, which need not be a time."""
    line = written(alert(time_ns=91_000_000_000), second=91)
    assert line["second"] == 91
    assert "since" not in line


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {},
            "warning: surge of TCP resets sent: 212 resets/s over 2 s (usually 0.123, limit 38.3), closed-port 95 %,"
            " half-open 5 %, by api.service 99 %, unknown <1 %, to 192.0.2.1 40 %, 192.0.2.2 30 %, 192.0.2.3 20 % and"
            " 2 more [resets_sent_surge]",
        ),
        (
            {"new_status": "clear", "state": "resolved", "value": 0.0, "window": 10},
            "over: surge of TCP resets sent: 0 resets/s over 10 s (usually 0.123) [resets_sent_surge]",
        ),
        (
            {"new_status": "clear", "state": "resolved", "value": None, "gone": True, "netns_name": "web"},
            "over: surge of TCP resets sent: in web, the namespace is gone [resets_sent_surge]",
        ),
        (
            {"event": "reminder", "new_status": "critical", "shares": None, "usual": None, "threshold": None},
            "still critical: surge of TCP resets sent: 212 resets/s over 2 s [resets_sent_surge]",
        ),
        (
            {"shares": None, "told": False, "muted_by": "silence: backup", "netns_name": "web", "netns_cookie": 7},
            "warning: surge of TCP resets sent: 212 resets/s over 2 s (usually 0.123, limit 38.3), in web, nobody is"
            " told (silence: backup) [resets_sent_surge]",
        ),
        (
            {"shares": None, "netns_cookie": 7, "flapping": True, "value": None},
            "warning: surge of TCP resets sent: in network namespace 4026531840, it comes and goes: nothing more"
            " until it is calm [resets_sent_surge]",
        ),
        (
            {
                "shares": None,
                "rule": "tcp_orphans",
                "summary": "",
                "value": 1234567.0,
                "units": "%",
                "window": 0,
                "usual": None,
                "threshold": 25.0,
            },
            "warning: tcp_orphans: 1,234,567% (limit 25) [tcp_orphans]",
        ),
        (
            {"new_status": "undefined", "state": "unknown", "shares": None, "value": None},
            "undefined: surge of TCP resets sent [resets_sent_surge]",
        ),
    ],
)
def test_the_sentence(fields: dict[str, Any], sentence: str) -> None:
    """What happened, how much it is and should be, whose it is, where, and who is not told."""
    assert alert_sentence(alert(**fields)) == sentence


def test_a_line_for_people_is_safe_to_print() -> None:
    """Whatever processes and namespaces call themselves."""
    hostile = alert(netns_name="a\x1b[2J\nb", shares=Shares(resets=1, owners=(("\u202eevil", 1),)))
    text = alert_text(hostile)
    assert text.isprintable()
    assert re.match(r"\d\d:\d\d:\d\d  alert     warning: ", text)
