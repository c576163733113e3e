"""The sensor package works without the storage package, through the names of 0.2 too."""

import importlib.metadata
import importlib.util

import pytest

import dagster_openlineage
import dagster_openlineage.sensor as module_of_0_2
from openlineage_dagster_sensor import openlineage_sensor


def test_the_storage_is_not_installed_here() -> None:
    assert importlib.util.find_spec("openlineage_dagster_storage") is None
    with pytest.raises(ImportError, match="pip install openlineage-dagster-storage"):
        dagster_openlineage.OpenLineageEventLogStorage  # noqa: B018


def test_the_name_of_0_2_is_this_sensor() -> None:
    assert dagster_openlineage.openlineage_sensor is openlineage_sensor
    assert module_of_0_2.openlineage_sensor is openlineage_sensor


def test_core_is_required_in_exactly_this_version() -> None:
    version = importlib.metadata.version("openlineage-dagster-sensor")
    assert importlib.metadata.requires("openlineage-dagster-sensor") == [
        f"openlineage-dagster-core=={version}"
    ]
