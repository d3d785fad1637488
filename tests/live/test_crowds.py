"""Processes that come and go by the thousands while watching: they are named, and cost a bounded memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests import needs
from tests.hosts import Host, Watch
from tests.hosts.crowd import brief_lives

MANY = 10_000
#: So many of them are named also where we seldom run.
FEW = 1_000
CLOSED = 9
#: What is kept fills up within the first ten thousand: processes, resets for their twins; closed connections later.
MOST_MORE_KIB = 16 << 10

Line = dict[str, Any]


def resident_kib(watch: Watch) -> int:
    """Resident memory of the running command."""
    status = Path(f"/proc/{watch.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def account(watch: Watch, host: Host, counted: int) -> Line:
    """The account of a host that holds all that its kernel has counted."""

    def whole(lines: Iterable[Line]) -> Line | None:
        mine = (line for line in lines if line["type"] == "count" and line["netns_cookie"] == host.cookie)
        return next((line for line in mine if line["counted"] == line["seen"] + line["lost"] == counted), None)

    return watch.wait(whole, timeout=30)


def test_ten_thousand_short_lives_are_named_and_forgotten(machine: None) -> None:
    """Each is refused once and ends: all are accounted for, many are named, and as many again cost no memory more."""
    needs.command("curl")
    with Host("a") as host, Watch() as watch:
        brief_lives(host, MANY, CLOSED)
        account(watch, host, MANY)
        before = resident_kib(watch)
        brief_lives(host, MANY, CLOSED)
        last = account(watch, host, 2 * MANY)
        assert resident_kib(watch) - before < MOST_MORE_KIB
        assert last["unseen"] == last["uncounted"] == last["unknown"] == 0
        owners = [line.get("owner", {}) for line in watch.resets(host) if line["direction"] == "received"]
        named = [owner["pid"] for owner in owners if owner.get("comm") == "brief"]
        assert len(set(named)) == len(named) > FEW
        # who is not named was one of too many at once, or came while we could not run: that is said
        told = {line.get("name") for line in watch.losses()}
        assert len(named) == len(owners) or told & {"crowded", "lives-lost"}
        # and they hide nobody
        curl = host.run("curl", "--silent", f"http://127.0.0.1:{CLOSED}/", check=False)
        line = watch.settle(host)[-1]
        assert (line["owner"]["pid"], line["owner"]["comm"]) == (curl.pid, "curl")
