"""The command line with the sensor's definitions: names are those that the sensor gives."""

import importlib
import json
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
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from command_line import Run
from openlineage_dagster_core.cli.deployment import SENSOR, deployment_of
from openlineage_dagster_core.facts.event_log import GivenDefinitions
from openlineage_dagster_sensor import openlineage_sensor
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute

# Where they are depends on Dagster's version.
origins: Any = importlib.import_module(RemoteInstigatorOrigin.__module__)

PROJECT = """
import dagster as dg
import orders_project
from openlineage_dagster_sensor import openlineage_sensor
defs = dg.Definitions.merge(
    orders_project.DEFINITIONS,
    dg.Definitions(sensors=[openlineage_sensor(name="lineage", namespace="lake")]),
)
"""


def test_the_settings_are_those_of_the_sensor() -> None:
    sensor = openlineage_sensor(namespace="lake", include_asset_events=False)
    repository = dg.Definitions(sensors=[sensor]).get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = deployment_of(Path(), instance, repository)
        assert isinstance(deployment.definitions_source(), GivenDefinitions)
    assert deployment.mechanisms == (SENSOR,)
    assert deployment.settings.namespace == "lake"
    assert deployment.sensors == ("openlineage_sensor",)
    assert len(deployment.settings.families) == 2


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Run) -> str:
    """A run in a home beside which the project with the sensor is."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "project_with_sensor.py").write_text(PROJECT)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        return execute(DEFINITIONS, "nightly", instance).run_id


def test_show_names_what_the_sensor_names(command: Run, tmp_path: Path, run_id: str) -> None:
    with_sensor = command("show", run_id, "--json", "-f", tmp_path / "project_with_sensor.py")
    assert '"namespace": "lake"' in with_sensor.out
    assert "neither mechanism" not in with_sensor.err
    without = command("show", run_id, "--json", "-m", "orders_project")
    assert '"namespace": "dagster"' in without.out
    assert "neither mechanism is in sight" in without.err


def test_what_a_tick_parked_is_shown_and_retried(
    command: Run,
    tmp_path: Path,
    run_id: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    receiver.answer = lambda event: 422 if event["job"]["name"] == "revenue" else 201
    code = ("-f", tmp_path / "project_with_sensor.py")
    sensor = openlineage_sensor(name="lineage", namespace="lake")
    repository = dg.Definitions.merge(
        DEFINITIONS, dg.Definitions(sensors=[sensor])
    ).get_repository_def()
    with (
        dg.DagsterInstance.from_config(str(tmp_path)) as instance,
        dg.build_sensor_context(instance, repository_def=repository) as context,
    ):
        sensor.evaluate_tick(context)
        _keep(instance, context.cursor)
    assert "Neither mechanism is in sight" in command("status").err
    status = command("status", "--json", *code)
    assert (status.status, status.json["parked"]) == (1, 1)
    assert status.json["sensor"]["name"] == "lineage"
    exported = [json.loads(line) for line in command("parked", "export", *code).out.splitlines()]
    assert {(event["job"]["namespace"], event["job"]["name"]) for event in exported} == {
        ("lake", "revenue")
    }
    receiver.answer = lambda event: 201
    before = len(receiver.events)
    assert command("parked", "retry", "--all", *code).status == 0
    sent = [event["job"]["name"] for event in receiver.events[before:]]
    assert sent.count("revenue") == 2


def _keep(instance: dg.DagsterInstance, cursor: str | None) -> None:
    """Keep the cursor as the daemon does after a tick."""
    location = origins.InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path="python", module_name="m"), location_name="m"
    )
    instance.add_instigator_state(
        InstigatorState(
            RemoteInstigatorOrigin(origins.RemoteRepositoryOrigin(location, "r"), "lineage"),
            InstigatorType.SENSOR,
            InstigatorStatus.RUNNING,
            SensorInstigatorData(cursor=cursor),
        )
    )
