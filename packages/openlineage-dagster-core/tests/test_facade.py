"""`dagster_openlineage`, the names of 0.2, where the parts may or may not be installed."""

import importlib.metadata
import importlib.util

import pytest

import dagster_openlineage
from openlineage_dagster_core import __version__

PARTS = {
    "OpenLineageEventLogStorage": "openlineage-dagster-storage",
    "openlineage_sensor": "openlineage-dagster-sensor",
}


@pytest.mark.parametrize(("name", "distribution"), PARTS.items())
def test_a_part_that_is_not_installed_names_what_to_install(name: str, distribution: str) -> None:
    assert importlib.util.find_spec(distribution.replace("-", "_")) is None
    with pytest.raises(ImportError, match=f"pip install {distribution}"):
        getattr(dagster_openlineage, name)


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        dagster_openlineage.nonsense  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert importlib.metadata.version("openlineage-dagster-core") == __version__
    assert dagster_openlineage.__version__ == __version__
