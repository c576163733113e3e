"""The storages that Dagster has of its own, for tests of what reads them; none is wrapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["postgres", "mysql_server"]


def one_file(folder: Path) -> dict[str, Any]:
    """Say in `dagster.yaml` that all runs share one log, in SQLite.

    Args:
        folder: where its file is to be.

    Returns:
        The overrides of an instance.
    """
    return {
        "event_log_storage": {
            "module": "dagster._core.storage.event_log",
            "class": "ConsolidatedSqliteEventLogStorage",
            "config": {"base_dir": str(folder / "log")},
        }
    }


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def bare_storage(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What `dagster.yaml` says of an empty one; of SQLite, where a run has a log, nothing."""
    name: str = request.param
    if name == "sqlite":
        return {}
    # The servers are started for those tests only that need them.
    makers = {"postgres": "make_database", "mysql": "make_mysql_database"}
    make: Callable[[], str] = request.getfixturevalue(makers[name])
    return {"storage": {name: {f"{name}_url": make()}}}
