"""The answer of who: a sentence first, then the details; in 80 columns, harmless, and the same as a line of JSON."""

import json
from typing import Any

import msgspec
import pytest

from tests.outputs.test_wire import SCHEMA, VALIDATOR, keys_in_schema
from tests.outputs.values import EPOCH, owner, process
from whyreset.model import Missing
from whyreset.outputs.who import sentence, text
from whyreset.outputs.wire_who import who_line
from whyreset.questions import Connections, Former, Found, Question, Recent, Standing, Trace

SECOND = 1_000_000_000
HOME = 4026531840
KILLED = 9
CRASHED = 11 | 0x80


def standing(**fields: Any) -> Standing:
    """nginx listens."""
    about = {
        "netns": HOME,
        "netns_cookie": 1,
        "netns_name": "",
        "address": "0.0.0.0",
        "port": 8080,
        "family": 2,
        "owner": owner(),
    }
    return Standing(**{**about, **fields})


def former(**fields: Any) -> Former:
    """nginx listened until it was killed."""
    about = {"netns": HOME, "netns_cookie": 1, "netns_name": "", "address": "0.0.0.0", "port": 8080, "family": 2}
    dead = owner(alive=False, exit_code=CRASHED, unit="nginx.service")
    about |= {"owner": dead, "since_ns": EPOCH - 60 * SECOND, "until_ns": EPOCH - 30 * SECOND}
    return Former(**{**about, "end": "killed by SIGSEGV", **fields})


def recent(**fields: Any) -> Recent:
    """A SYN met a closed port."""
    about: dict[str, Any] = {"direction": "sent", "cause": "closed-port", "family": "closed-port"}
    about |= {
        "certainty": "certain",
        "count": 43,
        "first_ns": EPOCH - 29 * SECOND,
        "last_ns": EPOCH,
        "netns": HOME,
        "netns_cookie": 1,
    }
    about |= {"port": 8080, "what": "closed port 8080", "evidence": ("kernel reason NO_SOCKET",), "remote": "192.0.2.1"}
    return Recent(**{**about, **fields})


def connections(**fields: Any) -> Connections:
    """Three clients are there."""
    about: dict[str, Any] = {
        "netns": HOME,
        "netns_cookie": 1,
        "netns_name": "",
        "outgoing": False,
        "port": 8080,
        "accepted": True,
    }
    about |= {"owner": owner(), "count": 3, "states": {"ESTABLISHED": 2, "TIME_WAIT": 1}, "distinct": 2}
    return Connections(**{**about, "remotes": (("192.0.2.1", 2), ("2001:db8::1", 1)), **fields})


def found(question: Question | None = None, **fields: Any) -> Found:
    """An answer about port 8080."""
    return Found(**{"question": question or Question(port=8080), "time_ns": EPOCH, "home_cookie": 1, **fields})


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day are UTC's."""
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()


