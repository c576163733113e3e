"""A real HTTP backend for tests, which can be told to refuse, to be slow, or to hang."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import every_event_is_valid

Json = dict[str, Any]


class Receiver:
    """Takes events at `/api/v1/lineage` on a free port of this machine.

    Attributes:
        events: what was taken, in the order of arrival.
        headers: of the last request.
        answer: decides the status of each event; 201 by default.
        body: what a refusal says.
    """

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.headers: Mapping[str, str] = {}
        self.requests = 0
        self.answer: Callable[[Json], int] = lambda _: 201
        self.body = "no"
        self.released = threading.Event()
        self.released.set()
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # Whoever was sending it has been killed.
                    self.close_connection = True
                    return
                is_compressed = self.headers["Content-Encoding"] == "gzip"
                event = json.loads(gzip.decompress(body) if is_compressed else body)
                receiver.headers = dict(self.headers)
                receiver.released.wait(60)
                status = receiver.take(event)
                answer = receiver.body.encode() if status >= 400 else b""
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, event: Json) -> int:
        """Answer one event.

        Args:
            event: what was posted.

        Returns:
            The HTTP status.
        """
        with self._arrived:
            self.requests += 1
            status = self.answer(event)
            if status < 400:
                self.events.append(event)
            self._arrived.notify_all()
        return status

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait until the arrivals fulfil a condition.

        Args:
            condition: checked after each request.
            timeout: in seconds.

        Raises:
            AssertionError: it did not come true in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(condition, timeout):
                msg = f"waited {timeout} s; {len(self.events)} events, {self.requests} requests"
                raise AssertionError(msg)

    def close(self) -> None:
        """Stop listening."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    """The client writes into `os.environ` when it is made."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A backend that the environment points to; what it took is validated at the end."""
    receiver = Receiver()
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    yield receiver
    receiver.close()
    for event in receiver.events:
        every_event_is_valid.check(event)
