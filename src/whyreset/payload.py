"""What a reset says of itself in its payload: text (RFC 9293 section 3.5.3), or a diagnostic payload.

draft-ietf-tcpm-rst-diagnostic-payload has a reason code in eight bytes; earlier versions of it also a description in
UTF-8 behind another magic number. Whoever sent the reset wrote it: it is shown, escaped, and proves nothing.
"""

from __future__ import annotations

#: What is shown of a text at most, in characters.
TEXT_MAX = 80

_CODED, _DESCRIBED = b"\x33\xaa", b"\xf3\x17"
_CODED_BYTES = 8
#: The registry «TCP Failure Causes», as the draft fills it.
CAUSES = {
    1: "illegal option length",
    2: "desynchronized state",
    3: "new data is received after CLOSE is called",
    4: "ABORT process",
    5: "unexpected ACK received by non-synchronized state connection",
    6: "unexpected SYN in the window",
    7: "unexpected security compartment",
    8: "malformed message",
    9: "not authorized",
    10: "resource exceeded",
    11: "network failure",
    12: "reset received from the peer",
    13: "destination unreachable",
    14: "connection timeout",
    15: "too much outstanding data",
    16: "unacceptable performance",
    17: "middlebox interference",
}


def meaning(payload: bytes, length: int) -> str:
    """What the payload of a reset says, in words; "" where it says nothing that can be read. Not escaped.

    Args:
        payload: its first bytes, as far as they were captured.
        length: how many it had.
    """
    if payload.startswith(_CODED):
        if not length == _CODED_BYTES == len(payload):
            return ""
        code, enterprise = int.from_bytes(payload[2:4]), int.from_bytes(payload[4:8])
        if enterprise:
            return f"reason {code} of enterprise {enterprise}"
        return CAUSES.get(code, f"reason {code}, newer than this program")
    if payload.startswith(_DESCRIBED):
        payload = payload[2:]
    return _text(payload.rstrip(b"\0\r\n"))


def _text(payload: bytes) -> str:
    """The payload as text; "" where it is none, or was cut in the middle of what is none."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        if error.start < len(payload) - 3:  # not merely cut within its last character
            return ""
        text = payload[: error.start].decode()
    if sum(char.isprintable() or char.isspace() for char in text) < len(text) * 0.9:
        return ""
    text = " ".join(text.split())
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