SENTENCES: dict[str, tuple[Found, str]] = {
    "nothing": (found(), ":8080 nobody listens now; nothing is known of it"),
    "nothing since": (
        found(watched_ns=EPOCH - 3 * SECOND),
        ":8080 nobody listens now; nothing is known of it since 05:43:12",
    ),
    "a listener": (found(listeners=(standing(),)), ":8080 nginx[911] listens"),
    "a listener since": (
        found(listeners=(standing(since_ns=EPOCH - SECOND),)),
        ":8080 nginx[911] listens since 05:43:14",
    ),
    "a listener since another day": (
        found(listeners=(standing(since_ns=EPOCH - 86400 * SECOND),)),
        ":8080 nginx[911] listens since 2026-11-21 05:43:15",
    ),
    "several share it": (
        found(listeners=tuple(standing(owner=owner(pid=pid)) for pid in (1, 2, 3, 4))),
        ":8080 nginx[1] and nginx[2] and 2 others listen",
    ),
    "elsewhere too": (
        found(listeners=(standing(), standing(netns=7, netns_cookie=9))),
        ":8080 nginx[911] listens; listeners in 1 other network namespace too",
    ),
    "in a container": (
        found(listeners=(standing(netns=7, netns_cookie=9, netns_name="pod", owner=owner(container_name="web")),)),
        ":8080 nginx[911] (web) listens in netns pod",
    ),
    "in a namespace without a name": (
        found(listeners=(standing(netns=7, netns_cookie=9),)),
        ":8080 nginx[911] listens in netns 7",
    ),
    "a holder that is not known": (
        found(listeners=(standing(owner=None),)),
        ":8080 an unknown process listens",
    ),
    "a crash": (
        found(former=(former(),), resets=(recent(),), watched_ns=EPOCH - 100 * SECOND),
        ":8080 nobody listens now; until 05:42:45 nginx[911] (nginx.service), killed by SIGSEGV; 43 resets sent since",
    ),
    "a child held it longer": (
        found(former=(former(last=process(pid=912, comm="worker"), end="killed by SIGKILL"),)),
        ":8080 nobody listens now; until 05:42:45 nginx[911] (nginx.service), killed by SIGSEGV;"
        " worker[912] held its socket last: killed by SIGKILL",
    ),
    "resets before it ended are not since": (
        found(former=(former(),), resets=(recent(first_ns=EPOCH - 31 * SECOND),), watched_ns=1),
        ":8080 nobody listens now; until 05:42:45 nginx[911] (nginx.service), killed by SIGSEGV",
    ),
    "both ends of one reset count once": (
        found(
            listeners=(standing(),),
            resets=(recent(count=1), recent(count=1, direction="received")),
            watched_ns=EPOCH - 3 * SECOND,
        ),
        ":8080 nginx[911] listens; 1 reset sent since 05:43:12",
    ),
    "connections out": (
        found(connections=(connections(outgoing=True), connections(outgoing=True, owner=owner(pid=5)))),
        ":8080 nobody listens now; 6 connections to it by nginx[911] and nginx[5]",
    ),
    "connections that are left": (
        found(connections=(connections(owner=None, held=False, accepted=False, count=1),)),
        ":8080 nobody listens now; 1 connection with it as the local port",
    ),
    "a process": (
        found(
            Question(pid=911),
            processes=(owner("pid"),),
            listeners=(standing(), standing(port=81), standing(port=81)),
            connections=(connections(),),
        ),
        "nginx[911] runs; it listens at :8080, :81; 3 connections",
    ),
    "a process that was killed": (
        found(Question(pid=911), processes=(owner("watch", alive=False, exit_code=KILLED, ended_ns=EPOCH),)),
        "nginx[911] is gone: killed by SIGKILL at 05:43:15",
    ),
    "a process that went": (
        found(Question(pid=911), processes=(owner("watch", alive=False),)),
        "nginx[911] is gone: how it ended is not known",
    ),
    "no process": (
        found(Question(pid=911)),
        "there is no process 911, and nothing is known of a former one",
    ),
    "only the log knows": (
        found(Question(pid=911), traces=(Trace(time_ns=EPOCH, log="kernel log", text="nginx[911]: segfault at 0"),)),
        "there is no process 911",
    ),
    "a number that was no port": (
        found(Question(port=911, pid=911), processes=(owner("pid"),)),
        ":911 nobody listens now; nginx[911] runs",
    ),
}


@pytest.mark.parametrize(("about", "says"), SENTENCES.values(), ids=list(SENTENCES))
def test_the_sentence(about: Found, says: str) -> None:
    """The short answer, as a person would give it; it is the first thing said, and stands in the line of JSON."""
    assert sentence(about) == says
    assert " ".join(text(about, 120).split()).startswith(says)
    assert who_line(about).text == says


