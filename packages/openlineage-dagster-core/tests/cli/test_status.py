"""The commands `status` and `parked` with the sensor, and where neither mechanism is in sight."""

import importlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    RemoteInstigatorOrigin,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from command_line import Run
from openlineage_dagster_core.cli.delivery_status import DeliveryStatus, Waiting, waiting_after
from openlineage_dagster_core.deliverer_state import Configuration
from openlineage_dagster_core.event_log.cursor import Cursor, ParkedEvent
from orders_home import OrdersHome
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute

# Where they are depends on Dagster's version.
origins: Any = importlib.import_module(RemoteInstigatorOrigin.__module__)

CODE = ("-m", "orders_project")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Run) -> Path:
    """A home whose storage is Dagster's own."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def keep(
    instance: dg.DagsterInstance,
    cursor: str | None,
    status: InstigatorStatus = InstigatorStatus.RUNNING,
    *,
    said: str | None = None,
    ago: float = 5.0,
) -> None:
    """Keep what Dagster keeps of a sensor that was evaluated."""
    location = origins.InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path="python", module_name="m"), location_name="m"
    )
    state = InstigatorState(
        RemoteInstigatorOrigin(origins.RemoteRepositoryOrigin(location, "r"), "openlineage_sensor"),
        InstigatorType.SENSOR,
        status,
        SensorInstigatorData(cursor=cursor),
    )
    instance.add_instigator_state(state)
    instance.create_tick(
        TickData(
            state.instigator_origin_id,
            state.name,
            InstigatorType.SENSOR,
            TickStatus.SKIPPED,
            timestamp=time.time() - ago,
            skip_reason=said,
            selector_id=state.selector_id,
        )
    )


def text_of(**values: Any) -> str:
    return Cursor(**values).to_text(16_000)


def test_without_any_mechanism_the_next_step_is_said(command: Run, home: Path) -> None:
    for arguments in (["status"], ["parked", "list"], ["parked", "drop", "--all"]):
        outcome = command(*arguments)
        assert outcome.status == 2
        assert "Neither mechanism is in sight" in outcome.err


def test_deliver_is_for_the_storage_alone(
    command: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    outcome = command("deliver")
    assert outcome.status == 2
    assert "only that has a deliverer" in outcome.err
    assert "With the sensor, dagster-daemon delivers" in outcome.err


def test_a_sensor_that_is_evaluated_is_well(command: Run, instance: dg.DagsterInstance) -> None:
    keep(instance, text_of(read=12, sent=9, behind=3, behind_since=time.time() - 60))
    outcome = command("status")
    assert outcome.status == 0
    assert "sensor      openlineage_sensor runs; last evaluated:" in outcome.out
    assert "behind      3 events, 6" in outcome.out
    assert "12 events of the log as 9 OpenLineage events" in outcome.out
    as_json = command("status", "--json").json
    assert as_json["mechanism"] == "sensor"
    assert as_json["is_delivering"]
    assert as_json["sensor"]["name"] == "openlineage_sensor"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"status": InstigatorStatus.STOPPED}, "is stopped; start it in the Dagster UI"),
        ({"ago": 7200.0}, "last evaluated: 2 h ago; check that dagster-daemon runs"),
    ],
)
def test_what_waits_while_no_tick_comes_is_counted(
    command: Run, instance: dg.DagsterInstance, options: dict[str, Any], shown: str
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    keep(instance, text_of(), **options)
    outcome = command("status")
    assert outcome.status == 1
    assert "behind      10 events" in outcome.out
    assert shown in outcome.out


def test_a_tick_that_met_a_dead_backend_is_trouble(
    command: Run, instance: dg.DagsterInstance
) -> None:
    keep(instance, text_of(), said="the backend takes no events, will retry: \x1b[31mHTTP 503")
    outcome = command("status")
    assert outcome.status == 1
    assert "trouble     the backend takes no events, will retry: \\x1b[31mHTTP 503" in outcome.out


@pytest.mark.parametrize("text", ["[]", '{"version": 9}'])
def test_a_cursor_that_is_not_ours_is_said(
    command: Run, instance: dg.DagsterInstance, text: str
) -> None:
    keep(instance, text)
    outcome = command("status")
    assert outcome.status == 2
    assert "The cursor of the sensor openlineage_sensor cannot be read" in outcome.err


@pytest.fixture
def parked(instance: dg.DagsterInstance) -> str:
    """The run of an event that the sensor has parked, beside one outside any run."""
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    instance.report_runless_asset_event(dg.AssetMaterialization("outside"))
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    events = [
        ParkedEvent(run_id, records.records[0].storage_id, "ASSET_MATERIALIZATION", "refused", 1.0),
        ParkedEvent("", 1, "ASSET_MATERIALIZATION", "refused \x1b[31m", 2.0),
    ]
    keep(instance, text_of(parked=2, last_parked=events))
    return run_id


def test_what_the_sensor_parked_is_listed_and_exported(command: Run, parked: str) -> None:
    listed = command("parked", "list").out.splitlines()
    assert listed[0].startswith(f"{parked}:")
    assert listed[1].startswith(":1  ASSET_MATERIALIZATION  ")
    assert listed[1].endswith("refused \\x1b[31m")
    assert command("status").status == 1
    exported = [json.loads(line) for line in command("parked", "export", *CODE).out.splitlines()]
    jobs = [(event["job"]["name"], event["eventType"]) for event in exported]
    assert jobs[-1] == ("outside", "COMPLETE")
    assert ("raw/orders", "COMPLETE") in jobs
    assert "nightly" not in dict(jobs)


def test_a_retry_replays_the_runs_of_what_the_sensor_parked(
    command: Run, parked: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    outcome = command("parked", "retry", "--all", *CODE)
    assert outcome.status == 0
    assert "Replaying 1 runs and 1 events reported from outside any run." in outcome.out
    jobs = {event["job"]["name"] for event in receiver.events}
    assert {"nightly", "raw/orders", "revenue", "outside"} <= jobs
    before = len(receiver.events)
    assert command("parked", "retry", ":1", *CODE).status == 0
    assert {event["job"]["name"] for event in receiver.events[before:]} == {"outside"}


def test_a_retry_needs_somewhere_to_send_to(
    command: Run, parked: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("parked", "retry", "--all", *CODE)
    assert outcome.status == 2
    assert "nowhere to send to" in outcome.err


def test_the_sensors_list_moves_on_by_itself(command: Run, parked: str) -> None:
    outcome = command("parked", "drop", "--all")
    assert outcome.status == 2
    assert "the latest events replace the older ones" in outcome.err


def test_no_more_events_are_counted_than_asked_for(orders_home: OrdersHome) -> None:
    with dg.DagsterInstance.from_config(str(orders_home.path)) as instance:
        whole, part = waiting_after(instance, Cursor()), waiting_after(instance, Cursor(), 5)
    assert (whole.events, whole.is_at_least) == (26, False)
    assert part.is_at_least
    assert str(part).startswith("at least ")


def test_the_parts_in_which_configurations_differ_are_named() -> None:
    one = Configuration("1", {"a": "x", "b": "y"})
    other = Configuration("2", {"a": "z", "b": "y", "c": "n"})

    def status(*found: Configuration) -> DeliveryStatus:
        return DeliveryStatus(None, True, None, Waiting(), configurations=list(found))

    assert status(one).differing_parts == []
    assert status(one, other).differing_parts == ["a", "c"]
