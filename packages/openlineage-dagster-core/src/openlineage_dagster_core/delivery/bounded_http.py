"""Bounds one HTTP request in time and size, and refuses redirects, for `requests` sessions.

The timeout of `requests` limits each wait for the next bytes, so a backend that drips one byte a
second holds a request for ever. `BoundedAdapter` gives a request a deadline instead: connecting,
sending and reading headers and body share the seconds that are left.

It hooks into urllib3 where urllib3 lets users do so: the pools of a pool manager, the connection
class of a pool, the response class of a connection. Where a version of urllib3 lacks one of them,
the timeout of `requests` remains, and the reading of the body is still bounded.
"""

import contextlib
import functools
import http.client
import io
import socket
import threading
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from openlineage_dagster_core.errors import BackendUnavailableError
from openlineage_dagster_core.validation import without_credentials

# Options of urllib3's `Retry`. The client's own five retries stall 9 s an event against a dead
# backend; the engine retries instead
NO_RETRIES: dict[str, Any] = {"total": 0}
ANSWER_BYTES = 8 * 1024  # Bytes read of an answer's body; a longer body closes the connection
SLACK_SECONDS = 0.05  # Seconds that a wait may end after the request's deadline
TARGET_CHARACTERS = 200  # Characters of a redirect's target that a message shows at most


class _Request(threading.local):
    """The request that a thread has under way."""

    # When it must have ended, on the monotonic clock; None for a request without a limit
    deadline: float | None = None


_request = _Request()


class BoundedAdapter(HTTPAdapter):
    """Sends requests once, each within its timeout, without following redirects.

    A name lookup cannot be interrupted: the system's resolver limits it, not the timeout.
    `answer_bytes` are read of an answer's body.
    """

    def __init__(self, answer_bytes: int = ANSWER_BYTES) -> None:
        self._answer_bytes = answer_bytes
        self._place: tuple[Any, ...] | None = None
        self._pool: Any = None
        super().__init__(max_retries=urllib3.Retry(**NO_RETRIES))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, with pools whose connections keep the deadline."""
        super().init_poolmanager(*args, **kwargs)
        _limit_connections(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool manager of a proxy, with pools whose connections keep the deadline."""
        manager = super().proxy_manager_for(*args, **kwargs)
        _limit_connections(manager)
        return manager

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool of a request, looked up once while requests go to one place."""
        place = (request.url, verify, proxies, cert)
        if place != self._place:
            self._pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._place = place
        return self._pool

    def close(self) -> None:
        """Close the connections."""
        self._place, self._pool = None, None
        super().close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 -- the signature is that of requests
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request within `timeout` seconds; return the answer's first `answer_bytes`.

        Raises BackendUnavailableError where the backend redirects or gives no final status, and
        requests.RequestException where it gives no answer.
        """
        is_limited = isinstance(timeout, (int, float))
        _request.deadline = time.monotonic() + timeout if is_limited else None
        try:
            response = super().send(
                request, stream=True, timeout=timeout, verify=verify, cert=cert, proxies=proxies
            )
            _read_beginning(response, self._answer_bytes)
        finally:
            _request.deadline = None
        check_status(response)
        return response


def check_status(response: requests.Response) -> None:
    """Raise BackendUnavailableError unless the status is 2xx, 4xx or 5xx.

    For a redirect the message names the target: following it would turn POST into GET, or send the
    event, the API key and the client certificate to an address that the user has not configured.
    """
    status = response.status_code
    if 200 <= status < 300 or 400 <= status < 600:
        return
    location = response.headers.get("Location")
    if not 300 <= status < 400 or location is None:
        message = f"HTTP {status}: not an answer that an OpenLineage backend gives"
        raise BackendUnavailableError(f"{message}; check OPENLINEAGE_URL", status)
    target = redirect_target(response.url or "", location)
    step = "set OPENLINEAGE_URL, or the url of the transport, to the final address"
    message = f"HTTP {status}: redirects to {target}; {step}"
    raise BackendUnavailableError(message, status)


