"""Asks one HTTP server that the user named, and no other: bounded in time and size, no redirect, no proxy.

A user and password in the address go into a header and are never shown.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

import msgspec

from whyreset.sources.base import SourceError

_T = TypeVar("_T")

#: Of one answer.
MOST_BYTES = 32 << 20
#: For a connection and between two reads, and for a whole answer, seconds.
_PATIENCE = 10.0
_WHOLE_PATIENCE = 60.0
_PORTS = {"http": 80, "https": 443}
_WHERE_MAX = 200


class Refused(SourceError):
    """The server answered, and not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """One server. Use as a context manager.

    Args:
        url: http or https, with a path before the API's where it has one.
        what: what it should be, for the user: "a Netdata".

    Raises:
        SourceError: the address cannot be one.
    """

    def __init__(self, url: str, what: str) -> None:
        self._what = what
        parts, port = _parts(url)
        self._host, self._port, self._secure = parts.hostname or "", port, parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        shown = f"[{self._host}]" if ":" in self._host else self._host
        #: The address without credentials.
        self.where = f"{parts.scheme}://{shown}{'' if port == _PORTS[parts.scheme] else f':{port}'}{self._base}"
        #: The path before the API's.
        self.path = self._base
        self._headers = {"Accept": "application/json", "User-Agent": "whyreset"}
        self._has_credentials = parts.username is not None
        if parts.username is not None:
            words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; harmless when called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, path: str, parameters: dict[str, str], form: type[_T]) -> _T:
        """What it answers to a GET.

        Raises:
            Refused: it answered with another status than 200.
            SourceError: it cannot be reached, or what it answers is not of that form.
        """
        body = self._body(f"{self._base}{path}{'?' if parameters else ''}{urlencode(parameters)}")
        try:
            return msgspec.json.decode(body, type=form)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{self.where} does not answer as {self._what} does") from error

    def text(self, path: str) -> str:
        """What it answers to a GET, as text. Raises as `ask`."""
        return self._body(f"{self._base}{path}").decode("utf-8", "replace")

    def _body(self, target: str) -> bytes:
        try:
            return self._get(target)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "TLS fails"
            raise SourceError(f"{self.where} cannot be trusted or speaks no TLS: {reason}") from error
        except TimeoutError as error:
            raise SourceError(f"{self.where} does not answer within {_PATIENCE:.0f} s") from error
        except socket.gaierror as error:
            raise SourceError(f"{self.where}: the name {self._host} is not known") from error
        except OSError as error:
            raise SourceError(f"{self.where} cannot be reached: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise SourceError(f"{self.where} does not speak HTTP") from error
        finally:
            self.close()

    def _get(self, target: str) -> bytes:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._connection = connection = kind(self._host, self._port, timeout=_PATIENCE)
        connection.request("GET", target, headers=self._headers)
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise Refused(answer.status, self._refusal(answer.status, answer.getheader("Location")))
            return self._read(answer)

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        deadline = time.monotonic() + _WHOLE_PATIENCE
        parts, room = [], MOST_BYTES
        while part := answer.read1(1 << 16):
            parts.append(part)
            room -= len(part)
            if room < 0:
                raise SourceError(f"{self.where} answers with more than {MOST_BYTES >> 20} MB; ask for a shorter time")
            if time.monotonic() > deadline:
                raise TimeoutError
        return b"".join(parts)

    def _refusal(self, status: int, location: str | None) -> str:
        if status in (401, 403):
            wanted = "it wants credentials (user:password@ before the host)"
            hint = "it does not take these credentials" if self._has_credentials else wanted
            return f"{self.where} refuses ({status}): {hint}"
        if 300 <= status < 400:
            elsewhere = _elsewhere(location)
            return f"{self.where} redirects{elsewhere}, and redirects are not followed: name that address itself"
        return f"{self.where} does not answer as {self._what} does (status {status})"


def _parts(url: str) -> tuple[SplitResult, int]:
    """Raises SourceError; nothing of the address is quoted, for it may hold a password."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise SourceError("an address has no spaces and only ASCII; write others as %20 and so on")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SourceError("this address has no valid host or port") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SourceError("an address is http://HOST:PORT or https://HOST:PORT, with a path where the server has one")
    if parts.query or parts.fragment:
        raise SourceError("an address ends with its path: without ? and #")
    return parts, port or _PORTS[parts.scheme]


def _elsewhere(location: str | None) -> str:
    """Where a redirect leads, without credentials or query."""
    try:
        parts = urlsplit(location or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return f" to its path {parts.path[:_WHERE_MAX]}" if parts.path else ""
    return f" to {parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"[:_WHERE_MAX]


def is_local(where: str) -> bool:
    """Whether an address is this machine's own by its name."""
    host = urlsplit(where).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")
