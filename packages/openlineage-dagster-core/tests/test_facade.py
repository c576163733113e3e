"""`dagster_openlineage`, the names of 0.2, where the parts may or may not be installed."""

import importlib
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


@pytest.mark.parametrize(
    ("module", "name"),
    [("storage", "OpenLineageEventLogStorage"), ("sensor", "openlineage_sensor")],
)
def test_the_modules_of_0_2_lead_to_the_parts(module: str, name: str) -> None:
    found = importlib.import_module(f"dagster_openlineage.{module}")
    with pytest.raises(ImportError, match=f"pip install {PARTS[name]}"):
        getattr(found, name)
    with pytest.raises(AttributeError, match="nonsense"):
        found.nonsense  # noqa: B018


def test_the_version_has_its_module() -> None:
    assert importlib.import_module("dagster_openlineage.version").__version__ == __version__


def test_a_name_that_is_gone_says_what_to_do_instead() -> None:
    with pytest.raises(ImportError, match=r"OpenLineageAdapter .* is gone: facet_providers"):
        dagster_openlineage.OpenLineageAdapter  # noqa: B018
