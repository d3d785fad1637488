"""A conversation of two, told segment by segment, as a capture."""

from __future__ import annotations

from typing import Any

from tests.core.packets import NOW, RAW, SECOND, analyze, ipv4, ipv6, pcap, tcp
from whyreset.core.segments import Analyzer
from whyreset.observation import Observation

MILLISECOND = SECOND // 1000
#: Initial sequence numbers of the client and of the server.
CLIENT, SERVER = 1000, 5000
#: Where their connection stands after the handshake: what each sends next.
C, S = CLIENT + 1, SERVER + 1


class Talk:
    """Packets between a client (10.0.0.1:40000) and a server (10.0.0.2:80), a millisecond apart unless said otherwise.

    Args:
        family: 4 or 6.
    """

    def __init__(self, family: int = 4) -> None:
        self._family = family
        self._packets: list[tuple[int, bytes]] = []
        self.now = NOW

    def client(
        self, flags: str, seq: int = C, ack: int = S, after: float = 0.001, port: int = 40000, **more: Any
    ) -> Talk:
        """A segment of the client, so many seconds after the one before."""
        return self._say(True, flags, seq, ack, after, port, more)

    def server(
        self, flags: str, seq: int = S, ack: int = C, after: float = 0.001, port: int = 40000, **more: Any
    ) -> Talk:
        """A segment of the server."""
        return self._say(False, flags, seq, ack, after, port, more)

    def handshake(self, **more: Any) -> Talk:
        """The three segments that open the connection."""
        self.client("S", CLIENT, 0, **more).server("SA", SERVER, C, **more)
        return self.client("A", **more)

    def _say(self, mine: bool, flags: str, seq: int, ack: int, after: float, port: int, more: dict[str, Any]) -> Talk:
        self.now += round(after * SECOND)
        fields = {name: more.pop(name) for name in ("ttl", "number") if name in more}
        if "A" not in flags:
            ack = 0
        ports = (port, 80) if mine else (80, port)
        segment = tcp(flags, sport=ports[0], dport=ports[1], seq=seq, ack=ack, **more)
        hosts = ("10.0.0.1", "10.0.0.2") if self._family == 4 else ("2001:db8::1", "2001:db8::2")
        src, dst = hosts if mine else hosts[::-1]
        fields = fields if self._family == 4 else {name: value for name, value in fields.items() if name != "number"}
        make = ipv4 if self._family == 4 else ipv6
        self._packets.append((self.now, make(segment, src=src, dst=dst, **fields)))
        return self

    @property
    def capture(self) -> bytes:
        """As a pcap of nanoseconds."""
        records = [pcap([data], RAW, magic=0xA1B23C4D, start_ns=when)[24:] for when, data in self._packets]
        return pcap([], RAW, magic=0xA1B23C4D) + b"".join(records)

    def analyze(self, **settings: Any) -> Analyzer:
        """Read by the core."""
        return analyze(self.capture, **settings)

    @property
    def resets(self) -> list[Observation]:
        """What the core tells, each reset by itself."""
        return [each.sample for each in self.analyze(each=True).take()]

    @property
    def reset(self) -> Observation:
        """The only reset."""
        (found,) = self.resets
        return found
