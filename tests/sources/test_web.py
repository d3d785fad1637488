"""One HTTP server that a user named: it is asked, and no other; whatever it answers ends in a value or one sentence."""

import base64
import socket
import threading

import pytest
from msgspec import Struct

from tests import needs
from tests.hosts import Host
from tests.stored.server import Answer, Answering
from whyreset.sources import web
from whyreset.sources.base import SourceError
from whyreset.sources.web import Refused, Server


class Told(Struct):
    word: str


def ask(answer: Answer) -> Told:
    """What is read of that answer."""
    needs.root()
    with Answering(lambda target, headers: answer) as server, server.host.inside():
        return Server(server.url, "a teller").ask("/api", {"a": "b c|d"}, Told)


def test_an_answer_is_read() -> None:
    """Whatever else it holds."""
    assert ask((200, {}, b'{"word": "x", "more": [1]}')).word == "x"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"word": 1}', b"[]", b"[" * 100_000, b"\xff\xfe", b'{"word": "x"', b'{"word": NaN}']
)
def test_what_is_no_answer_gives_a_sentence(body: bytes) -> None:
    """Also what is nested without end."""
    with pytest.raises(SourceError, match=r"^http://127.0.0.1:\d+ does not answer as a teller does$"):
        ask((200, {}, body))


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://other.example:8443/x?token=secret", " to https://other.example:8443/x,"),
        ("http://user:secret@other.example/", " to http://other.example/,"),
        ("/login?next=secret", " to its path /login,"),
        ("http://[", ","),
    ],
)
def test_a_redirect_is_not_followed(location: str, said: str) -> None:
    """It says where it leads, without what may be secret."""
    with pytest.raises(Refused, match="redirects") as caught:
        ask((302, {"Location": location}, b""))
    assert f"redirects{said} and redirects are not followed" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_credentials_go_into_a_header_and_nowhere_else() -> None:
    """Percent signs are decoded, as the user's password has them."""
    needs.root()
    seen: list[dict[str, str]] = []

    def answer(_: str, headers: dict[str, str]) -> Answer:
        seen.append(headers)
        return 401, {}, b""

    with Answering(answer) as server, server.host.inside():
        asked = Server(server.url.replace("//", "//ann:s%40cret@"), "a teller")
        with pytest.raises(Refused) as caught:
            asked.ask("/", {}, Told)
        assert server.asked == ["/"]
    assert seen[0]["Authorization"] == f"Basic {base64.b64encode(b'ann:s@cret').decode()}"
    assert "cret" not in str(caught.value) + asked.where
    assert "does not take these credentials" in str(caught.value)


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its size."""
    monkeypatch.setattr(web, "MOST_BYTES", 1 << 20)
    with pytest.raises(SourceError, match="answers with more than 1 MB"):
        ask((200, {}, b" " * (3 << 20)))


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx", b"", b"\0" * 70_000]
)
def test_what_speaks_no_http_gives_a_sentence(said: bytes) -> None:
    """Also an answer that breaks off, and none at all."""
    needs.root()
    with Host("speechless") as host, host.inside(), socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SourceError, match=r"^http://127.0.0.1:\d+ "):
            Server(f"http://127.0.0.1:{listener.getsockname()[1]}", "a teller").ask("/", {}, Told)
        thread.join()


def test_a_server_that_is_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that it has."""
    needs.root()
    monkeypatch.setattr(web, "_PATIENCE", 0.2)
    with Host("silent") as host, host.inside(), socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SourceError, match="does not answer within"):
            Server(url, "a teller").ask("/", {}, Told)
        with pytest.raises(SourceError, match=r"cannot be trusted or speaks no TLS|does not answer"):
            Server(url.replace("http:", "https:"), "a teller").ask("/", {}, Told)


def test_nobody_there_is_one_sentence() -> None:
    """With the kernel's reason."""
    needs.root()
    with (
        Host("empty") as host,
        host.inside(),
        pytest.raises(SourceError, match=r"cannot be reached: Connection refused$"),
    ):
        Server("http://127.0.0.1:9", "a teller").ask("/", {}, Told)


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:19999", "ftp://localhost", "http://", "http://[::1", "http://h:99999", "http://h:x"),
        *("http://a b", "http://a\nb", "http://ü", "http://h/?a=b", "http://h/#x", "file:///etc/passwd"),
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(SourceError) as caught:
        Server(url, "a teller")
    assert "passwd" not in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_an_address_is_shown_without_what_is_secret() -> None:
    """Scheme, host, port where it is not the usual one, and path."""
    assert Server("https://u:p@[::1]:443/netdata/", "x").where == "https://[::1]/netdata"
    assert Server("http://h:443", "x").where == "http://h:443"
