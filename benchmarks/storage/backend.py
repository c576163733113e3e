"""A backend in a process of its own: answers after a while, or takes connections and is silent."""

from __future__ import annotations

import argparse
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
        self.taken = 0
        self.counting = threading.Lock()

    def handle_error(self, *args: object) -> None:
        """Be quiet: clients that are killed break their connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take an event."""
        self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if isinstance(server, _Server):
            time.sleep(server.delay)
            with server.counting:
                server.taken += 1
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Tell how many events were taken."""
        body = str(getattr(self.server, "taken", 0)).encode()
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
