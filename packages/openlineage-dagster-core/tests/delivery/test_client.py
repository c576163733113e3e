import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    OutputDataset,
    RunEvent,
    StaticDataset,
)
from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet
from openlineage.client.generated.tags_job import TagsJobFacet, TagsJobFacetFields
from openlineage.client.transport import Config, Transport

from openlineage_dagster_core import serialisation
from openlineage_dagster_core.delivery.client import LineageClient, PreparedEvent, connect
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER
from receiver import Receiver
from small_event import event


def test_an_event_arrives(receiver: Receiver) -> None:
    LineageClient(5).emit(event())
    [arrived] = receiver.events
    assert arrived["eventType"] == "START"
    assert arrived["job"]["name"] == "nightly"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_answer_about_the_event_refuses_it(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda event: status
    receiver.body = "bad field"
    with pytest.raises(EventRefusedError) as raised:
        LineageClient(5).emit(event())
    assert str(raised.value) == f"refused with {status}", "the answer may repeat the event"
    assert raised.value.in_full == f"refused with {status}: bad field"
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
    with pytest.raises(EventRefusedError) as raised:
        LineageClient(5).emit(event())
    assert "Unable to process JSON" in raised.value.answer


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


def test_a_composite_transport_says_of_a_single_failure_what_it_is_told_to(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL")
    receiver.answer = lambda event: 503
    transports = {
        "file": {"type": "file", "log_file_path": str(tmp_path / "events"), "append": True},
        "http": {"type": "http", "url": receiver.url},
    }
    config: dict[str, Any] = {"type": "composite", "transports": transports}
    LineageClient(5, OpenLineageClient(config={"transport": config})).emit(event())
    config["continue_on_failure"] = False
    with pytest.raises(BackendUnavailableError):
        LineageClient(5, OpenLineageClient(config={"transport": config})).emit(event())


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


def tagged_event(tags: TagsJobFacet) -> RunEvent:
    made = event()
    assert made.job.facets is not None
    made.job.facets["tags"] = tags
    return made


def large_event(job: str, length: int = 5000) -> RunEvent:
    made = event()
    made.job.name = job
    facet = DocumentationDatasetFacet("w" * length, producer=PRODUCER)
    made.outputs = [OutputDataset("n", "o", facets={"documentation": facet})]
    return made


@pytest.mark.parametrize("is_shared", [True, False])
def test_sending_does_not_change_a_facet_that_events_share(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TAGS__JOB__TEAM", "blue")
    monkeypatch.setenv("OPENLINEAGE__TAGS__RUN__SHIFT", "night")
    own = TagsJobFacetFields("Team", "red", "DAGSTER")
    tags = TagsJobFacet(tags=[own, TagsJobFacetFields("a", "b", "DAGSTER")], producer=PRODUCER)
    tags = shared(tags) if is_shared else tags
    LineageClient(5).emit(tagged_event(tags))
    monkeypatch.delenv("OPENLINEAGE__TAGS__JOB__TEAM")
    LineageClient(5).emit(tagged_event(tags))
    assert tags.tags == [own, TagsJobFacetFields("a", "b", "DAGSTER")]
    with_ours, as_it_was = (
        {tag["key"]: tag["value"] for tag in arrived["job"]["facets"]["tags"]["tags"]}
        for arrived in receiver.events
    )
    assert with_ours == {"Team": "blue", "a": "b"}
    assert as_it_was == {"Team": "red", "a": "b"}
    run_tags = receiver.events[0]["run"]["facets"]["tags"]["tags"]
    assert {"key": "shift", "value": "night", "source": "USER"} in run_tags


def test_a_shared_facet_of_tags_that_the_client_leaves_alone_is_written_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = shared(TagsJobFacet(tags=[TagsJobFacetFields("a", "b", "c")], producer=PRODUCER))
    sent: list[Any] = []
    write = serialisation.to_json
    monkeypatch.setattr(serialisation, "to_json", lambda made: sent.append(made) or write(made))
    LineageClient(5).emit(tagged_event(tags))
    assert sent[0].job.facets["tags"] is tags


def test_datasets_are_reduced_and_events_filtered_where_that_is_configured(
    receiver: Receiver,
) -> None:
    config: dict[str, Any] = {
        "dataset": {"reducing_enabled": True},
        "filters": [{"type": "exact", "match": "unwanted"}],
    }
    client = LineageClient(5, OpenLineageClient(config=config))
    made = event()
    made.inputs = [
        InputDataset("s3://bucket", f"data/orders/dt=2026-01-0{day}", facets={}) for day in (5, 6)
    ]
    unwanted = event()
    unwanted.job.name = "unwanted"
    client.emit(unwanted)
    client.emit(made)
    [arrived] = receiver.events
    assert [dataset["name"] for dataset in arrived["inputs"]] == ["data/orders"]
    assert len(made.inputs) == 2


def test_a_disabled_client_sends_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    LineageClient(5).emit(event())
    assert receiver.requests == 0


def test_an_event_that_json_cannot_hold_is_refused(receiver: Receiver) -> None:
    made = event()
    assert made.run.facets is not None
    made.run.facets["odd"] = {"number": float("nan")}  # type: ignore[assignment]
    with pytest.raises(EventRefusedError) as raised:
        LineageClient(5).emit(made)
    assert "not written as JSON" in raised.value.in_full
    assert raised.value.status is None
    assert receiver.requests == 0


def test_an_event_that_is_too_large_loses_facets_and_the_log_says_so_once_for_each_job(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    client = LineageClient(5, max_event_size=4000)
    with caplog.at_level(logging.WARNING, "openlineage_dagster_core"):
        for job in ("nightly", "nightly", "hourly"):
            client.emit(large_event(job))
        client.emit(large_event("small", 100))
    assert [arrived["outputs"][0]["facets"].keys() for arrived in receiver.events] == [
        *[set()] * 3,
        {"documentation"},
    ]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "dagster/nightly" in said[0]
    assert "4000 bytes" in said[0]
    assert "outputs[0].facets.documentation" in said[0]
    assert "dagster/hourly" in said[1]


def test_the_log_names_some_of_many_facets(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openlineage_dagster_core.delivery.client.REMEMBERED_JOBS", 1)
    facet = DocumentationDatasetFacet("w" * 500, producer=PRODUCER)
    wide = event()
    wide.outputs = [OutputDataset("n", "o", facets={f"custom{i}": facet for i in range(30)})]
    dataset = DatasetEvent(
        eventTime=wide.eventTime,
        dataset=StaticDataset("n", "d", facets={"documentation": facet}),
        producer=PRODUCER,
    )
    client = LineageClient(5, max_event_size=500)
    with caplog.at_level(logging.WARNING, "openlineage_dagster_core"):
        client.emit(wide)
        client.emit(dataset)
        client.emit(wide)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3, "the first is forgotten"
    assert said[0].count(".facets.") == 20
    assert " and 11 more;" in said[0], "30 of the output and the run's tags"
    assert "n/d is larger" in said[1]
    assert "without dataset.facets.documentation;" in said[1]


def test_the_limit_holds_for_every_transport(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "events"))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    LineageClient(5, max_event_size=4000).emit(large_event("nightly"))
    assert json.loads((tmp_path / "events").read_text())["outputs"][0]["facets"] == {}


class FailingTransport(Transport):
    """Raises what a library would raise."""

    kind = "failing"
    config_class = Config

    def __init__(self, error: Exception) -> None:
        self.error = error

    def emit(self, event: Any) -> None:
        raise RuntimeError(f"failed to send {event}") from self.error


class BotocoreLikeError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__("An error occurred")
        self.response = {
            "Error": {"Message": "wrong run"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


def test_a_status_that_a_library_hides_decides_what_becomes_of_the_event() -> None:
    refusing = OpenLineageClient(transport=FailingTransport(BotocoreLikeError(422)))
    with pytest.raises(EventRefusedError) as refused:
        LineageClient(5, refusing).emit(event())
    assert refused.value.status == 422
    assert refused.value.answer == "wrong run"
    for status in (403, 429, 503):
        failing = OpenLineageClient(transport=FailingTransport(BotocoreLikeError(status)))
        with pytest.raises(BackendUnavailableError, match=f"HTTP {status}") as raised:
            LineageClient(5, failing).emit(event())
        assert raised.value.status == status


def test_the_cause_of_a_wrapped_failure_is_named() -> None:
    error = requests.ConnectionError("no route to host")
    client = LineageClient(5, OpenLineageClient(transport=FailingTransport(error)))
    with pytest.raises(BackendUnavailableError, match=r"^ConnectionError: no route to host$"):
        client.emit(event())


def test_a_failure_that_the_caller_handles_is_not_that_of_the_event() -> None:
    client = LineageClient(5, OpenLineageClient(transport=FailingTransport(ValueError())))
    try:
        raise EventRefusedError(422, "another event")  # noqa: TRY301
    except EventRefusedError:
        with pytest.raises(BackendUnavailableError, match="RuntimeError"):
            client.emit(event())


@pytest.mark.parametrize("status", [422, 503])
def test_a_strict_composite_transport_hides_no_status(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    receiver.answer = lambda event: status
    receiver.body = "bad field"
    inner = {"type": "http", "url": receiver.url}
    config = {"type": "composite", "transports": [inner], "continue_on_failure": False}
    with pytest.raises((EventRefusedError, BackendUnavailableError)) as raised:
        LineageClient(5, OpenLineageClient(config={"transport": config})).emit(event())
    assert isinstance(raised.value, EventRefusedError | BackendUnavailableError)
    assert isinstance(raised.value, EventRefusedError) is (status == 422)
    assert (raised.value.status, raised.value.answer) == (status, "bad field")


def test_preparing_does_not_touch_the_network_and_any_client_sends(receiver: Receiver) -> None:
    clients = connect(5, 1_000_000, connections=3)
    made = [event(name=str(index)) for index in range(3)]
    prepared = [clients[0].prepare(each) for each in made]
    assert receiver.requests == 0
    for client, each in zip(clients, prepared, strict=True):
        client.send(each)
    assert [arrived["job"]["name"] for arrived in receiver.events] == ["0", "1", "2"]
    first = prepared[0]
    assert first.name == "dagster/0"
    assert first.event is None
    assert first.text is not None
    assert first.size == len(first.text.encode())


def test_a_transport_that_takes_no_text_gets_the_prepared_event(tmp_path: Path) -> None:
    config = {"type": "file", "log_file_path": str(tmp_path / "events"), "append": True}
    client = LineageClient(5, OpenLineageClient(config={"transport": config}))
    prepared = client.prepare(event())
    assert prepared.text is None
    assert prepared.event is not None
    assert prepared.size == len(serialisation.to_json(prepared.event))
    client.send(prepared)
    assert json.loads((tmp_path / "events").read_text())["job"]["name"] == "nightly"
    with pytest.raises(BackendUnavailableError):
        client.send(PreparedEvent("dagster/nightly", 2, "{}", None))


def test_an_event_that_is_filtered_or_not_sent_is_prepared_as_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"filters": [{"type": "exact", "match": "nightly"}]}
    filtering = LineageClient(5, OpenLineageClient(config=config))
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    for client in (filtering, LineageClient(5)):
        prepared = client.prepare(event())
        assert prepared == PreparedEvent("dagster/nightly", 0, None, None)
        client.send(prepared)
    assert receiver.requests == 0


def test_an_event_that_cannot_be_completed_is_refused_without_its_secrets(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: OpenLineageClient, event: Any) -> Any:
        raise LookupError("s3cret")

    monkeypatch.setattr(OpenLineageClient, "update_event_tags_facets", fail)
    with pytest.raises(EventRefusedError) as raised:
        LineageClient(5).prepare(event())
    assert raised.value.in_full == "refused: not prepared: LookupError"
    assert raised.value.__suppress_context__


def test_an_event_that_json_cannot_hold_is_refused_for_every_transport() -> None:
    made = event()
    assert made.run.facets is not None
    made.run.facets["odd"] = {"number": float("nan")}  # type: ignore[assignment]
    client = LineageClient(5, OpenLineageClient(transport=FailingTransport(ValueError())))
    with pytest.raises(EventRefusedError, match="refused"):
        client.prepare(made)
