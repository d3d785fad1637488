"""An HTTP server on the loopback device of a network namespace of its own, that answers as it was told to."""

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.hosts import Host

#: Status, headers, body.
Answer = tuple[int, dict[str, str], bytes]


class Answering:
    """Answers GETs. Use as a context manager; `host` is where it can be reached.

    Args:
        answer: what it answers to a target (path and query), and to these headers.
    """

    def __init__(self, answer: Callable[[str, dict[str, str]], Answer]) -> None:
        self.host = Host("answering")
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, headers, body = answer(self.path, dict(self.headers))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    return  # it has heard enough

            def log_message(self, *_: object) -> None:
                """It is quiet."""

        with self.host.inside():
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.host.close()


#: What of a target says which time is asked for: a range selector, or parameters.
_TIMES = re.compile(r"%5B[0-9]+s%5D|&(?:time|after|before|start|end)=[0-9]+")


def recorded(answers: dict[str, str]) -> Callable[[str, dict[str, str]], Answer]:
    """What was recorded, by target; a status stands for a refusal. Of some times asked for, the longest is given."""
    longest: dict[str, str] = {}
    for target, body in sorted(answers.items(), key=lambda each: len(each[1])):
        longest[_TIMES.sub("", target)] = body

    def answer(target: str, _: dict[str, str]) -> Answer:
        body = longest.get(_TIMES.sub("", target), "404")
        return (int(body), {}, b"no") if body.isdigit() else (200, {}, body.encode())

    return answer
