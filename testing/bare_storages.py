"""The storages that Dagster has of its own, for tests of what reads them; none is wrapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest_plugins = ["postgres", "mysql_server"]


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
