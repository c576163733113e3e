"""A backend in a process of its own: answers after a while, or takes connections and is silent.

Asked, it tells what it took, as JSON; `benchmarks.backends.Receipt` says what that means.
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


class _Server(ThreadingHTTPServer):
    """Counts what it took.

    Args:
        delay: before each answer, in seconds.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay = delay
        self._taken = 0
        self._distinct: set[bytes] = set()
        self._materializations = 0
        self._first = self._last = 0.0
        self._counting = threading.Lock()

    def take(self, body: bytes) -> None:
        """Count an event.

        Args:
            body: the event.
        """
        arrived = time.monotonic()
        digest = hashlib.blake2b(body, digest_size=16).digest()
        event = json.loads(body)
        tells_of_one = event.get("eventType") == "COMPLETE" and bool(event.get("outputs"))
        with self._counting:
            self._first = self._first or arrived
            self._last = arrived
            self._taken += 1
            if digest not in self._distinct:
                self._distinct.add(digest)
                self._materializations += tells_of_one

    def receipt(self) -> dict[str, float]:
        """Tell what was taken.

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

    def handle_error(self, *args: object) -> None:
        """Be quiet: clients that are killed break their connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take an event."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if isinstance(server, _Server):
            time.sleep(server.delay)
            server.take(body)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Tell what was taken."""
        server = self.server
        body = json.dumps(server.receipt() if isinstance(server, _Server) else {}).encode()
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
    behaviour.add_argument("--delay", type=float, help="before each answer, in seconds")
    behaviour.add_argument("--silent", action="store_true", help="never answer")
    options = parser.parse_args()
    if options.silent:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        _announce(listener.getsockname()[1])
        connections = []
        while True:
            # Kept, or they would be closed.
            connections.append(listener.accept()[0])
    server = _Server(options.delay)
    _announce(server.server_port)
    server.serve_forever()


def _announce(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
