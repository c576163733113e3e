"""Kafka as the backend: what the event log holds is in the topic, whatever the broker does."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from openlineage.client.event_v2 import OutputDataset, RunState
from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet

import orders_project
import sensor_project
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from delivery import has_delivered_all, state_of, wait_until_delivered
from every_event_is_valid import check
from everything_delivered import check_everything_delivered
from kafka_server import KafkaBroker, Topic, make_topic
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.version import PRODUCER
from recorded_run import execute
from sensor_daemon import SensorDaemon
from small_event import event

SECONDS = 300.0
TRANSFORM = "openlineage.client.transport.transform"
PATIENCE = "1000"
"""How many milliseconds the producer tries to send an event, where there is nobody to take it."""


@pytest.fixture
def nowhere() -> Iterator[Topic]:
    """A topic of a broker that is not there."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # Bound and not listening: nobody else gets the port, and connections are refused.
        yield Topic(f"127.0.0.1:{closed.getsockname()[1]}", "runs")


def send_to(topic: Topic, monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    """Have the processes and the clients that this one makes send there."""
    for name, value in topic.environment(**options).items():
        monkeypatch.setenv(name, value)


def wait_until_all_is_sent(instance: dg.DagsterInstance) -> None:
    wait_until_delivered(instance, SECONDS)
    assert has_delivered_all(instance)


def trouble(instance: dg.DagsterInstance) -> str:
    """Why the deliverer sends nothing."""
    heartbeat = state_of(instance).heartbeat
    return heartbeat.trouble if heartbeat is not None else ""


def valid_events(topic: Topic) -> list[dict[str, Any]]:
    events = topic.events()
    for each in events:
        check(each)
    return events


@pytest.mark.parametrize("waits", ["true", "false"])
def test_an_event_that_the_broker_has_taken_is_in_the_topic_when_it_is_sent(
    kafka_topic: Topic, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    send_to(kafka_topic, monkeypatch)
    # Without it openlineage-python leaves it to a later moment whether anything is sent at all.
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__FLUSH", waits)
    client = LineageClient(5)
    for state in (RunState.START, RunState.COMPLETE):
        client.emit(event(state))
        assert kafka_topic.events()[-1]["eventType"] == state.value
    client.close()
    assert [message.key for message in kafka_topic.messages()] == ["run:dagster/nightly"] * 2


def test_an_event_that_no_broker_takes_is_unavailable_and_not_sent(
    nowhere: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_to(nowhere, monkeypatch)
    client = LineageClient(1)
    with pytest.raises(BackendUnavailableError, match="Connection refused"):
        client.emit(event())
    client.close()


def test_what_the_user_says_of_the_producer_counts(
    nowhere: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With the limit of an hour the test would not end.
    send_to(nowhere, monkeypatch, message_timeout_ms=PATIENCE)
    client = LineageClient(3600)
    with pytest.raises(BackendUnavailableError):
        client.emit(event())
    client.close()


def test_the_broker_is_waited_for_inside_other_transports_too(
    nowhere: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = nowhere.environment()
    kafka = {
        "type": "kafka",
        "topic": environment["OPENLINEAGE__TRANSPORT__TOPIC"],
        "config": json.loads(environment["OPENLINEAGE__TRANSPORT__CONFIG"]),
    }
    renamed = {
        "type": "transform",
        "transport": kafka,
        "transformer_class": f"{TRANSFORM}.JobNamespaceReplaceTransformer",
        "transformer_properties": {"new_job_namespace": "other"},
    }
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "composite")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TRANSPORTS", json.dumps([renamed, kafka]))
    client = LineageClient(1)
    with pytest.raises(BackendUnavailableError):
        client.emit(event())
    client.close()


@pytest.mark.parametrize("by", ["the broker", "the producer"])
def test_an_event_that_is_too_large_for_the_topic_is_refused_and_the_next_one_is_sent(
    kafka_server: str, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    limit = {"max.message.bytes": "10000"} if by == "the broker" else {}
    topic = make_topic(kafka_server, config=limit)
    send_to(topic, monkeypatch, **({} if limit else {"message_max_bytes": "10000"}))
    large = event()
    facet = DocumentationDatasetFacet("w" * 20_000, producer=PRODUCER)
    large.outputs = [OutputDataset("n", "o", facets={"documentation": facet})]
    client = LineageClient(5)
    with pytest.raises(EventRefusedError) as raised:
        client.emit(large)
    assert "too large" in raised.value.in_full
    client.emit(event())
    client.close()
    assert [each["outputs"] for each in topic.events()] == [[]]


def test_runs_in_processes_of_their_own_are_in_the_topic_in_the_order_of_their_logs(
    tmp_path: Path, kafka_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = DagsterHome(tmp_path / "home", None, environ=kafka_topic.environment())
    for job, succeeds in (("nightly", True), ("doomed", False)):
        assert (home.start_job("orders_project", job).wait(SECONDS) == 0) is succeeds
    send_to(kafka_topic, monkeypatch)
    with home.instance() as instance:
        wait_until_all_is_sent(instance)
        events = valid_events(kafka_topic)
        assert check_delivered(instance, events, orders_project.DEFINITIONS) == len(events)
    assert "rdkafka" not in (home.path / "process.log").read_text()


def test_the_events_of_a_run_are_in_one_partition_and_in_order(
    tmp_path: Path, kafka_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic(kafka_server, partitions=4)
    send_to(topic, monkeypatch)
    home = DagsterHome(tmp_path / "home", None)
    with home.instance() as instance:
        for job in ("nightly", "doomed", "nightly"):
            execute(orders_project.DEFINITIONS, job, instance)
        wait_until_all_is_sent(instance)
    partitions: dict[str, set[int]] = {}
    types: dict[str, list[str]] = {}
    for message in topic.messages():
        found = json.loads(message.value)
        run_id = found["run"]["runId"]
        partitions.setdefault(run_id, set()).add(message.partition)
        types.setdefault(run_id, []).append(found["eventType"])
    assert {len(of_run) for of_run in partitions.values()} == {1}
    assert len(set.union(*partitions.values())) > 1
    assert {tuple(of_run) for of_run in types.values()} == {
        ("START", "COMPLETE"),
        ("START", "FAIL"),
    }


def test_events_for_a_wrong_address_are_delivered_once_a_process_has_the_right_one(
    tmp_path: Path, nowhere: Topic, kafka_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = DagsterHome(tmp_path / "home", None, environ=nowhere.environment())
    assert home.start_job("orders_project", "nightly").wait(SECONDS) == 0
    assert "rdkafka" not in (home.path / "process.log").read_text()
    # The deliverer that has the wrong address ends for one that has the new one.
    home.environ = kafka_topic.environment()
    assert home.start_job("orders_project", "tenant").wait(SECONDS) == 0
    send_to(kafka_topic, monkeypatch)
    with home.instance() as instance:
        wait_until_all_is_sent(instance)
        events = valid_events(kafka_topic)
        assert check_delivered(instance, events, orders_project.DEFINITIONS) == len(events)


def test_events_of_a_time_when_the_broker_was_down_are_delivered_when_it_is_back(
    tmp_path: Path, stopped_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_broker.start()
    topic = make_topic(stopped_broker.servers)
    send_to(topic, monkeypatch, message_timeout_ms=PATIENCE)
    home = DagsterHome(tmp_path / "home", None)
    with home.instance() as instance:
        execute(orders_project.DEFINITIONS, "nightly", instance)
        wait_until_all_is_sent(instance)
        stopped_broker.stop()
        execute(orders_project.DEFINITIONS, "doomed", instance)
        wait_until(lambda: bool(trouble(instance)), SECONDS, "the error", 0.2)
        execute(orders_project.DEFINITIONS, "tenant", instance)
        stopped_broker.start()
        wait_until_all_is_sent(instance)
        assert check_delivered(instance, valid_events(topic), orders_project.DEFINITIONS) > 0
        assert not trouble(instance)


def test_the_sensor_sends_all_that_happens_and_what_happens_while_the_broker_is_down(
    tmp_path: Path, stopped_broker: KafkaBroker
) -> None:
    stopped_broker.start()
    topic = make_topic(stopped_broker.servers)
    home = DagsterHome(
        tmp_path / "home",
        None,
        environ=topic.environment(message_timeout_ms=PATIENCE),
        content={"telemetry": {"enabled": False}},
    )
    with home.instance() as instance:
        daemon = SensorDaemon(home, instance, "sensor_project")
        daemon.start()
        try:
            execute(sensor_project.DEFINITIONS, "nightly", instance)
            daemon.wait_until_all_is_sent()
            events = valid_events(topic)
            assert check_everything_delivered(instance, events, sensor_project.DEFINITIONS) == len(
                events
            )
            daemon.check_nothing_went_wrong()
            stopped_broker.stop()
            for job, options in sensor_project.SHORT_JOBS:
                execute(sensor_project.DEFINITIONS, job, instance, **options)
            wait_until(
                lambda: any("Kafka" in (tick.skip_reason or "") for tick in daemon.ticks()),
                SECONDS,
                "a tick that says that Kafka is down",
            )
            stopped_broker.start()
            daemon.wait_until_all_is_sent()
            assert (daemon.cursor().parked, daemon.cursor().behind) == (0, 0)
        finally:
            daemon.stop()
        check_everything_delivered(instance, valid_events(topic), sensor_project.DEFINITIONS)
