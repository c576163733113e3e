"""Requests to backends that drip, never end, redirect, or hang up: real sockets on this machine."""

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from openlineage.client import OpenLineageClient

from openlineage_dagster_core.delivery import bounded_http
from openlineage_dagster_core.delivery.bounded_http import ANSWER_BYTES, BoundedAdapter
from openlineage_dagster_core.delivery.client import ANSWER_CHARACTERS, LineageClient
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from small_event import event

Answer = Callable[[socket.socket], None]

TIMEOUT = 0.5
LONGEST = 2.0
"""Seconds after which a request has clearly not kept to its timeout; the machine may be busy."""


class Backend:
    """Answers each request on a port of its own with what `answer` writes.

    Attributes:
        connections: how many were made.
        requests: the paths asked for.
        written: bytes of answers that the other side's system took.
    """

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.context = context
        self.connections = 0
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # What arrives need not be HTTP.
        with contextlib.suppress(OSError, ValueError, LookupError, http.client.HTTPException):
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection, connection.makefile("rb") as file:
                while self._read_request(file):
                    self.answer(connection)

    def _read_request(self, file: Any) -> bool:
        request = file.readline()
        if not request:
            return False
        headers = http.client.parse_headers(file)
        file.read(int(headers["Content-Length"] or 0))
        self.requests.append(request.split()[1].decode())
        return True

    def close(self) -> None:
        # A thread that waits in `accept` would keep the port.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def backend() -> Iterator[Callable[..., Backend]]:
    """Make backends; all of them are closed in the end."""
    made: list[Backend] = []

    def make(answer: Answer, context: ssl.SSLContext | None = None) -> Backend:
        made.append(Backend(answer, context))
        return made[-1]

    yield make
    for each in made:
        each.close()


def says(text: str, body: bytes = b"") -> Answer:
    head = f"HTTP/1.1 {text}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def drips(beginning: bytes, drop: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            time.sleep(0.05)
            connection.sendall(drop)

    return answer


def pours(beginning: bytes, drop: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(drop * 1000)

    return answer


def client_of(backend: Backend, kind: str = "http", timeout: float = TIMEOUT) -> LineageClient:
    config: dict[str, Any] = {"type": "http", "url": backend.url}
    if kind == "composite":
        config = {"type": "composite", "transports": [config], "continue_on_failure": False}
    elif kind == "transform":
        name = "openlineage.client.transport.transform.JobNamespaceReplaceTransformer"
        properties = {"new_job_namespace": "other"}
        config = {
            "type": "transform",
            "transport": config,
            "transformer_class": name,
            "transformer_properties": properties,
        }
    elif kind == "datadog":
        config = {"type": "datadog", "apiKey": "s3cret", "site": backend.url}
    return LineageClient(timeout, OpenLineageClient(config={"transport": config}))


KINDS = ["http", "composite", "transform", "datadog"]


@contextlib.contextmanager
def within_the_timeout() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONGEST


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_error_names_the_target(
    backend: Callable[..., Backend], status: int, kind: str
) -> None:
    target = backend(says("201 Created"))
    location = f"{target.url.replace('//', '//ada:s3cret@')}/api/v1/lineage?token=s3cret#s3cret"
    redirecting = backend(says(f"{status} Moved\r\nLocation: {location}"))
    with pytest.raises(BackendUnavailableError) as raised:
        client_of(redirecting, kind).emit(event())
    assert str(raised.value) == (
        f"HTTP {status}: redirects to {target.url}/api/v1/lineage; "
        "set OPENLINEAGE_URL, or the url of the transport, to the final address"
    )
    assert raised.value.status == status
    assert target.requests == []
    assert redirecting.requests == ["/api/v1/lineage"]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/login?next=s3cret", "redirects to http://127.0.0.1:*/login;"),
        ("http://[", "redirects to an address that is not valid;"),
        (
            "https://example.org/" + "x" * 5000,
            "redirects to https://example.org/" + "x" * 180 + ";",
        ),
    ],
)
def test_any_location_can_be_shown(
    backend: Callable[..., Backend], location: str, shown: str
) -> None:
    redirecting = backend(says(f"302 Found\r\nLocation: {location}"))
    with pytest.raises(BackendUnavailableError) as raised:
        client_of(redirecting).emit(event())
    port = redirecting.url.rpartition(":")[2]
    assert shown.replace("*", port) in str(raised.value)


