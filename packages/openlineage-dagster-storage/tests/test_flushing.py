"""At the end of a run in a container, its lineage is waited for, and not for long."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from log_entries import log_line, run_of_steps, step_event
from openlineage_dagster_core.deliverer_state import (
    CURSOR_ROW,
    HEARTBEAT_ROW,
    Heartbeat,
    this_host,
)
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.opening import open_log
from openlineage_dagster_core.event_log.reader import DoneEvent
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_storage import flushing
from openlineage_dagster_storage.flushing import is_container, wait_for_delivery

PATIENCE = 1.5
ONE_FILE = "ConsolidatedSqliteEventLogStorage"


@pytest.fixture(params=["a file a run", "one file"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides: dict[str, Any] = {}
    if request.param == "one file":
        overrides["event_log_storage"] = {
            "module": "dagster._core.storage.event_log",
            "class": ONE_FILE,
            "config": {"base_dir": str(tmp_path / "log")},
        }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        run = dg.DagsterRun(job_name="j", run_id="run")
        made.add_run(run)
        for entry in run_of_steps("run", time.time(), []):
            made.event_log_storage.store_event(entry)
        # What Dagster stores after the end of a run is of no interest.
        made.event_log_storage.store_event(log_line("run", time.time()))
        yield made


@pytest.fixture(autouse=True)
def container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")


def write(instance: dg.DagsterInstance, cursor: Cursor | None, **heartbeat: Any) -> None:
    now = time.time()
    said = Heartbeat(at=now, next_by=now + 30, namespace=this_host().namespace, **heartbeat)
    rows = {HEARTBEAT_ROW: said.to_text()}
    if cursor is not None:
        rows[CURSOR_ROW] = cursor.to_text(60_000)
    KeyValues(instance).put(rows)


def read_all(instance: dg.DagsterInstance, *, leaves: int = 0) -> Cursor:
    """Deliver what is stored, but for the last events."""
    cursor = Cursor()
    reader = open_log(instance, cursor)
    events = [event for batch in reader.read() for event in batch]
    reader.settle(
        DoneEvent(event.id, event.timestamp, False) for event in events[: len(events) - leaves]
    )
    return cursor


def waited(instance: dg.DagsterInstance, timeout: float | None = PATIENCE) -> float:
    began = time.monotonic()
    wait_for_delivery(instance, "run", timeout)
    return time.monotonic() - began


def test_a_run_that_is_delivered_is_not_waited_for(instance: dg.DagsterInstance) -> None:
    write(instance, read_all(instance))
    assert waited(instance) < PATIENCE


def test_a_run_that_is_not_delivered_is_waited_for_until_the_time_is_up(
    instance: dg.DagsterInstance,
) -> None:
    assert waited(instance) >= PATIENCE, "there is no deliverer"
    write(instance, read_all(instance, leaves=1))
    assert waited(instance) >= PATIENCE


def test_a_deliverer_that_lives_elsewhere_is_not_waited_for(instance: dg.DagsterInstance) -> None:
    now = time.time()
    heartbeat = Heartbeat(at=now, next_by=now + 30, namespace="elsewhere", pid=1)
    KeyValues(instance).put({HEARTBEAT_ROW: heartbeat.to_text()})
    assert waited(instance) < PATIENCE
    stored = KeyValues(instance).get([HEARTBEAT_ROW])[HEARTBEAT_ROW]
    assert Heartbeat.from_text(stored) == heartbeat


def test_what_is_delivered_meanwhile_ends_the_wait(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(instance, read_all(instance, leaves=2))
    polls = 0

    def sleep(_: float) -> None:
        nonlocal polls
        polls += 1
        write(instance, read_all(instance))

    monkeypatch.setattr(flushing.time, "sleep", sleep)
    assert waited(instance) < PATIENCE
    assert polls == 1


def test_events_of_other_runs_that_come_later_are_not_waited_for(
    instance: dg.DagsterInstance,
) -> None:
    cursor = read_all(instance)
    instance.event_log_storage.store_event(step_event("another", time.time()))
    write(instance, cursor)
    assert waited(instance) < PATIENCE


def test_outside_containers_it_is_waited_only_where_the_option_says_so(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "is_container", lambda: False)
    monkeypatch.setattr(flushing, "DEFAULT_SECONDS", PATIENCE)
    assert waited(instance, None) < PATIENCE
    assert waited(instance, PATIENCE) >= PATIENCE


def test_zero_does_not_wait(instance: dg.DagsterInstance) -> None:
    assert waited(instance, 0.0) < PATIENCE


@pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4"])
def test_containers_are_known_by_their_variables(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(flushing, "_MARKS", ())
    for each in ("KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4"):
        monkeypatch.delenv(each, raising=False)
    assert not is_container()
    monkeypatch.setenv(name, "x")
    assert is_container()


def test_containers_are_known_by_their_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    mark = tmp_path / ".dockerenv"
    monkeypatch.setattr(flushing, "_MARKS", (str(mark),))
    assert not is_container()
    mark.touch()
    assert is_container()
