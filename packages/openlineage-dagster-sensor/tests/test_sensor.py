"""The sensor evaluated against real instances and a real receiver."""

import functools
import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType

from bare_storages import one_file
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.facts import event_log
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.run_records import run_records
from openlineage_dagster_sensor import openlineage_sensor, sensor
from openlineage_dagster_sensor.sensor import UP_TO_DATE
from orders_project import DEFINITIONS, NIGHTLY_JOBS
from receiver import Receiver
from recorded_run import execute, states_by_run


@pytest.fixture(params=["a log a run", "one log"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = one_file(tmp_path) if request.param == "one log" else {}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        yield instance


def tick(
    instance: dg.DagsterInstance, cursor: str | None = None, **options: Any
) -> tuple[str, str | None]:
    """Evaluate once; the reason and the cursor."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=DEFINITIONS)
    result = openlineage_sensor(**options)(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or "", context.cursor


def names(events: list[dict[str, Any]]) -> set[str]:
    return {event["job"]["name"] for event in events}


def test_a_tick_sends_what_happened(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    execute(DEFINITIONS, "nightly", instance)
    reason, _ = tick(instance)
    assert names(receiver.events) == NIGHTLY_JOBS
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]
    assert reason == "read 10 events, sent 10, parked 0"


def test_an_argument_that_does_not_exist_fails_and_names_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'namespace'"):
        openlineage_sensor(namespaces="lake")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="resolve_run_tags"):
        openlineage_sensor(resolve_run_tags=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("level", ["INFO", "WARNING"])
def test_a_console_that_shows_nothing_is_said_in_the_reason(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    level: str,
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "console")
    caplog.set_level(level)
    execute(DEFINITIONS, "nightly", instance)
    reason, cursor = tick(instance)
    assert ("the console transport printed nothing" in reason) == (level == "WARNING")
    assert tick(instance, cursor)[0] == UP_TO_DATE


def test_options_reach_the_events(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    execute(DEFINITIONS, "nightly", instance)
    tick(instance, asset_run_parent="step", dagster_url="http://localhost:3000")
    [start] = [
        event
        for event in receiver.events
        if event["job"]["name"] == "raw/orders" and event["eventType"] == "START"
    ]
    facets = start["run"]["facets"]
    assert facets["parent"]["job"]["name"] == "nightly.raw__orders"
    assert facets["dagster_run"]["url"].startswith("http://localhost:3000/runs/")


def test_a_function_of_the_users_that_is_missing_is_an_error_at_once() -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        openlineage_sensor(facet_providers=["nowhere.at_all:provide"])


def test_the_next_tick_sends_only_what_is_new(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    _, cursor = tick(instance)
    first = len(receiver.events)
    _, cursor = tick(instance, cursor)
    assert len(receiver.events) == first
    execute(DEFINITIONS, "doomed", instance)
    tick(instance, cursor)
    assert "fails" in names(receiver.events[first:])


def test_a_limited_tick_goes_on_where_it_stopped(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    cursor = None
    reasons = []
    for _ in range(5):
        reason, cursor = tick(instance, cursor, record_filter_limit=3)
        reasons.append(reason)
    assert "the rest follows" in reasons[0]
    assert reasons[-1] == UP_TO_DATE
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_a_limit_of_0_is_no_limit(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor, "DEFAULT_EVENTS_A_TICK", 2)
    execute(DEFINITIONS, "nightly", instance)
    reason, _ = tick(instance)
    assert "the rest follows" in reason
    receiver.events.clear()
    reason, _ = tick(instance, record_filter_limit=0)
    assert reason == "read 10 events, sent 10, parked 0"
    assert len(receiver.events) == 10


def test_an_asset_that_fails_at_once_has_its_edges(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "doomed", instance)
    tick(instance)
    [failed] = [
        event
        for event in receiver.events
        if event["job"]["name"] == "fails" and event["eventType"] == "FAIL"
    ]
    [upstream] = failed["inputs"]
    assert upstream["name"] == "raw/orders"
    assert upstream["facets"]["documentation"]["description"] == "Orders of the day."


def test_run_tags_resolve_in_the_namespace(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "tenant", instance)
    tick(instance, namespace="corp", namespace_template="{namespace}/{tag:tenant}")
    assert {event["job"]["namespace"] for event in receiver.events} == {"corp/acme"}


def test_a_dead_backend_loses_nothing_and_says_so(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    reason, cursor = tick(instance)
    assert "takes no events" in reason
    sensor._clients.cache_clear()
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    tick(instance, cursor)
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_a_backend_that_stops_midway_costs_no_event(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    receiver.answer = lambda event: 201 if receiver.requests <= 4 else 503
    _, cursor = tick(instance)
    assert len(receiver.events) == 4
    receiver.answer = lambda event: 201
    tick(instance, cursor)
    assert len(receiver.events) == 10
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_a_refused_event_does_not_hold_up_the_rest(
    instance: dg.DagsterInstance, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    receiver.answer = lambda event: 422 if event["job"]["name"] == "nightly" else 201
    reason, cursor = tick(instance)
    assert "parked 2" in reason
    assert "raw/orders" in names(receiver.events)
    assert "RUN_START" in caplog.text
    assert tick(instance, cursor)[0] == UP_TO_DATE


def test_without_asset_events_runs_and_steps_are_sent(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    tick(instance, include_asset_events=False)
    assert names(receiver.events) == {"nightly", "nightly.raw__orders", "nightly.revenue"}


def test_only_the_concerned_events_are_sent(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    tick(instance, concerned_event_types={DagsterEventType.RUN_SUCCESS})
    assert [(e["job"]["name"], e["eventType"]) for e in receiver.events] == [
        ("nightly", "COMPLETE")
    ]


def last_status_change(instance: dg.DagsterInstance) -> int:
    [record] = instance.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, limit=1).records
    return record.storage_id


@pytest.mark.parametrize("says", ["option", "cursor of 0.2"])
def test_what_was_before_a_storage_id_is_left_out_and_what_comes_after_is_not(
    instance: dg.DagsterInstance, receiver: Receiver, says: str
) -> None:
    for _ in range(3):
        execute(DEFINITIONS, "nightly", instance)
    last = last_status_change(instance)
    if says == "option":
        _, cursor = tick(instance, after_storage_id=last)
    else:
        _, cursor = tick(instance, f'{{"last_storage_id": {last}, "running_pipelines": {{}}}}')
    assert receiver.events == []
    execute(DEFINITIONS, "tenant", instance)
    tick(instance, cursor)
    assert names(receiver.events) == {"tenant", "tenant.raw__orders", "raw/orders"}


@pytest.mark.parametrize("at", ["RUN_START", "STEP_START", "ASSET_MATERIALIZATION"])
def test_a_run_that_a_cursor_of_0_2_stands_in_is_delivered_whole(
    instance: dg.DagsterInstance, receiver: Receiver, at: str
) -> None:
    """Its steps had their START under other names: here they would only end."""
    if at == "STEP_START" and instance.event_log_storage.is_run_sharded:
        pytest.skip("the index of all runs has no such events")
    execute(DEFINITIONS, "nightly", instance)
    before = last_status_change(instance)
    run_id = execute(DEFINITIONS, "tenant", instance).run_id
    if at == "RUN_START":
        [last] = instance.fetch_run_status_changes(DagsterEventType[at], limit=1).records
    else:
        wanted = dg.EventRecordsFilter(DagsterEventType[at])
        [last] = instance.event_log_storage.get_event_records(wanted, limit=1)
    assert (last.run_id, last.storage_id > before) == (run_id, True)
    step = {"step_run_id": str(uuid.uuid4()), "input_datasets": [], "output_datasets": []}
    running = {
        "running_steps": {} if at == "RUN_START" else {"raw__orders": step},
        "repository_name": None,
        "planned_asset_paths": [["raw", "orders"]],
    }
    old = {"last_storage_id": last.storage_id, "running_pipelines": {run_id: running}}
    _, cursor = tick(instance, json.dumps(old))
    assert names(receiver.events) == {"tenant", "tenant.raw__orders", "raw/orders"}
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]
    sent = len(receiver.events)
    tick(instance, cursor)
    assert len(receiver.events) == sent


def test_a_tick_that_is_out_of_time_goes_on_in_the_middle_of_an_event(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    receiver.delay = 0.2
    cursor, reasons = None, [""]
    while reasons[-1] != UP_TO_DATE:
        # Each time in another process, as it were: only the cursor's text is kept.
        reason, cursor = tick(instance, cursor, tick_timeout=0.3)
        reasons.append(reason)
        assert len(reasons) < 50
    assert any("behind" in reason for reason in reasons)
    assert len(receiver.events) == 10
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]
    assert Cursor.from_text(cursor).partly == {}


def test_a_run_that_cannot_be_read_holds_up_no_other_and_is_tried_again(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not instance.event_log_storage.is_run_sharded:
        pytest.skip("the runs share one log")
    runs = [execute(DEFINITIONS, "nightly", instance).run_id for _ in range(3)]
    read = EventTables.rows

    def broken(self: EventTables, *args: Any, **options: Any) -> Any:
        if options.get("run_id") == runs[1]:
            raise RuntimeError("connection lost")
        return read(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(EventTables, "rows", broken)
        reason, cursor = tick(instance)
        assert "1 runs cannot be read" in reason
        assert len(receiver.events) == 20
        assert "1 runs cannot be read" in tick(instance, cursor)[0]
    tick(instance, cursor)
    assert len(receiver.events) == 30
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_a_database_that_fails_once_costs_no_event(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    failures = iter([True])

    def fails_once(*args: Any) -> Any:
        if next(failures, False):
            raise RuntimeError("connection lost")
        return run_records(*args)

    monkeypatch.setattr(event_log, "run_records", fails_once)
    reason, cursor = tick(instance)
    assert "cannot be read, will retry" in reason
    tick(instance, cursor)
    assert len(receiver.events) == 10


def test_a_run_that_was_forgotten_in_a_long_tick_is_not_taken_for_a_new_one(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many events of others may come between two of a run's; here one is enough."""
    forgetful = functools.partial(EventLogFacts, events_remembered=1)
    monkeypatch.setattr(sensor, "EventLogFacts", forgetful)
    for job in ("nightly", "doomed"):
        execute(DEFINITIONS, job, instance)
    cursor = None
    for _ in range(20):
        _, cursor = tick(instance, cursor, record_filter_limit=3)
    for states in states_by_run(receiver.events).values():
        assert states[0] == "START"
        assert states[-1] in {"COMPLETE", "FAIL"}
    assert "fails" in {
        each["job"]["name"] for each in receiver.events if each["eventType"] == "FAIL"
    }


def test_on_an_instance_that_mechanism_a_wraps_it_sends_nothing_and_says_why(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = instance.event_log_storage
    monkeypatch.setattr(storage, "openlineage_mechanism", "storage", raising=False)
    execute(DEFINITIONS, "nightly", instance)
    reason, _ = tick(instance)
    assert "OpenLineageEventLogStorage" in reason
    assert receiver.requests == 0


def test_without_a_transport_it_says_what_to_do(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "set OPENLINEAGE_URL" in tick(instance)[0]


def test_disabled_it_says_so(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    execute(DEFINITIONS, "nightly", instance)
    assert "OPENLINEAGE_DISABLED" in tick(instance)[0]
    assert receiver.requests == 0


def test_it_runs_by_default_every_half_minute() -> None:
    made = openlineage_sensor()
    assert made.name == "openlineage_sensor"
    assert made.default_status is dg.DefaultSensorStatus.RUNNING
    assert made.minimum_interval_seconds == 30


def test_the_arguments_of_0_2_keep_their_places() -> None:
    made = openlineage_sensor("tail", "words", None, 300, 30, 0, True)
    assert (made.name, made.description, made.minimum_interval_seconds) == ("tail", "words", 300)


@pytest.mark.parametrize(
    ("options", "option", "allowed"),
    [
        ({"namespace_template": "{tenant}"}, "namespace_template", "{tag:KEY}"),
        ({"namespace": ""}, "namespace", "not empty"),
        ({"timeout": 0}, "timeout", "> 0"),
        ({"record_filter_limit": -1}, "record_filter_limit", ">= 0"),
        ({"concerned_event_types": ["STEP_START"]}, "concerned_event_types", "DagsterEventType"),
    ],
)
def test_a_wrong_argument_fails_when_the_definitions_are_loaded(
    options: dict[str, Any], option: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        openlineage_sensor(**options)
    assert raised.value.option == option
    assert allowed in str(raised.value)


def test_a_malformed_url_fails_when_the_definitions_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "marquez:5000")
    with pytest.raises(ConfigurationError, match="OPENLINEAGE_URL"):
        openlineage_sensor()
