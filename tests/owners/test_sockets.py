"""Whose socket it was: what decides, in which order, and what is never guessed."""

from typing import Any, cast

import pytest
from msgspec.structs import replace

from whyreset.model import Facts, Listener, ListenerEnd, Owner, Process, ProcessEnd, Record
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes
from whyreset.owners.sockets import Key, Owners

NETNS, PORT = 77, 8080
OPENER, CLOSER, SERVER = (11, 10), (12, 20), (3, 30)


class Table:
    """A table of processes as far as owners ask it."""

    def __init__(self) -> None:
        self.known: dict[Key, Process] = {}

    def seen(self, process: Process) -> None:
        """A process was told of."""
        self.known[process.pid, process.start_ns] = process

    def note(self, process: Process) -> None:
        """A process was found in passing."""
        self.known.setdefault((process.pid, process.start_ns), process)

    def ended(self, end: ProcessEnd) -> None:
        """A process has ended."""
        key = (end.pid, end.start_ns)
        if key in self.known:
            self.known[key] = replace(self.known[key], exit_code=end.exit_code, ended_ns=end.time_ns)

    def get(self, key: Key) -> Process | None:
        """Who that is."""
        return self.known.get(key)

    def refresh(self, key: Key, now_ns: int) -> Process | None:
        """Who that is by now."""
        assert now_ns > 0
        return self.get(key)

    def alive(self, key: Key) -> bool:
        """Whether it still lives, as far as known."""
        return key in self.known and self.known[key].exit_code is None


def process(key: Key, comm: str) -> Process:
    """A process."""
    return Process(pid=key[0], start_ns=key[1], comm=comm)


def listener(**fields: Any) -> Listener:
    """The server's listener, since moment 100."""
    return Listener(
        **{
            "netns_cookie": NETNS,
            "port": PORT,
            "address": "0.0.0.0",
            "family": 2,
            "ipv6_only": False,
            "socket_cookie": 5,
            "owner": SERVER,
            "since_ns": 100,
            **fields,
        }
    )


def end(time_ns: int = 200, exit_code: int | None = None, cookie: int = 5) -> ListenerEnd:
    """The listener's end."""
    return ListenerEnd(
        netns_cookie=NETNS,
        socket_cookie=cookie,
        time_ns=time_ns,
        closer=SERVER,
        exit_code=exit_code,
        out_of_memory=False,
    )


def record(**fields: Any) -> Record:
    """A reset at moment 300 that nothing is known of."""
    return Record(
        **{
            "number": 0,
            "netns": 0,
            "time_ns": 300,
            "direction": "sent",
            "netns_cookie": NETNS,
            "family": 2,
            "local": "192.0.2.2",
            "local_port": PORT,
            "remote": "192.0.2.1",
            "remote_port": 50000,
            **fields,
        }
    )


def owners(*events: Listener | ListenerEnd | Process | ProcessEnd) -> Owners:
    """What is known when three processes and these events are."""
    out = Owners(cast(Processes, Table()), Lives())
    out.learn([process(OPENER, "opener"), process(CLOSER, "closer"), process(SERVER, "server"), *events])
    return out


def told(found: tuple[Owner | None, Listener | None]) -> tuple[str, str] | None:
    """Name and way; None for nobody."""
    owner, _ = found
    return (owner.process.comm, owner.via) if owner else None


CLOSED = {"closer": CLOSER}
MADE = {"in_closer": True, "released": True}
DECISIONS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str] | None]] = {
    "the kernel program recorded the owner": (
        {"owner": OPENER, "owner_via": "connect", **CLOSED},
        {"state": "CLOSE", "active_open": True, **MADE},
        ("opener", "connect"),
    ),
    "the owner goes before the listener": (
        {"owner": OPENER, "owner_via": "reader"},
        {"state": "ESTABLISHED"},
        ("opener", "reader"),
    ),
    "a socket of the kernel's own is whose call closed it": (
        CLOSED,
        {"state": "ESTABLISHED", "kernel_socket": True, "in_closer": True},
        ("closer", "closer"),
    ),
    "who closed what it had accepted": (CLOSED, {"state": "CLOSE", **MADE}, ("closer", "closer")),
    "a call on an open socket may come from anyone": (
        CLOSED,
        {"state": "ESTABLISHED", "in_closer": True},
        ("server", "listener"),
    ),
    "a task that merely ran is not the closer": (CLOSED, {"state": "CLOSE", "released": True}, ("server", "listener")),
    "what this host opened has nothing to do with listeners": ({}, {"state": "ESTABLISHED", "active_open": True}, None),
    "accepted, by a listener of then": ({"opened_ns": 150}, {"state": "ESTABLISHED"}, ("server", "listener")),
    "accepted before the listener of now": ({"opened_ns": 50}, {"state": "ESTABLISHED"}, None),
    "a segment at the listener": ({}, {"state": "LISTEN"}, ("server", "listener")),
    "a segment of a remembered connection": ({"opened_ns": 150}, {"ended": "silent"}, ("server", "listener")),
    "a closed port while somebody listens elsewhere": ({"local": "192.0.2.2"}, {}, None),
}


