"""The command line with the sensor's definitions: names are those that the sensor gives."""

from pathlib import Path

import dagster as dg
import pytest

from command_line import Run
from openlineage_dagster_core.cli.deployment import SENSOR, deployment_of
from openlineage_dagster_sensor import openlineage_sensor
from orders_project import DEFINITIONS
from recorded_run import execute

PROJECT = """
import dagster as dg
import orders_project
from openlineage_dagster_sensor import openlineage_sensor
defs = dg.Definitions.merge(
    orders_project.DEFINITIONS, dg.Definitions(sensors=[openlineage_sensor(namespace="lake")])
)
"""


def test_the_settings_are_those_of_the_sensor() -> None:
    sensor = openlineage_sensor(namespace="lake", include_asset_events=False)
    repository = dg.Definitions(sensors=[sensor]).get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = deployment_of(Path(), instance, repository)
    assert deployment.mechanisms == (SENSOR,)
    assert deployment.settings.namespace == "lake"
    assert len(deployment.settings.families) == 2


def test_show_names_what_the_sensor_names(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "project_with_sensor.py").write_text(PROJECT)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run_id = execute(DEFINITIONS, "nightly", instance).run_id
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with_sensor = command("show", run_id, "--json", "-f", tmp_path / "project_with_sensor.py")
    assert '"namespace": "lake"' in with_sensor.out
    assert "neither mechanism" not in with_sensor.err
    without = command("show", run_id, "--json", "-m", "orders_project")
    assert '"namespace": "dagster"' in without.out
    assert "neither mechanism is in sight" in without.err
