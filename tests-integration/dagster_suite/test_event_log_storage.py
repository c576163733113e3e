"""Dagster's own suite for event log storages, each test on a bare storage and on a wrapped one.

Both have to come to the same result: what fails bare may fail wrapped, and nothing else may.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
import yaml

from openlineage_dagster_storage import OpenLineageEventLogStorage

suite = pytest.importorskip(
    "dagster_tests.storage_tests.utils.event_log_storage",
    reason="Dagster's own tests are in its source distribution: nox -s storage_suite",
)


def sqlite(folder: Path, _: Callable[[], str]) -> dict[str, Any]:
    return {
        "module": "dagster._core.storage.event_log",
        "class": "SqliteEventLogStorage",
        "config": {"base_dir": str(folder / "log")},
    }


def consolidated(folder: Path, _: Callable[[], str]) -> dict[str, Any]:
    return {
        "module": "dagster._core.storage.event_log",
        "class": "ConsolidatedSqliteEventLogStorage",
        "config": {"base_dir": str(folder / "log")},
    }


def postgres(_: Path, url: Callable[[], str]) -> dict[str, Any]:
    return {
        "module": "dagster_postgres.event_log",
        "class": "PostgresEventLogStorage",
        "config": {"postgres_url": url()},
    }


STORAGES = {"sqlite": sqlite, "consolidated": consolidated, "postgres": postgres}


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """One database for all bare tests, one for all wrapped: `wipe` leaves some things there."""
    urls: dict[str, str] = {}

    def url(how: str) -> str:
        if how not in urls:
            urls[how] = request.getfixturevalue("make_database")()
        return urls[how]

    return url


class TestBareAndWrapped(suite.TestEventLogStorage):  # type: ignore[misc,name-defined]
    __test__ = True

    @pytest.fixture(params=[f"{name}-{how}" for name in STORAGES for how in ("bare", "wrapped")])
    def instance(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        database: Callable[[str], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[dg.DagsterInstance]:
        name, how = request.param.split("-")
        storage = STORAGES[name](tmp_path, lambda: database(how))
        if how == "wrapped":
            # Where events go does not matter here, and a deliverer for each test takes too long;
            # all that happens in the process that stores events happens.
            monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
            monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "events"))
            monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
            storage = {
                "module": "openlineage_dagster_storage",
                "class": "OpenLineageEventLogStorage",
                "config": {"wrapped": storage, "deliver": "external", "flush_timeout": 0.0},
            }
        content = {"telemetry": {"enabled": False}, "event_log_storage": storage}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(content))
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            is_ours = type(instance.event_log_storage) is OpenLineageEventLogStorage
            assert is_ours == (how == "wrapped")
            if name == "postgres":
                instance.event_log_storage.wipe()
            yield instance

    @pytest.fixture
    def storage(self, instance: dg.DagsterInstance) -> Any:
        return instance.event_log_storage

    @contextmanager
    def mock_tags_to_index(self, storage: Any) -> Iterator[None]:
        # The suite replaces a method of the storage it is given; ours forwards to another.
        patched = vars(storage).get("_inner", storage)
        with mock.patch.object(patched, "get_asset_tags_to_index", lambda tags: tags):
            yield