def whole(**fields: Any) -> Found:
    """All of it at once."""
    return found(
        **{
            "sources": ("sockets", "watch"),
            "listeners": (standing(queue=(129, 128), holders=3),),
            "former": (former(last=process(pid=5)),),
            "connections": (connections(), connections(outgoing=True, remote_port=8080, distinct=9)),
            "processes": (owner("pid", command=("nginx", "-g"), exe="/usr/sbin/nginx", user="www-data"),),
            "resets": (recent(closer=process()), recent(count=1, certainty="likely", owner=owner())),
            "traces": (Trace(time_ns=EPOCH, log="journal", text="last words"),),
            "missing": (Missing(source="watch", why="none runs", lost="what was"),),
            "watched_ns": EPOCH,
            "left_out": 3,
            "namesake": owner(pid=8080),
            **fields,
        }
    )


def test_the_details_follow() -> None:
    """Each list has its title; what is not known comes last."""
    said = text(whole(), 80)
    for words in (
        "listening now\n  0.0.0.0:8080  nginx[911] and 3 more, accept queue 129 of 128 (full)\n",
        "before\n  0.0.0.0:8080  05:42:15 to 05:42:45  nginx[911] (nginx.service), killed by\n",
        "  nginx[911]  2 ESTABLISHED, 1 TIME-WAIT  from 192.0.2.1 (2), 2001:db8::1 (1)\n",
        "  to 192.0.2.1:8080 (2),\n    [2001:db8::1]:8080 (1) and 7 more\n",
        "  05:42:46 to 05:43:15  43 x closed port 8080, sent to 192.0.2.1 (the last):\n",
        "  05:43:15  closed port 8080, sent to 192.0.2.1: kernel reason NO_SOCKET",
        "journal: last words",
        "3 more entries are not shown\n",
        "process 8080 is nginx[8080]; it has no TCP sockets\n",
    ):
        assert words in said
    assert said.endswith("not known: what was (none runs)\n")


@pytest.mark.parametrize("width", [1, 40, 60, 80, 120, 1000])
def test_lines_fit_the_screen(width: int) -> None:
    """Words are never cut; the narrowest screen has 40 columns."""
    assert all(len(line) <= max(width, 40) for line in text(whole(), width).splitlines())


def test_what_processes_call_themselves_is_harmless() -> None:
    """No control character reaches the terminal, from whatever field."""
    bad = "\x1b[2J\n\u202e"
    nasty = owner(comm=bad, exe=bad, unit=bad, command=(bad,), user=bad)
    about = whole(
        listeners=(standing(owner=nasty, netns=7, netns_cookie=9, netns_name=bad, address=bad),),
        former=(former(owner=nasty, last=process(comm=bad)),),
        connections=(connections(owner=nasty, remotes=((bad, 1),)),),
        processes=(nasty,),
        resets=(recent(evidence=(bad,), remote=bad, netns=7, netns_cookie=9, netns_name=bad),),
        traces=(Trace(time_ns=EPOCH, log="journal", text=bad),),
    )
    said = text(about, 80)
    assert all(line.isprintable() for line in said.splitlines())
    assert "\\x1b[2J" in said


@pytest.mark.parametrize("about", [found(), whole(), found(Question(pid=911), processes=(owner(),))])
def test_the_line_is_in_the_published_schema(about: Found) -> None:
    """Every key is described, and what does not apply is left out."""
    value = json.loads(msgspec.json.encode(who_line(about)))
    VALIDATOR.validate(value)
    keys_in_schema(value, SCHEMA["$defs"]["WhoLine"])
    assert (value["type"], value["schema"], value["known"]) == ("who", 1, about.known)
    assert ("listeners" in value, "left_out" in value) == (bool(about.listeners), bool(about.left_out))


def test_what_was_asked_stands_in_the_line() -> None:
    """Port, address and pid, those that were asked for."""
    value = who_line(found(Question(port=80, address="::1")))
    assert (value.port, value.address, value.pid) == (80, "::1", None)
    assert who_line(found(Question(pid=7))).pid == 7