def redirect_target(address: str, location: str) -> str:
    """Return where a `Location` header of an address leads, without credentials and query."""
    try:
        parts = urlsplit(urljoin(address, location))
    except ValueError:
        return "an address that is not valid"
    target = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return without_credentials(target)[:TARGET_CHARACTERS]


def _read_beginning(response: requests.Response, answer_bytes: int) -> None:
    """Read the beginning of an answer's body, and keep the connection where that is all of it.

    The body explains a status, for the log. It does not change what the status says, so an answer
    counts even where reading its body fails or takes too long.
    """
    raw: Any = response.raw
    content = b""
    with contextlib.suppress(Exception):
        content = raw.read(answer_bytes, decode_content=True)
    # urllib3 has taken the connection away from an answer that was read to its end.
    raw.close()
    raw.release_conn()
    # Older versions of urllib3 decode more than they are asked for.
    response._content = content[:answer_bytes]  # noqa: SLF001 -- as tests of requests do
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001


def _limit_connections(manager: Any) -> None:
    """Make a pool manager's connections keep the deadline of the request."""
    pools = getattr(manager, "pool_classes_by_scheme", None)
    if isinstance(pools, dict):
        limited = {scheme: _limited_pool(pool) for scheme, pool in pools.items()}
        manager.pool_classes_by_scheme = limited


@functools.cache
def _limited_pool(pool: type[Any]) -> type[Any]:
    """Derive a class of pools whose connections keep the deadline of the request."""
    connection: Any = getattr(pool, "ConnectionCls", None)
    is_known = isinstance(connection, type) and issubclass(connection, http.client.HTTPConnection)
    if not is_known or issubclass(connection, _LimitedConnection):
        return pool
    # The names appear in the messages of errors, so they stay as users know them.
    limited = type(connection.__name__, (_LimitedConnection, connection), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": limited})


class _LimitedResponse(http.client.HTTPResponse):
    """Reads status, headers and body before the request's deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if _request.deadline is not None and isinstance(self.fp, io.BufferedReader):
            reader = _LimitedReader(self.fp.detach(), sock, _request.deadline)
            self.fp = io.BufferedReader(reader)


class _LimitedConnection(http.client.HTTPConnection):
    """Connects and sends before the request's deadline; mixed into a connection of urllib3's."""

    response_class = _LimitedResponse

    # At a higher level the connection prints headers, and with them secrets.
    debuglevel = 0

    def _new_conn(self) -> socket.socket:
        """Open the socket. urllib3 gives each address of a host the whole timeout."""
        if _request.deadline is not None:
            self.timeout: Any = _seconds_left(_request.deadline) / self._count_addresses()
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        if _request.deadline is not None:
            # For the TLS handshake, which the socket's timeout limits as a whole.
            sock.settimeout(_seconds_left(_request.deadline))
        return sock

    def _count_addresses(self) -> int:
        # Connecting looks the name up again and reports the error.
        with contextlib.suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            return max(1, len(found))
        return 1

    def send(self, data: Any) -> None:
        """Send a part of the request; the socket's timeout limits it as a whole."""
        if _request.deadline is not None and self.sock is not None:
            _limit(self.sock, _request.deadline)
        super().send(data)


class _LimitedReader(io.RawIOBase):
    """Reads a socket's file before a deadline, which is on the monotonic clock."""

    def __init__(self, file: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._file = file
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int | None:
        _limit(self._sock, self._deadline)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


def _limit(sock: socket.socket, deadline: float) -> None:
    """Make a socket wait no longer than until a deadline; raise TimeoutError after it.

    A timeout that ends at most `SLACK_SECONDS` later stays: setting one lets another thread run in
    between, which takes longer than the rest of this function.
    """
    left = _seconds_left(deadline)
    timeout = sock.gettimeout()
    if timeout is None or not left <= timeout <= left + SLACK_SECONDS:
        sock.settimeout(left)


def _seconds_left(deadline: float) -> float:
    """Return the seconds until a deadline; raise TimeoutError after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
