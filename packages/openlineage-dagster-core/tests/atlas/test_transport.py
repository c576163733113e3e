"""The transport: its configuration, its requests, and what it does with Atlas's answers."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attr
import pytest
import requests
import yaml
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Dataset, InputDataset, OutputDataset, RunEvent, RunState

from openlineage_dagster_core.atlas import AtlasConfig, AtlasTransport
from openlineage_dagster_core.atlas.typedefs import VERSION, type_definitions
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.delivery.transport import check
from openlineage_dagster_core.errors import (
    BackendUnavailableError,
    ConfigurationError,
    EventRefusedError,
)
from small_event import event

Json = dict[str, Any]
Answer = tuple[int, Json]

PAGE = Path(__file__).parents[4] / "docs" / "backends" / "atlas.md"
TYPES = "types/typedefs"
TYPE = "types/entitydef/name/openlineage_job"
BULK = "entity/bulk"
PURGE = "admin/purge"
STORED = "entity/uniqueAttribute/type/openlineage_job"
NOT_THERE: Answer = (404, {"errorCode": "ATLAS-404"})


class FakeAtlas:
    """Answers requests as a real one does, as far as the tests need it.

    Attributes:
        answers: by method and path, instead of the usual ones.
        requests: method, path and body of each request, in order.
        headers: of the last request.
    """

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Callable[[], Answer]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.queries: list[dict[str, list[str]]] = []
        self.headers: dict[str, str] = {}
        self.version: str | None = None
        self.delay = 0.0
        self.most_at_a_time = 0
        self._under_way = 0
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers["Content-Length"] or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                fake.headers = dict(self.headers)
                status, content = fake.answer(self.command, self.path, body)
                text = json.dumps(content).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", content["to"])
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                # The other side may have given up.
                with contextlib.suppress(OSError):
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, method: str, path: str, body: Any) -> Answer:
        with self._lock:
            self._under_way += 1
            self.most_at_a_time = max(self.most_at_a_time, self._under_way)
        time.sleep(self.delay)
        parts = urlsplit(path)
        assert parts.path.startswith("/api/atlas/")
        key = (method, parts.path.removeprefix("/api/atlas/").removeprefix("v2/"))
        self.requests.append((*key, body))
        self.queries.append(parse_qs(parts.query))
        try:
            return self.answers.get(key, lambda: self._usual(*key))()
        finally:
            with self._lock:
                self._under_way -= 1

    def _usual(self, method: str, path: str) -> Answer:
        if path == TYPES:
            self.version = VERSION
        elif path == TYPE:
            return (200, {"typeVersion": self.version}) if self.version else NOT_THERE
        elif path == STORED:
            return NOT_THERE
        return 200, {}

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _ in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def fake() -> Iterator[FakeAtlas]:
    fake = FakeAtlas()
    yield fake
    fake.close()


def transport_to(fake: FakeAtlas, **options: Any) -> AtlasTransport:
    return AtlasTransport(AtlasConfig.from_dict({"url": fake.url, **options}))


def complete(name: str = "nightly", inputs: list[str] | None = None) -> RunEvent:
    made = event(RunState.COMPLETE, name)
    made.inputs = [InputDataset("dagster", each) for each in inputs or []]
    made.outputs = [OutputDataset("dagster", "made")]
    return made


def stored(*inputs: str) -> Answer:
    """Answer as Atlas does where the job has these inputs, and writes the dataset `made`."""
    *reads, writes = (
        {"uniqueAttributes": {"qualifiedName": f"dataset:dagster#{each}@openlineage"}}
        for each in (*inputs, "made")
    )
    return 200, {"entity": {"guid": "old", "attributes": {"inputs": reads, "outputs": [writes]}}}


def deleted(**guids: str) -> Answer:
    """Answer as Atlas does where a request deletes entities of these types."""
    headers = [{"typeName": kind, "guid": guid} for kind, guid in guids.items()]
    return 200, {"mutatedEntities": {"DELETE": headers}}


def test_the_types_are_made_once_and_each_complete_is_one_bulk(fake: FakeAtlas) -> None:
    transport = transport_to(fake)
    transport.emit(complete())
    transport.emit(complete())
    transport.close()
    look = [("GET", STORED), ("POST", BULK)]
    assert fake.calls == [("GET", TYPE), ("POST", TYPES), *look, *look]
    assert fake.requests[1][2] == type_definitions()
    bodies = [body for _, path, body in fake.requests if path == BULK]
    assert bodies[0] == bodies[1]
    assert fake.queries[2]["attr:qualifiedName"] == ["job:dagster#nightly@openlineage"]


@pytest.mark.parametrize("state", [RunState.START, RunState.RUNNING, RunState.FAIL])
def test_every_event_asks_atlas(fake: FakeAtlas, state: RunState) -> None:
    """The failure policy takes an event that was sent for a sign that the backend lives."""
    fake.answers["POST", BULK] = lambda: (503, {})
    with pytest.raises(requests.HTTPError):
        transport_to(fake).emit(event(state))


@pytest.mark.parametrize(
    ("version", "is_updated"), [("0.9", True), (VERSION, False), ("1.10", False), ("2.0", False)]
)
def test_types_of_an_earlier_version_are_updated_and_later_ones_stay(
    fake: FakeAtlas, version: str, is_updated: bool
) -> None:
    fake.version = version
    transport_to(fake).emit(event(RunState.FAIL))
    assert (("PUT", TYPES) in fake.calls) is is_updated
    assert ("POST", TYPES) not in fake.calls


def test_the_types_are_made_again_for_a_server_that_has_lost_them(fake: FakeAtlas) -> None:
    transport = transport_to(fake)
    transport.emit(event(RunState.FAIL))
    fake.version = None
    fake.answers["POST", BULK] = lambda: (200 if fake.version else 400, {})
    transport.emit(event(RunState.FAIL))
    assert fake.calls[-4:] == [("POST", BULK), ("GET", TYPE), ("POST", TYPES), ("POST", BULK)]


def test_a_job_is_written_anew_only_where_an_edge_is_gone(fake: FakeAtlas) -> None:
    transport = transport_to(fake)
    fake.answers["GET", STORED] = lambda: stored("a")
    fake.answers["DELETE", "entity/guid/old"] = lambda: deleted(openlineage_job="old")
    transport.emit(complete(inputs=["a", "b"]))
    assert ("DELETE", "entity/guid/old") not in fake.calls
    fake.answers["GET", STORED] = lambda: stored("a", "b")
    transport.emit(complete(inputs=["b"]))
    assert fake.requests[-4][:2] == ("GET", STORED)
    assert fake.requests[-3][:2] == ("DELETE", "entity/guid/old")
    assert fake.requests[-2] == ("PUT", PURGE, ["old"])
    assert fake.requests[-1][:2] == ("POST", BULK)


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_deleted_processes_are_purged_where_atlas_does_that(fake: FakeAtlas, status: int) -> None:
    fake.answers["POST", BULK] = lambda: deleted(
        openlineage_column_lineage="gone", openlineage_column="kept"
    )
    fake.answers["PUT", PURGE] = lambda: (status, {})
    transport_to(fake).emit(complete())
    assert fake.requests[-1] == ("PUT", PURGE, ["gone"])


def test_transports_of_one_process_write_one_after_the_other(fake: FakeAtlas) -> None:
    fake.delay = 0.02
    threads = [
        threading.Thread(target=transport_to(fake).emit, args=(complete(f"job{number}"),))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.requests) >= 12
    assert fake.most_at_a_time == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 503])
def test_the_exception_has_the_status_and_the_answer(fake: FakeAtlas, status: int) -> None:
    fake.answers["POST", BULK] = lambda: (status, {"errorMessage": "no"})
    with pytest.raises(requests.HTTPError, match=f"POST v2/entity/bulk with {status}") as raised:
        transport_to(fake).emit(event(RunState.FAIL))
    assert raised.value.response.status_code == status
    assert "no" in raised.value.response.text


def client_of(fake: FakeAtlas, **options: Any) -> LineageClient:
    kind = "openlineage_dagster_core.atlas.AtlasTransport"
    transport = {"type": kind, "url": fake.url, **options}
    return LineageClient(5.0, OpenLineageClient(config={"transport": transport}))


def test_the_delivery_tells_a_refusal_from_a_server_that_takes_nothing(fake: FakeAtlas) -> None:
    client = client_of(fake)
    fake.answers["POST", BULK] = lambda: (400, {"errorMessage": "invalid"})
    with pytest.raises(EventRefusedError) as refused:
        client.emit(event(RunState.FAIL))
    assert "invalid" in refused.value.answer
    for status in (401, 403, 500, 503):
        fake.answers["POST", BULK] = lambda status=status: (status, {})  # type: ignore[misc]
        with pytest.raises(BackendUnavailableError) as raised:
            client.emit(event(RunState.FAIL))
        assert raised.value.status == status
    with pytest.raises(BackendUnavailableError) as silent:
        client_of(fake, url="http://127.0.0.1:9").emit(event(RunState.FAIL))
    assert silent.value.is_silent


def test_a_redirect_is_not_followed(fake: FakeAtlas) -> None:
    fake.answers["GET", TYPE] = lambda: (302, {"to": f"{fake.url}/login"})
    with pytest.raises(BackendUnavailableError, match="the url of the transport"):
        transport_to(fake).emit(event(RunState.FAIL))
    assert fake.calls == [("GET", TYPE)]


def test_a_request_ends_with_its_timeout(fake: FakeAtlas) -> None:
    fake.delay = 1.0
    began = time.monotonic()
    with pytest.raises(requests.ConnectionError, match="timed out"):
        transport_to(fake, timeout=0.1).emit(event(RunState.FAIL))
    assert time.monotonic() - began < 0.9


def test_user_and_password_are_sent_as_basic(fake: FakeAtlas) -> None:
    auth = {"type": "basic", "username": "ada", "password": 7}
    transport = transport_to(fake, auth=auth)
    transport.emit(event(RunState.FAIL))
    assert fake.headers["Authorization"] == "Basic YWRhOjc="
    assert "YWRh" not in repr(transport.config)


def test_a_token_is_sent_as_bearer(fake: FakeAtlas) -> None:
    transport_to(fake, auth={"type": "api_key", "apiKey": "k"}).emit(event(RunState.FAIL))
    assert fake.headers["Authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "transport url"),
        ({"url": "atlas:21000"}, "transport url"),
        ({"url": "http://atlas", "timeout": 0}, "transport timeout"),
        ({"url": "http://atlas", "auth": {"type": "basic", "username": "ada"}}, "transport auth"),
    ],
)
def test_a_wrong_option_is_named(options: Json, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AtlasConfig.from_dict(options)


def test_a_wrong_address_is_found_when_the_configuration_is_read() -> None:
    kind = "openlineage_dagster_core.atlas.AtlasTransport"
    environ = {"OPENLINEAGE__TRANSPORT__TYPE": kind, "OPENLINEAGE__TRANSPORT__URL": "atlas"}
    with pytest.raises(ConfigurationError, match="url"):
        check(environ)


def test_the_documented_configuration_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, block = re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGE.read_text())
    file = tmp_path / "openlineage.yml"
    file.write_text(block)
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(file))
    check({"OPENLINEAGE_CONFIG": str(file)})
    transport = OpenLineageClient().transport
    assert isinstance(transport, AtlasTransport)
    assert transport.config.url == "https://atlas.example.org:21443"
    assert transport.config.auth == requests.auth.HTTPBasicAuth(b"dagster", b"change-me")
    assert (transport.config.timeout, transport.config.verify) == (60.0, True)
    options = set(yaml.safe_load(block)["transport"]) - {"type"}
    assert options == {field.name for field in attr.fields(AtlasConfig)}
    variables = dict(re.findall(r"export (\w+)='?(.*?)'?\n", PAGE.read_text()))
    monkeypatch.delenv("OPENLINEAGE_CONFIG")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    other = OpenLineageClient().transport
    assert isinstance(other, AtlasTransport)
    assert other.config == transport.config


def test_the_documentation_names_every_attribute() -> None:
    page = PAGE.read_text()
    defined = type_definitions()["entityDefs"]
    attributes = {each["name"] for kind in defined for each in kind["attributeDefs"]}
    assert {name for name in attributes if f"`{name}`" not in page} == {"namespace"}


def test_facets_of_any_class_are_written_as_the_client_writes_them(fake: FakeAtlas) -> None:
    class Odd:
        pass

    made = complete()
    made.job.facets = {"sql": {"query": "select 1"}, "odd": {"x": Odd()}}  # type: ignore[dict-item]
    assert isinstance(made.outputs[0], Dataset)
    transport_to(fake).emit(made)
    [body] = [body for _, path, body in fake.requests if path == BULK]
    assert body["entities"][0]["attributes"]["query"] == "select 1"