@pytest.mark.parametrize(("fields", "facts", "expected"), DECISIONS.values(), ids=list(DECISIONS))
def test_who_owned_the_socket(fields: dict[str, Any], facts: dict[str, Any], expected: tuple[str, str] | None) -> None:
    """The best that is known decides; where nothing is known nobody is named."""
    found = owners(listener()).owner(record(**fields), Facts(direction="sent", **facts))
    assert told(found) == expected


def test_siblings_are_told_apart_by_their_cookie_or_not_at_all() -> None:
    """Two processes listen on one port: the record names the listener, or it is only one of them."""
    known = owners(listener(), listener(socket_cookie=6, owner=OPENER))
    facts = Facts(direction="received", state="ESTABLISHED")
    assert told(known.owner(record(opened_ns=150, listener_cookie=5), facts)) == ("server", "listener")
    assert told(known.owner(record(opened_ns=150, listener_cookie=6), facts)) == ("opener", "listener")
    unknown, _ = known.owner(record(opened_ns=150), facts)
    assert unknown is not None
    assert unknown.via == "one of the listeners"
    assert told(known.owner(record(opened_ns=150, listener_cookie=7), facts)) is None


def test_a_kernel_thread_that_clears_away_is_no_owner() -> None:
    """It closed what a process had left behind."""
    known = owners(listener(), Process(pid=9, start_ns=90, comm="kworker/0:1", parent_pid=2))
    found = known.owner(record(closer=(9, 90)), Facts(direction="sent", state="CLOSE", in_closer=True, released=True))
    assert told(found) == ("server", "listener")


FORMER: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str] | None]] = {
    "a closed port": ({}, {}, ("server", "former listener")),
    "a closed port before the listener ended": ({"time_ns": 199}, {}, None),
    "a closed port of another namespace": ({"netns_cookie": NETNS + 1}, {}, None),
    "another closed port": ({"local_port": PORT + 1}, {}, None),
    "a connection that outlived its listener": ({"opened_ns": 150}, {"state": "CLOSE"}, ("server", "listener")),
    "a connection opened after the listener's end": ({"opened_ns": 250}, {"state": "CLOSE"}, None),
    "the remembered connection of a listener of then": (
        {"opened_ns": 150},
        {"ended": "silent"},
        ("server", "listener"),
    ),
    "a remembered connection that nobody served": (
        {"opened_ns": 50},
        {"ended": "silent"},
        ("server", "former listener"),
    ),
}


@pytest.mark.parametrize(("fields", "facts", "expected"), FORMER.values(), ids=list(FORMER))
def test_who_listened_before(fields: dict[str, Any], facts: dict[str, Any], expected: tuple[str, str] | None) -> None:
    """A closed port names its former owner; a connection names the listener of the time when it was opened."""
    found = owners(listener(), end()).owner(record(**fields), Facts(direction="sent", **facts))
    assert told(found) == expected


def test_a_listener_of_another_address_is_not_the_former_owner() -> None:
    """What listened on loopback alone never served the address that the segment came for."""
    known = owners(listener(address="127.0.0.1"), end())
    assert told(known.owner(record(), Facts(direction="sent"))) is None
    assert told(known.owner(record(local="127.0.0.1"), Facts(direction="sent"))) == ("server", "former listener")


@pytest.mark.parametrize("facts", [{"state": "LISTEN"}, {}])
def test_the_listener_that_led_to_the_owner_is_told_too(facts: dict[str, Any]) -> None:
    """How it ended belongs into the evidence."""
    known = owners(listener(), *([] if facts else [end(exit_code=9)]))
    _, found = known.owner(record(), Facts(direction="sent", **facts))
    assert found is not None
    assert found.exit_code == (None if facts else 9)


