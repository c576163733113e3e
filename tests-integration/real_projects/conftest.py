"""Chooses the integrations, and runs each one's project once."""

import importlib
import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from real_projects.project import Integration
from real_projects.recording import Recording
from receiver import Receiver

PACKAGES = {
    "dbt": "dagster_dbt",
    "duckdb_pandas": "dagster_duckdb_pandas",
    "dlt": "dagster_dlt",
    "pandera": "dagster_pandera",
    "polars": "dagster_polars",
    "pipes": "dagster_pipes",
}
"""By integration, the package that it needs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--integration",
        action="append",
        choices=list(PACKAGES),
        help="test this one; by default all whose packages are installed",
    )


def _integrations(config: pytest.Config) -> list[Integration]:
    names = config.getoption("--integration") or [
        name for name, package in PACKAGES.items() if importlib.util.find_spec(package)
    ]
    with warnings.catch_warnings():
        # The integrations and their tools use what others deprecate.
        warnings.simplefilter("ignore")
        return [importlib.import_module(f"real_projects.with_{name}").INTEGRATION for name in names]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test the recording of each project, and each run of it where it wants one."""
    if "recording" not in metafunc.fixturenames:
        return
    integrations = _integrations(metafunc.config)
    if "run" in metafunc.fixturenames:
        cases = [
            pytest.param(each, run, id=f"{each.name}-{run}")
            for each in integrations
            for run in each.runs
        ]
        metafunc.parametrize(("recording", "run"), cases, indirect=["recording"])
    else:
        ids = [each.name for each in integrations]
        metafunc.parametrize("recording", integrations, ids=ids, indirect=True)


@pytest.fixture(scope="session")
def recordings() -> Iterator[Callable[[Integration], Recording]]:
    """Run each project when it is first asked for, with a backend for all."""
    backend = Receiver()
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("OPENLINEAGE_URL", backend.url)

        @lru_cache
        def record(integration: Integration) -> Recording:
            (Path(folder) / integration.name).mkdir()
            return Recording(integration, Path(folder, integration.name), backend)

        yield record
    backend.close()


@pytest.fixture
def recording(
    request: pytest.FixtureRequest, recordings: Callable[[Integration], Recording]
) -> Recording:
    """The project of one integration, after its runs."""
    integration: Integration = request.param
    return recordings(integration)
