"""A backend in a process of its own: answers after a while, or accepts connections and is silent.

GET `/` returns what it took, and GET `/arrivals` when each event arrived, as JSON; see `backends`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ARRIVALS = "/arrivals"


class _Server(ThreadingHTTPServer):
    """Counts the events that it takes.

    Args:
        delay: seconds before each answer.
        keeps_arrivals: whether to keep the arrival time of each event.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, delay: float, *, keeps_arrivals: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay = delay
        self._keeps_arrivals = keeps_arrivals
        self._arrivals: list[tuple[float, str, str, str, str]] = []
        self._taken = 0
        self._distinct: set[bytes] = set()
        self._materializations = 0
        self._first = self._last = 0.0
        self._counting = threading.Lock()

    def take(self, body: bytes, arrived_at: float) -> None:
        """Count an event.

        Args:
            body: the event.
            arrived_at: when its last byte arrived, in seconds since the epoch.
        """
        taken_at = time.monotonic()
        digest = hashlib.blake2b(body, digest_size=16).digest()
        event = json.loads(body)
        is_materialization = event.get("eventType") == "COMPLETE" and bool(event.get("outputs"))
        with self._counting:
            self._first = self._first or taken_at
            self._last = taken_at
            self._taken += 1
            if self._keeps_arrivals:
                self._arrivals.append((arrived_at, *_identity(event)))
            if digest not in self._distinct:
                self._distinct.add(digest)
                self._materializations += is_materialization

    def receipt(self) -> dict[str, float]:
        """Return what was taken.

        Returns:
            The figures by name.
        """
        with self._counting:
            return {
                "taken": self._taken,
                "distinct": len(self._distinct),
                "materializations": self._materializations,
                "span": self._last - self._first,
                "cpu": time.process_time(),
            }

    def arrivals(self) -> list[tuple[float, str, str, str, str]]:
        """Return when each event arrived.

        Returns:
            Arrival time, event type, event time, job name and run id of each event.
        """
        with self._counting:
            return list(self._arrivals)

    def handle_error(self, *args: object) -> None:
        """Be quiet: clients that are killed break their connections."""


def _identity(event: dict[str, Any]) -> tuple[str, str, str, str]:
    return (
        event.get("eventType", ""),
        event["eventTime"],
        event.get("job", {}).get("name", ""),
        event.get("run", {}).get("runId", ""),
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take an event."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        arrived_at = time.time()
        server = self.server
        if isinstance(server, _Server):
            if server.delay:
                time.sleep(server.delay)
            server.take(body, arrived_at)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Return what was taken."""
        server = self.server
        content: object = {}
        if isinstance(server, _Server):
            content = server.arrivals() if self.path == ARRIVALS else server.receipt()
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Be quiet."""


def main() -> None:
    """Serve until the process is ended; the first line of the output is the port."""
    parser = argparse.ArgumentParser(description=__doc__)
    behaviour = parser.add_mutually_exclusive_group(required=True)
    behaviour.add_argument("--delay", type=float, help="seconds before each answer")
    behaviour.add_argument("--silent", action="store_true", help="never answer")
    parser.add_argument("--arrivals", action="store_true", help="keep when each event arrives")
    options = parser.parse_args()
    if options.silent:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        _announce(listener.getsockname()[1])
        connections = []
        while True:
            # Kept, or they would be closed.
            connections.append(listener.accept()[0])
    server = _Server(options.delay, keeps_arrivals=options.arrivals)
    _announce(server.server_port)
    server.serve_forever()


def _announce(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