def test_an_owner_says_whether_it_lives() -> None:
    """A process that ended is still the owner, and gone."""
    known = owners(listener())
    facts = Facts(direction="sent", state="LISTEN")
    owner, _ = known.owner(record(), facts)
    assert owner is not None
    assert owner.alive
    known.learn([ProcessEnd(pid=3, start_ns=30, exit_code=9, out_of_memory=False, time_ns=250)])
    owner, _ = known.owner(record(), facts)
    assert owner is not None
    assert not owner.alive
    assert owner.process.exit_code == 9


def test_a_closer_that_was_exiting_is_gone_though_its_exit_was_not_told() -> None:
    """A listener closed by an exiting task ends that task's process too."""
    known = owners(listener(), end(exit_code=11))
    owner, _ = known.owner(record(), Facts(direction="sent"))
    assert owner is not None
    assert (owner.alive, owner.process.exit_code) == (False, 11)


def test_a_closer_that_goes_on_is_not_gone() -> None:
    """Closing a listener is not dying."""
    owner, _ = owners(listener(), end()).owner(record(), Facts(direction="sent"))
    assert owner is not None
    assert owner.alive


def test_an_owner_of_whom_nothing_was_told_is_at_least_a_pid() -> None:
    """Pid and start are the record's own."""
    owner, _ = owners().owner(record(owner=(99, 7), owner_via="connect"), Facts(direction="sent"))
    assert owner is not None
    assert (owner.process, owner.alive) == (Process(pid=99, start_ns=7), False)


def test_a_pid_used_again_is_another_process() -> None:
    """The server's pid with another start is not the server."""
    owner, _ = owners().owner(record(owner=(3, 31), owner_via="connect"), Facts(direction="sent"))
    assert owner is not None
    assert owner.process.comm == ""


def test_the_walk_over_open_files_tells_listeners_and_holders() -> None:
    """What was open before watching began has owners too; of several holders the youngest serves a connection."""
    known = Owners(cast(Processes, Table()), Lives())
    first, second = process((8, 1), "master"), process((9, 2), "worker")
    known.hold(
        [
            (first, 5, listener(since_ns=0, owner=(8, 1))),
            (second, 5, listener(since_ns=0, owner=(9, 2))),
            (first, 6, None),
            (second, 6, None),
        ],
        wanted={6},
    )
    served, _ = known.owner(record(socket_cookie=6), Facts(direction="received", state="ESTABLISHED"))
    assert served is not None
    assert (served.process.comm, served.via) == ("worker", "open file")
    owner, found = known.owner(record(), Facts(direction="sent", state="LISTEN"))
    assert owner is not None
    assert found is not None
    assert (owner.process.comm, found.holders) == ("master", ((9, 2),))


def test_the_walk_does_not_replace_what_is_known_better() -> None:
    """A process that the kernel program told of keeps its unit and command line."""
    known = owners(Process(pid=3, start_ns=30, comm="server", unit="server.service"))
    known.hold([(process(SERVER, "server"), 5, listener())])
    found = known.process(SERVER, 1)
    assert found.unit == "server.service"


def test_who_accepted_owns_what_nobody_else_is_known_to_use() -> None:
    """A connection may have been passed on: who holds it or closes it goes before who accepted it."""
    known = owners(listener())
    accepted = record(owner=OPENER, owner_via="accept", socket_cookie=9)
    open_facts = Facts(direction="received", state="ESTABLISHED")
    assert told(known.owner(accepted, open_facts)) == ("opener", "accept")
    closed = replace(accepted, closer=CLOSER)
    assert told(known.owner(closed, Facts(direction="sent", state="CLOSE", in_closer=True, released=True))) == (
        "closer",
        "closer",
    )
    known.hold([(process(SERVER, "server"), 9, None)], {9})
    assert told(known.owner(accepted, open_facts)) == ("server", "open file")


def test_who_listens_on_a_socket_is_known_by_its_cookie_while_it_lives() -> None:
    """A look at queues names sockets so."""
    known = owners(process(SERVER, "server"), listener())
    found = known.listening(5, 150)
    assert found is not None
    assert (found.process.comm, found.via) == ("server", "listener")
    assert known.listening(6, 150) is None
    known.learn([end()])
    assert known.listening(5, 250) is None
