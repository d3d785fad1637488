"""What the demo plays, in its order: each scene makes resets of one story, with the causes that it says.

Scenes are played one after the other and leave nothing behind that would reset later.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from whyreset.demo import closings, ports, strangers
from whyreset.demo.stage import Stage


class Scene(Struct, frozen=True):
    """One story."""

    name: str
    #: What happens, as a person would tell it.
    text: str
    #: The causes of the resets that are sent.
    causes: tuple[str, ...]
    play: Callable[[Stage], None]


#: In the order in which they are played.
SCENES = (
    Scene(
        "crash",
        "api crashes (SIGSEGV) and nobody starts it again: its client web is refused, ten times",
        ("closed-port",),
        ports.crash,
    ),
    Scene("monitoring", "prometheus asks for an exporter that was never installed", ("closed-port",), ports.monitoring),
    Scene("upload", "uploads refuses backup's file before it has read it", ("unread-data",), closings.upload),
    Scene(
        "killed",
        "a worker of shop is killed (SIGKILL) before it has read its requests",
        ("unread-data",),
        closings.killed,
    ),
    Scene(
        "stale",
        "web sends requests on idle connections that api has closed already",
        ("data-after-close",),
        closings.stale,
    ),
    Scene("impatient", "balancer drops idle clients by SO_LINGER 0", ("linger-zero",), closings.impatient),
    Scene(
        "full-queue",
        "more clients come than tickets accepts: its queue overflows",
        ("accept-queue-full",),
        ports.full_queue,
    ),
    Scene("deploy", "shop is stopped while clients wait to be accepted", ("not-accepted",), ports.deploy),
    Scene("scan", "scanner tries forty ports, one after the other", ("closed-port",), strangers.scan),
    Scene("probe", "scanner sends segments as no stack sends them (FIN, Xmas, NULL)", ("scan-probe",), strangers.probe),
    Scene(
        "lost-state",
        "database has lost its connections, and web goes on with them",
        ("half-open",),
        strangers.lost_state,
    ),
    Scene(
        "unreachable", "a phone goes out of reach, and push gives it up", ("keepalive-timeout",), strangers.unreachable
    ),
    Scene("download", "a browser leaves before it has read its download", ("unread-data",), closings.download),
    Scene("disconnect", "pooler drops its connection by connect(AF_UNSPEC)", ("disconnect",), closings.disconnect),
    Scene("destroyed", "an administrator cuts a session of desktop (ss -K)", ("destroyed",), closings.destroyed),
    Scene(
        "same-port",
        "mail is gone and backup comes again from the port it had a moment ago",
        ("time-wait-reuse", "closed-port"),
        ports.same_port,
    ),
)
