"""The storage package works without the sensor package, through the names of 0.2 too."""

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

import dagster_openlineage
import dagster_openlineage.storage as module_of_0_2
from openlineage_dagster_storage import OpenLineageEventLogStorage


def test_the_sensor_is_not_installed_here() -> None:
    assert importlib.util.find_spec("openlineage_dagster_sensor") is None
    with pytest.raises(ImportError, match="pip install openlineage-dagster-sensor"):
        dagster_openlineage.openlineage_sensor  # noqa: B018


def test_the_name_of_0_2_is_this_storage() -> None:
    assert dagster_openlineage.OpenLineageEventLogStorage is OpenLineageEventLogStorage
    assert module_of_0_2.OpenLineageEventLogStorage is OpenLineageEventLogStorage


def test_core_is_required_in_exactly_this_version() -> None:
    version = importlib.metadata.version("openlineage-dagster-storage")
    assert importlib.metadata.requires("openlineage-dagster-storage") == [
        f"openlineage-dagster-core=={version}"
    ]


def test_importing_the_storage_does_not_import_the_client() -> None:
    program = (
        "import sys, openlineage_dagster_storage\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('openlineage', 'requests')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    by_dagster = subprocess.run(
        [sys.executable, "-c", program.replace("openlineage_dagster_storage", "dagster")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == by_dagster.stdout
    assert "openlineage" not in printed.stdout
