import json
import socket
from pathlib import Path

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent, RunState

from openlineage_dagster_core.conversion.envelope import Envelope
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facts.model import RunFacts
from openlineage_dagster_core.families import Family
from receiver import Receiver
from recorded_run import CREATED_AT, RUN_ID

RUN = RunFacts(RUN_ID, "nightly", CREATED_AT)


def event(state: RunState = RunState.START) -> RunEvent:
    return Envelope(RUN, RUN_ID, "dagster", "nightly", Family.RUN).event(state, 0.0)


def test_an_event_arrives(receiver: Receiver) -> None:
    LineageClient(5).emit(event())
    [arrived] = receiver.events
    assert arrived["eventType"] == "START"
    assert arrived["job"]["name"] == "nightly"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_answer_about_the_event_refuses_it(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda event: status
    receiver.body = "bad field"
    with pytest.raises(EventRefusedError, match="bad field") as raised:
        LineageClient(5).emit(event())
    assert raised.value.status == status
    assert receiver.requests == 1


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503])
def test_an_answer_about_anything_else_means_later(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda event: status
    with pytest.raises(BackendUnavailableError, match=str(status)):
        LineageClient(5).emit(event())
    assert receiver.requests == 1, "we retry, the client does not"


def test_marquez_says_400_in_the_body_of_a_500(receiver: Receiver) -> None:
    receiver.answer = lambda event: 500
    receiver.body = json.dumps({"code": 400, "message": "Unable to process JSON"})
    with pytest.raises(EventRefusedError, match="Unable to process JSON"):
        LineageClient(5).emit(event())


def test_a_dead_backend_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(BackendUnavailableError):
        LineageClient(5).emit(event())


def test_a_hanging_backend_is_unavailable_after_the_timeout(receiver: Receiver) -> None:
    receiver.released.clear()
    with pytest.raises(BackendUnavailableError, match="Timeout"):
        LineageClient(0.2).emit(event())


def test_the_bounds_hold_inside_a_composite_transport(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL")
    receiver.answer = lambda event: 503
    transport = {"type": "http", "url": receiver.url}
    config = {"transport": {"type": "composite", "transports": {"one": transport}}}
    with pytest.raises(BackendUnavailableError):
        LineageClient(5, OpenLineageClient(config=config)).emit(event())
    assert receiver.requests == 1


def test_a_file_transport_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "events"))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    LineageClient(5).emit(event())
    assert json.loads((tmp_path / "events").read_text())["job"]["name"] == "nightly"


def test_the_checkout_that_the_process_stands_in_is_not_the_jobs_source(receiver: Receiver) -> None:
    LineageClient(5).emit(event())
    assert receiver.events[0]["job"]["facets"].keys() == {"jobType"}


def test_a_secret_in_a_header_is_not_in_the_error(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret-key\n")
    with pytest.raises(BackendUnavailableError) as raised:
        LineageClient(5).emit(event())
    assert "s3cret" not in repr(raised.value)
    assert raised.value.__suppress_context__
    assert receiver.requests == 0
