"""A real HTTP backend for tests, which can be told to refuse, to be slow, to hang, to go away."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any

import pytest

import every_event_is_valid

Json = dict[str, Any]

WITHOUT_A_WORD = 0
"""In place of a status: the event is taken, and the connection closed."""


DRIPPING = 1
"""In place of a status: the event is not taken, and an answer of 201 comes byte by byte."""

DRIP_SECONDS = 0.2

_DRIPS = {
    WITHOUT_A_WORD: b"",
    DRIPPING: b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
}


class Receiver:
    """Takes events at `/api/v1/lineage` on a free port of this machine.

    Attributes:
        events: what was taken, in the order of arrival.
        keep: what is done with an event that was taken; by default it is added to `events`.
        headers: of the last request.
        answer: decides the status of each event; 201 by default.
        delay: before each event is looked at, in seconds; or what gives it for each event.
        body: what a refusal says.
        location: where an answer of 3xx leads.
        released: cleared, it lets requests wait for an answer.
        hold: how long they wait at most, in seconds.
    """

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.keep: Callable[[Json], None] = self.events.append
        self.headers: Mapping[str, str] = {}
        self.requests = 0
        self.answer: Callable[[Json], int] = lambda _: 201
        self.delay: float | Callable[[], float] = 0.0
        self.body = "no"
        self.location = ""
        self.hold = 60.0
        self.released = threading.Event()
        self.released.set()
        self._arrived = threading.Condition()
        self._connections: set[socket.socket] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._connections.add(self.connection)

            def finish(self) -> None:
                receiver._connections.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"] or 0)
                body = self.rfile.read(length)
                if not body or len(body) < length:
                    # Whoever was sending it has been killed.
                    self.close_connection = True
                    return
                is_compressed = self.headers["Content-Encoding"] == "gzip"
                event = json.loads(gzip.decompress(body) if is_compressed else body)
                receiver.headers = dict(self.headers)
                receiver.released.wait(receiver.hold)
                delay = receiver.delay
                time.sleep(delay() if callable(delay) else delay)
                status = receiver.take(event)
                if status in _DRIPS:
                    self.close_connection = True
                    _drip(self.wfile, _DRIPS[status])
                    return
                answer = receiver.body.encode() if status >= 400 else b""
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    if 300 <= status < 400:
                        self.send_header("Location", receiver.location)
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                """Be quiet."""

        self._handler = Handler
        self._server = _bound(0, Handler)
        self._is_listening = False
        self.listen()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def listen(self) -> None:
        """Take connections, if it does not yet or no longer."""
        if self._is_listening:
            return
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._is_listening = True

    def go_away(self) -> None:
        """Break all connections and refuse new ones, until `listen`."""
        self._stop_listening()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # It is bound and does not listen: nobody else gets the port, and connections are refused.
        self._server = _bound(self._server.server_port, self._handler)

    def _stop_listening(self) -> None:
        if self._is_listening:
            self._server.shutdown()
            self._is_listening = False
        self._server.server_close()

    @property
    def is_connected(self) -> bool:
        """Whether anybody holds a connection to it."""
        return bool(self._connections)

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
            if status < 300 and status != DRIPPING:
                self.keep(event)
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
        self._stop_listening()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Whoever sends may be killed.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _drip(file: BufferedIOBase, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        for byte in answer:
            file.write(bytes([byte]))
            time.sleep(DRIP_SECONDS)


def _bound(port: int, handler: type[BaseHTTPRequestHandler]) -> _Server:
    server = _Server(("127.0.0.1", port), handler, bind_and_activate=False)
    server.server_bind()
    return server


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    """The client writes into `os.environ` when it is made, and the sensor keeps its clients."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if "openlineage_dagster_sensor.sensor" in sys.modules:
        sys.modules["openlineage_dagster_sensor.sensor"]._clients.cache_clear()  # noqa: SLF001


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A backend that the environment points to; what it took is validated at the end."""
    receiver = Receiver()
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    yield receiver
    receiver.close()
    for event in receiver.events:
        every_event_is_valid.check(event)