@pytest.mark.parametrize("status", ["302 Found", "304 Not Modified", "101 Switching Protocols"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_status_that_neither_takes_nor_refuses_the_event_is_a_failure(
    backend: Callable[..., Backend], status: str, kind: str
) -> None:
    with pytest.raises(BackendUnavailableError, match=f"HTTP {status[:3]}: .* OPENLINEAGE_URL"):
        client_of(backend(says(status)), kind).emit(event())


@pytest.mark.parametrize("kind", ["http", "datadog"])
@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 ", b"2"),
        (b"HTTP/1.1 201 Created\r\nX: ", b"x"),
        (b"HTTP/1.1 201 Created\r\n", b"X: x\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_dripping_headers_cost_the_timeout(
    backend: Callable[..., Backend], beginning: bytes, drop: bytes, kind: str
) -> None:
    client = client_of(backend(drips(beginning, drop)), kind)
    with within_the_timeout(), pytest.raises(BackendUnavailableError, match="Timeout"):
        client.emit(event())


@pytest.mark.parametrize("pour", [b"x", b"HTTP/1.1 100 Continue\r\n\r\n", b"X: x\r\n"])
def test_endless_headers_cost_the_timeout_at_most(
    backend: Callable[..., Backend], pour: bytes
) -> None:
    beginning = b"HTTP/1.1 201 Created\r\n" if pour.startswith(b"X") else b""
    client = client_of(backend(pours(beginning, pour)))
    with within_the_timeout(), pytest.raises(BackendUnavailableError):
        client.emit(event())


LENGTHS = [b"Content-Length: 1000000000\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]


@pytest.mark.parametrize("kind", ["http", "datadog"])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("make", [drips, pours])
def test_an_event_counts_as_taken_where_the_answers_body_never_ends(
    backend: Callable[..., Backend], make: Callable[..., Answer], length: bytes, kind: str
) -> None:
    drop = b"1\r\nx\r\n" if length.startswith(b"T") else b"x"
    taking = backend(make(b"HTTP/1.1 201 Created\r\n" + length, drop))
    client = client_of(taking, kind)
    for connections in (1, 2):
        with within_the_timeout():
            client.emit(event())
        assert taking.connections == connections, "the connection of such an answer is closed"


@pytest.mark.parametrize("make", [drips, pours])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_refusal_counts_where_the_answers_body_never_ends(
    backend: Callable[..., Backend], make: Callable[..., Answer], length: bytes
) -> None:
    drop = b"1\r\nx\r\n" if length.startswith(b"T") else b"x"
    client = client_of(backend(make(b"HTTP/1.1 422 No\r\n" + length, drop)))
    with within_the_timeout(), pytest.raises(EventRefusedError) as raised:
        client.emit(event())
    assert raised.value.status == 422
    assert raised.value.answer == ("" if make is drips else "x" * ANSWER_CHARACTERS)


def test_a_few_kilobytes_of_an_answer_are_read(backend: Callable[..., Backend]) -> None:
    adapter = BoundedAdapter()
    with requests.Session() as session:
        session.mount("http://", adapter)
        pouring = backend(pours(b"HTTP/1.1 500 No\r\n\r\n", b"x"))
        assert len(session.post(pouring.url, timeout=5).content) == ANSWER_BYTES


def test_a_few_kilobytes_of_a_compressed_answer_are_kept(backend: Callable[..., Backend]) -> None:
    body = gzip.compress(b"x" * 1_000_000)
    with requests.Session() as session:
        session.mount("http://", BoundedAdapter())
        compressing = backend(says("500 No\r\nContent-Encoding: gzip", body))
        assert session.post(compressing.url, timeout=5).content == b"x" * ANSWER_BYTES


def test_a_compressed_answer_is_readable(backend: Callable[..., Backend]) -> None:
    body = gzip.compress(b"bad field")
    with pytest.raises(EventRefusedError) as raised:
        client_of(backend(says("422 No\r\nContent-Encoding: gzip", body))).emit(event())
    assert raised.value.answer == "bad field"


@pytest.mark.parametrize("kind", ["http", "datadog"])
@pytest.mark.parametrize(
    "answer",
    [
        says("201 Created"),
        says("201 Created", b"{}"),
        says("204 No Content\r\nX: x"),
        says("201 Created", b"x" * (ANSWER_BYTES - 1)),
        lambda connection: connection.sendall(
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        ),
    ],
)
def test_a_small_answer_keeps_the_connection(
    backend: Callable[..., Backend], answer: Answer, kind: str
) -> None:
    taking = backend(answer)
    client = client_of(taking, kind, timeout=5)
    for _ in range(3):
        client.emit(event())
    assert len(taking.requests) == 3
    assert taking.connections == 1


def test_a_refusal_keeps_the_connection(backend: Callable[..., Backend]) -> None:
    refusing = backend(says("422 No", b"bad field"))
    client = client_of(refusing, timeout=5)
    for _ in range(2):
        with pytest.raises(EventRefusedError):
            client.emit(event())
    assert refusing.connections == 1


def test_requests_to_two_places_and_after_a_close_arrive(backend: Callable[..., Backend]) -> None:
    places = [backend(says("201 Created")) for _ in range(2)]
    with requests.Session() as session:
        adapter = BoundedAdapter()
        session.mount("http://", adapter)
        for _ in range(2):
            for place in places:
                session.post(f"{place.url}/{len(place.requests)}", timeout=5)
            adapter.close()
    assert [place.requests for place in places] == [["/0", "/1"]] * 2
    assert [place.connections for place in places] == [2, 2]


def test_each_request_has_the_whole_timeout(backend: Callable[..., Backend]) -> None:
    def answer(connection: socket.socket) -> None:
        time.sleep(0.4)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    client = client_of(backend(answer), timeout=1.0)
    for _ in range(4):
        client.emit(event())


def test_a_cookie_of_the_backend_is_sent_back(backend: Callable[..., Backend]) -> None:
    with requests.Session() as session:
        session.mount("http://", BoundedAdapter())
        taking = backend(says("201 Created\r\nSet-Cookie: server=first"))
        session.post(taking.url, timeout=5)
        assert session.cookies["server"] == "first"


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_backend_is_asked_once(backend: Callable[..., Backend], kind: str) -> None:
    failing = backend(says("503 Unavailable\r\nRetry-After: 1"))
    with pytest.raises(BackendUnavailableError, match="HTTP 503"):
        client_of(failing, kind).emit(event())
    assert len(failing.requests) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine, with its key in the same file."""
    path = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    key = tmp_path / "key.pem"
    try:
        subprocess.run(
            [*command, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    path.write_text(key.read_text() + path.read_text())
    return path


def tls_client(backend: Backend, certificate: Path, timeout: float = TIMEOUT) -> LineageClient:
    trusted = {"caCertPath": str(certificate)}
    transport = {"type": "http", "url": backend.url, "sslContext": trusted}
    return LineageClient(timeout, OpenLineageClient(config={"transport": transport}))


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_the_limits_hold_over_tls(backend: Callable[..., Backend], certificate: Path) -> None:
    context = server_context(certificate)
    taking = backend(says("201 Created", b"{}"), context)
    client = tls_client(taking, certificate, timeout=5)
    client.emit(event())
    client.emit(event())
    assert taking.connections == 1
    client.close()
    for beginning in (b"", b"HTTP/1.1 201 Created\r\n"):
        client = tls_client(backend(drips(beginning, b"H"), context), certificate)
        with within_the_timeout(), pytest.raises(BackendUnavailableError, match="Timeout"):
            client.emit(event())
        client.close()


def test_a_tls_handshake_that_is_not_answered_costs_the_timeout(
    backend: Callable[..., Backend], certificate: Path
) -> None:
    silent = backend(lambda connection: None)
    silent.url = silent.url.replace("http:", "https:")
    with within_the_timeout(), pytest.raises(BackendUnavailableError):
        tls_client(silent, certificate).emit(event())


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_backend_that_takes_a_large_event_slowly_costs_the_timeout(
    backend: Callable[..., Backend], certificate: Path, is_tls: bool
) -> None:
    class Slow(Backend):
        def _read_request(self, file: Any) -> bool:
            while file.read(16 * 1024):
                time.sleep(0.1)
            return False

    slow = Slow(says("201 Created"), server_context(certificate) if is_tls else None)
    slow._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    large = event(name="x" * 30_000_000)
    client = tls_client(slow, certificate) if is_tls else client_of(slow)
    prepared = client.prepare(large)
    with within_the_timeout(), pytest.raises(BackendUnavailableError):
        client.send(prepared)
    client.close()
    slow.close()


def test_the_addresses_of_a_host_share_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = []

    def create_connection(address: Any, timeout: float, **options: Any) -> socket.socket:
        timeouts.append(timeout)
        raise TimeoutError("timed out")

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))] * 4
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", create_connection)
    transport = {"type": "http", "url": "http://backend.example.org"}
    with pytest.raises(BackendUnavailableError, match="Timeout"):
        LineageClient(8, OpenLineageClient(config={"transport": transport})).emit(event())
    assert timeouts == [pytest.approx(2, abs=0.2)]


def test_a_host_that_is_unknown_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **options: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    transport = {"type": "http", "url": "http://backend.example.org"}
    with pytest.raises(BackendUnavailableError, match="Name or service not known"):
        LineageClient(8, OpenLineageClient(config={"transport": transport})).emit(event())


def test_a_proxy_that_drips_costs_the_timeout(
    backend: Callable[..., Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    dripping = backend(drips(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", dripping.url)
    transport = {"type": "http", "url": "https://backend.example.org"}
    client = LineageClient(TIMEOUT, OpenLineageClient(config={"transport": transport}))
    with within_the_timeout(), pytest.raises(BackendUnavailableError):
        client.emit(event())


def test_a_proxy_is_used_again(
    backend: Callable[..., Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = backend(says("201 Created"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    transport = {"type": "http", "url": "http://backend.example.org"}
    client = LineageClient(5, OpenLineageClient(config={"transport": transport}))
    for _ in range(3):
        client.emit(event())
    assert proxy.requests == ["http://backend.example.org/api/v1/lineage"] * 3
    assert proxy.connections == 1


def test_a_connection_class_of_another_kind_is_left_alone() -> None:
    class OtherPool:
        ConnectionCls = "another kind"

    assert bounded_http._limited_pool(OtherPool) is OtherPool
    bounded_http._limit_connections(object())


def test_an_adapter_without_a_timeout_waits(backend: Callable[..., Backend]) -> None:
    with requests.Session() as session:
        session.mount("http://", BoundedAdapter())
        taking = backend(says("201 Created", b"{}"))
        assert session.post(taking.url, data=b"{}", timeout=None).json() == {}


def test_headers_are_not_printed_at_a_higher_debug_level(
    backend: Callable[..., Backend],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with requests.Session() as session:
        session.mount("http://", BoundedAdapter())
        session.post(backend(says("201 Created")).url, json={}, timeout=5)
    assert capsys.readouterr().out == ""


def test_marquez_says_400_in_the_body_of_a_500_inside_a_composite(
    backend: Callable[..., Backend],
) -> None:
    body = json.dumps({"code": 400, "message": "Unable to process JSON"}).encode()
    with pytest.raises(EventRefusedError) as raised:
        client_of(backend(says("500 No", body)), "composite").emit(event())
    assert "Unable to process JSON" in raised.value.answer
