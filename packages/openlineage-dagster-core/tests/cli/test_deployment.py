"""Which instance a command works on, and how OpenLineage is set up there."""

from pathlib import Path

import dagster as dg
import pytest

from command_line import Run
from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import SENSOR, deployment_of, home_of, opened
from openlineage_dagster_core.cli.terminal import CommandError
from openlineage_dagster_core.facts.event_log import GivenDefinitions
from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from orders_home import OrdersHome
from orders_project import DEFINITIONS


def test_the_home_is_named_or_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    assert home_of(tmp_path, {}) == tmp_path
    assert home_of(None, {"DAGSTER_HOME": str(tmp_path)}) == tmp_path
    assert home_of(tmp_path, {"DAGSTER_HOME": "/elsewhere"}) == tmp_path


def test_without_a_home_the_next_step_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"DAGSTER_HOME is not set. Set it, or .* --home"):
        home_of(None, {})
    with pytest.raises(CommandError, match="There is no directory"):
        home_of(tmp_path / "missing", {})


def test_an_empty_directory_is_not_made_an_instance(tmp_path: Path, command: Run) -> None:
    outcome = command("replay", "--dry-run", "--home", tmp_path)
    assert outcome.status == 2
    assert "has no dagster.yaml and no folder of an instance" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_dagster_yaml_that_is_wrong_is_said(tmp_path: Path, command: Run) -> None:
    (tmp_path / "dagster.yaml").write_text("nonsense: {a: 1}\n")
    outcome = command("replay", "--dry-run", "--home", tmp_path)
    assert outcome.status == 2
    assert "cannot be opened" in outcome.err
    assert "nonsense" in outcome.err


def test_settings_come_from_the_environment_where_no_mechanism_is_known(
    orders_home: OrdersHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "lake")
    with opened(orders_home.path, CodeTarget()) as deployment:
        assert deployment.mechanisms == ()
        assert deployment.settings == Settings(namespace="lake")
        assert isinstance(deployment.definitions_source(), KeptDefinitions)
        assert not deployment.definitions.assets


def test_settings_of_the_sensor_are_those_of_its_definition(orders_home: OrdersHome) -> None:
    settings = Settings(namespace="of the sensor")

    @dg.sensor()
    def ours() -> None: ...

    setattr(ours, SENSOR_SETTINGS, settings)
    repository = dg.Definitions.merge(DEFINITIONS, dg.Definitions(sensors=[ours]))
    with dg.DagsterInstance.from_config(str(orders_home.path)) as instance:
        found = deployment_of(orders_home.path, instance, repository.get_repository_def())
    assert found.mechanisms == (SENSOR,)
    assert found.settings is settings
    assert found.sensors == ("ours",)
    assert isinstance(found.definitions_source(), GivenDefinitions)
    assert dg.AssetKey(["raw", "orders"]) in found.definitions.assets


def test_a_wrong_setting_in_the_environment_is_said(
    orders_home: OrdersHome, monkeypatch: pytest.MonkeyPatch, command: Run
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "no address")
    outcome = command("show", orders_home.doomed, "--home", orders_home.path)
    assert outcome.status == 2
    assert "OPENLINEAGE_URL" in outcome.err
