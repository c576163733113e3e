import http.client
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.transport.noop import NoopConfig, NoopTransport

from openlineage_dagster_core.delivery import posting
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.serialisation import to_json
from receiver import Receiver
from small_event import event

CERTIFICATE = {"clientCertPath": "client.pem", "clientKeyPath": "client.key"}

CONFIGURATIONS: list[dict[str, Any]] = [
    {},
    {"endpoint": "custom/path?x=1"},
    {"timeout": 1.5, "verify": False},
    {"auth": {"type": "api_key", "apiKey": "s3cret"}, "custom_headers": {"X-Team": "blue"}},
    {"compression": "gzip"},
    {"sslContext": CERTIFICATE},
    {"sslContext": {"caCertPath": "ca.pem", **CERTIFICATE}},
]


class RecordingSession(requests.Session):
    """Keeps what would be sent, and answers."""

    def __init__(self, status: int = 201, **headers: str) -> None:
        super().__init__()
        self.posted: list[dict[str, Any]] = []
        self.levels: list[int] = []
        self.answer = requests.Response()
        self.answer.status_code = status
        self.answer.headers.update(headers)
        self.answer.raw = io.BytesIO()

    def post(self, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        self.levels.append(http.client.HTTPConnection.debuglevel)
        self.posted.append({"url": url, **options})
        return self.answer


def transport_with(session: requests.Session, **configuration: Any) -> HttpTransport:
    transport = HttpTransport(
        HttpConfig.from_dict({"url": "https://example.org/base/", **configuration})
    )
    transport.session = session
    return transport


@pytest.fixture
def debuglevel() -> Iterator[int]:
    http.client.HTTPConnection.debuglevel = 1
    yield 1
    http.client.HTTPConnection.debuglevel = 0


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_text_is_posted_as_the_transport_posts_an_event(
    configuration: dict[str, Any], debuglevel: int
) -> None:
    session = RecordingSession()
    transport = transport_with(session, **configuration)
    text = Serde.to_json(event())
    transport.emit(event())
    posting.send(transport, event(), text)
    by_transport, by_us = session.posted
    assert by_us == by_transport
    assert session.levels == [0, 0]
    assert http.client.HTTPConnection.debuglevel == debuglevel


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed_with_a_client_certificate(status: int, debuglevel: int) -> None:
    session = RecordingSession(status, Location="https://elsewhere.example.org")
    transport = transport_with(session, sslContext=CERTIFICATE)
    with pytest.raises(RuntimeError, match="redirect"):
        posting.send(transport, event(), to_json(event()))
    assert http.client.HTTPConnection.debuglevel == debuglevel


def test_an_answer_that_is_an_error_is_raised() -> None:
    with pytest.raises(requests.HTTPError, match="503"):
        posting.send(transport_with(RecordingSession(503)), event(), to_json(event()))


class OwnHttpTransport(HttpTransport):
    """One that somebody has written: it may do anything."""


class KeepingTransport(Transport):
    kind = "keeping"

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)


def test_only_plain_http_takes_text() -> None:
    config = HttpConfig("https://example.org")
    assert posting.takes_text(HttpTransport(config))
    assert not posting.takes_text(OwnHttpTransport(config))
    assert not posting.takes_text(NoopTransport(NoopConfig()))


def test_another_transport_is_given_the_event() -> None:
    transport, given = KeepingTransport(), event()
    posting.send(transport, given, "text")
    assert transport.events == [given]


@pytest.mark.parametrize("missing", ["_prepare_request", "endpoint", "cert"])
def test_a_transport_that_is_built_otherwise_is_given_the_event(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    transport = transport_with(RecordingSession())
    monkeypatch.setattr(HttpTransport, "emit", lambda self, event: given.append(event))
    monkeypatch.delattr(HttpTransport if missing.startswith("_") else transport, missing)
    assert not posting.takes_text(transport)
    posting.send(transport, event(), "text")
    assert len(given) == 1


def test_the_key_from_the_environment_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    LineageClient(5).emit(event())
    assert receiver.headers["Authorization"] == "Bearer s3cret"
    assert receiver.headers["Content-Type"] == "application/json"


def test_compressed_text_and_headers_of_ones_own_arrive(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", receiver.url)
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__COMPRESSION", "gzip")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__CUSTOM_HEADERS", json.dumps({"X-Team": "blue"}))
    LineageClient(5).emit(event())
    assert receiver.headers["Content-Encoding"] == "gzip"
    assert receiver.headers["X-Team"] == "blue"
    assert receiver.events[0]["job"]["name"] == "nightly"


def test_text_beyond_ascii_arrives(receiver: Receiver) -> None:
    name = "Ümsätze 日本 😀"
    LineageClient(5).emit(event(name=name))
    assert receiver.events[0]["job"]["name"] == name


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"tags": {"job": {"Team": "blue"}, "run": {"shift": "night"}}},
        {"facets": {"environment_variables": ["SHELL_OF_THE_TEST"]}},
        {"dataset": {"reducing_enabled": True}},
    ],
    ids=str,
)
def test_what_arrives_is_what_the_client_itself_would_send(
    receiver: Receiver, configuration: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL_OF_THE_TEST", "sh")
    facets = {"source_code_location": {"repo_url": "https://example.org/repo"}}
    config = {**configuration, "facets": {**facets, **configuration.get("facets", {})}}
    LineageClient(5, OpenLineageClient(config=config)).emit(event())
    OpenLineageClient(config=config).emit(event())
    by_us, by_client = receiver.events
    assert by_us == by_client
