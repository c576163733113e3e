from __future__ import annotations

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

from openlineage_dagster_core.cli.doctor import delivery, mechanisms
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject

# Where they are depends on Dagster's version.
origins: Any = importlib.import_module(RemoteInstigatorOrigin.__module__)


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    instance = dg.DagsterInstance.from_config(str(home))
    yield instance
    instance.dispose()


def state_of(cursor: str | None, status: InstigatorStatus) -> InstigatorState:
    location = origins.InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path="python", module_name="m"), location_name="m"
    )
    return InstigatorState(
        RemoteInstigatorOrigin(origins.RemoteRepositoryOrigin(location, "r"), "openlineage_sensor"),
        InstigatorType.SENSOR,
        status,
        SensorInstigatorData(cursor=cursor),
    )


def check(
    instance: dg.DagsterInstance,
    cursor: str | None,
    status: InstigatorStatus = InstigatorStatus.RUNNING,
) -> list[Finding]:
    instance.add_instigator_state(state_of(cursor, status))
    return list(delivery.check_sensors(Subject({}, instance=instance)))


def cursor(**content: object) -> str:
    return json.dumps({"version": 2, "low": 7, "read": 12, "sent": 9, **content})


def test_a_sensor_that_is_up_to_date_is_well(instance: dg.DagsterInstance) -> None:
    (found,) = check(instance, cursor())

    assert found.status is Status.OK
    assert "12 events of the log read, 9 sent" in found.message


def test_a_console_that_a_sensor_does_not_show_is_a_warning(instance: dg.DagsterInstance) -> None:
    instance.add_instigator_state(state_of(cursor(), InstigatorStatus.RUNNING))
    console = {"OPENLINEAGE__TRANSPORT__TYPE": "console"}
    found, *_ = delivery.check_sensors(Subject(console, instance=instance))
    assert found.status is Status.WARNING
    assert "a sensor prints nothing" in found.message


def test_a_sensor_that_is_behind_is_a_warning(instance: dg.DagsterInstance) -> None:
    (found,) = check(instance, cursor(behind=40, behind_since=time.time() - 7200))

    assert found.status is Status.WARNING
    assert "2 h and 40 events behind" in found.message


def test_what_was_parked_is_a_warning(instance: dg.DagsterInstance) -> None:
    parked = [["run-1", 3, "", "HTTP 422", 0.0], ["run-2", 5, "STEP_START", "refused", 1.0]]
    _, found = check(instance, cursor(parked=2, last_parked=parked))

    assert found.status is Status.WARNING
    assert "has parked 2 events; the last is STEP_START of run run-2: refused" in found.message
    assert "parked retry --all" in (found.remedy or "")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (None, Status.NOTE, "nothing yet"),
        ('{"last_storage_id": 7}', Status.NOTE, "0.1 or 0.2"),
        ('{"version": 9}', Status.NOTE, "another version"),
        ("[]", Status.PROBLEM, "is not ours"),
        ("what", Status.PROBLEM, "is not ours"),
    ],
)
def test_other_cursors_are_told_apart(
    text: str | None, status: Status, said: str, instance: dg.DagsterInstance
) -> None:
    (found,) = check(instance, text)

    assert found.status is status
    assert said in found.message


def test_what_the_last_tick_said_is_told(instance: dg.DagsterInstance) -> None:
    state = state_of(cursor(), InstigatorStatus.RUNNING)
    instance.create_tick(
        TickData(
            state.instigator_origin_id,
            state.name,
            InstigatorType.SENSOR,
            TickStatus.SKIPPED,
            timestamp=time.time() - 3600,
            skip_reason="the backend is down",
            selector_id=state.selector_id,
        )
    )

    _, silent, said = check(instance, cursor())

    assert silent.status is Status.WARNING
    assert "60 min ago" in silent.message
    assert said.message.endswith("said: the backend is down")


def test_a_running_sensor_is_mechanism_b_without_definitions(
    instance: dg.DagsterInstance,
) -> None:
    instance.add_instigator_state(state_of(None, InstigatorStatus.RUNNING))

    (found,) = mechanisms.check(Subject({}, written={}, instance=instance))

    assert found.status is Status.OK
    assert "Mechanism B" in found.message


def test_a_stopped_sensor_is_not(instance: dg.DagsterInstance) -> None:
    (remembered,) = check(instance, None, InstigatorStatus.STOPPED)
    (found,) = mechanisms.check(Subject({}, written={}, instance=instance))

    assert remembered.status is found.status is Status.NOTE
    assert "stopped" in remembered.message
