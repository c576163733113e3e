import http.client
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport, TokenProvider
from openlineage.client.transport.noop import NoopConfig, NoopTransport
from requests.adapters import BaseAdapter, HTTPAdapter

from openlineage_dagster_core.delivery.bounded_http import BoundedAdapter
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.delivery.posting import Poster, bound
from openlineage_dagster_core.errors import BackendUnavailableError
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


def without_a_time(body: bytes | None) -> bytes | None:
    """Returns `body` without the second of its compression, which gzip writes (RFC 1952, MTIME)."""
    if body is None or not body.startswith(b"\x1f\x8b"):
        return body
    return body[:4] + bytes(4) + body[8:]


class RecordingAdapter(BaseAdapter):
    """Keeps what would go over the wire, and answers."""

    def __init__(self, status: int = 201, **headers: str) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []
        self.levels: list[int] = []
        self.status = status
        self.headers = headers

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.levels.append(http.client.HTTPConnection.debuglevel)
        body = request.body
        self.sent.append(
            {
                "method": request.method,
                "url": request.url,
                "headers": dict(request.headers),
                "body": without_a_time(body.encode() if isinstance(body, str) else body),
                **options,
            }
        )
        answer = requests.Response()
        answer.status_code, answer.request, answer.raw = self.status, request, io.BytesIO()
        answer.url = request.url or ""
        answer.headers.update(self.headers)
        return answer

    def close(self) -> None: ...


def transport_with(adapter: BaseAdapter, **configuration: Any) -> HttpTransport:
    transport = HttpTransport(
        HttpConfig.from_dict({"url": "https://example.org/base/", **configuration})
    )
    transport.session.mount("https://example.org", adapter)
    transport.session.mount(transport.url, adapter)
    return transport


@pytest.fixture
def debuglevel() -> Iterator[int]:
    http.client.HTTPConnection.debuglevel = 1
    yield 1
    http.client.HTTPConnection.debuglevel = 0


def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine example.org login ada password s3cret")
    monkeypatch.setenv("NETRC", str(path))


def proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:s3cret@proxy.example.org:3128")


def no_proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proxies(tmp_path, monkeypatch)
    monkeypatch.setenv("NO_PROXY", "example.org")


def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))


def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None: ...


@pytest.mark.parametrize("surroundings", [nothing, netrc, proxies, no_proxies, certificates])
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_text_is_posted_as_the_transport_posts_an_event(
    configuration: dict[str, Any],
    surroundings: Callable[[Path, pytest.MonkeyPatch], None],
    debuglevel: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    surroundings(tmp_path, monkeypatch)
    adapter = RecordingAdapter()
    transport = transport_with(adapter, **configuration)
    poster = Poster(transport)
    for sent in (event(), event(name="another, with a longer name")):
        transport.emit(sent)
        poster.post(Serde.to_json(sent))
        by_transport, by_us = adapter.sent[-2:]
        assert by_us == by_transport
    assert set(adapter.levels) == {0}
    assert http.client.HTTPConnection.debuglevel == debuglevel


def test_a_key_that_is_renewed_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = RecordingAdapter()
    transport = transport_with(adapter, auth={"type": "api_key", "apiKey": "first"})
    poster = Poster(transport)
    for key in ("first", "second"):
        monkeypatch.setattr(transport.config.auth, "get_bearer", lambda key=key: f"Bearer {key}")
        poster.post("{}")
    assert [sent["headers"]["Authorization"] for sent in adapter.sent] == [
        "Bearer first",
        "Bearer second",
    ]


def test_a_cookie_that_changes_is_sent_as_it_is_by_then() -> None:
    adapter = RecordingAdapter()
    transport = transport_with(adapter)
    poster = Poster(transport)
    for value in (None, "first", "second"):
        if value:
            transport.session.cookies.set("server", value)
        poster.post("{}")
    assert [sent["headers"].get("Cookie") for sent in adapter.sent] == [
        None,
        "server=first",
        "server=second",
    ]


@pytest.mark.parametrize("configuration", [{}, {"sslContext": CERTIFICATE}], ids=str)
@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed_whatever_the_adapter(
    status: int, configuration: dict[str, Any], debuglevel: int
) -> None:
    adapter = RecordingAdapter(status, Location="https://elsewhere.example.org")
    with pytest.raises(BackendUnavailableError, match=r"redirects to https://elsewhere\."):
        Poster(transport_with(adapter, **configuration)).post(to_json(event()))
    assert http.client.HTTPConnection.debuglevel == debuglevel
    assert len(adapter.sent) == 1


def test_an_answer_that_is_an_error_is_raised() -> None:
    with pytest.raises(requests.HTTPError, match="503"):
        Poster(transport_with(RecordingAdapter(503))).post(to_json(event()))


class FailingProvider(TokenProvider):
    """Gets no token; the endpoint says what the backend says to a wrong event."""

    def get_bearer(self) -> str | None:
        answer = requests.Response()
        answer.status_code = 400
        raise RuntimeError("s3cret") from requests.HTTPError(response=answer)


@pytest.mark.parametrize("kind", ["http", "composite"])
def test_a_refused_token_does_not_refuse_the_event(receiver: Receiver, kind: str) -> None:
    config: dict[str, Any] = {
        "type": "http",
        "url": receiver.url,
        "auth": {"type": f"{__name__}.{FailingProvider.__name__}"},
    }
    if kind == "composite":
        config = {"type": "composite", "transports": [config], "continue_on_failure": False}
    client = LineageClient(5, OpenLineageClient(config={"transport": config}))
    with pytest.raises(BackendUnavailableError) as raised:
        client.emit(event())
    assert str(raised.value) == "no token for the backend: HTTP 400; check auth in openlineage.yml"
    assert receiver.requests == 0


def test_a_users_own_adapter_stays() -> None:
    adapter = RecordingAdapter()
    transport = transport_with(adapter)
    bound(transport, 3)
    Poster(transport).post("{}")
    assert adapter.sent[0]["timeout"] == 3
    given = HTTPAdapter()
    transport = HttpTransport(HttpConfig("https://example.org", adapter=given))
    bound(transport, 3)
    assert transport.session.get_adapter("https://example.org") is given


def test_a_session_that_exists_gets_the_bounded_adapter() -> None:
    transport = HttpTransport(HttpConfig("https://example.org", session=requests.Session()))
    bound(transport, 3)
    bound(transport, 4)
    assert isinstance(transport.session.get_adapter("https://example.org"), BoundedAdapter)
    assert transport.timeout == 4


class OwnHttpTransport(HttpTransport):
    """One that somebody has written: it may do anything."""


def test_only_plain_http_takes_text() -> None:
    config = HttpConfig("https://example.org")
    assert Poster.takes_text(HttpTransport(config))
    assert not Poster.takes_text(OwnHttpTransport(config))
    assert not Poster.takes_text(NoopTransport(NoopConfig()))


@pytest.mark.parametrize("missing", ["_prepare_request", "endpoint", "cert"])
def test_a_transport_that_is_built_otherwise_is_given_the_event(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    transport = transport_with(RecordingAdapter())
    monkeypatch.setattr(HttpTransport, "emit", lambda self, event: given.append(event))
    monkeypatch.delattr(HttpTransport if missing.startswith("_") else transport, missing)
    assert not Poster.takes_text(transport)
    LineageClient(5, OpenLineageClient(transport=transport)).emit(event())
    assert [each.job.name for each in given] == [event().job.name]


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
