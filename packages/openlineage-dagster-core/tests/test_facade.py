"""`dagster_openlineage`, the names of 0.2, where the parts may or may not be installed."""

import importlib
import importlib.metadata
import importlib.util
import re

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


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("OpenLineageAdapter", "OpenLineageAdapter .* is gone: facet_providers"),
        ("OpenLineageEventLogStorage", "pip install openlineage-dagster-storage"),
        ("openlineage_sensor", "pip install openlineage-dagster-sensor"),
        ("make_step_job_name", r"is gone: use (\S+)"),
        ("to_utc_iso_8601", r"is gone: use (\S+)"),
        ("get_pipeline_origin", "is gone: use DagsterRun.remote_job_origin"),
        ("get_job_origin", "is gone: use DagsterRun.remote_job_origin"),
        ("get_repository_origin", "is gone: use RemoteJobOrigin.repository_origin"),
    ],
)
def test_every_public_name_of_0_2_1_is_there_or_says_what_to_do_instead(
    name: str, says: str
) -> None:
    with pytest.raises(ImportError, match=says) as error:
        getattr(dagster_openlineage, name)
    found = re.search(says, str(error.value))
    for instead in found.groups() if found else ():
        module, _, attribute = instead.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute))
