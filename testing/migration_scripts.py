"""A pytest plugin: a process of tests reads the migration scripts of Dagster's databases once.

Alembic imports all of them, about ninety files, twice for every database that Dagster makes, and
the tests make thousands of databases.
"""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

_read = ScriptDirectory.from_config
_directories: dict[str | None, ScriptDirectory] = {}


def _from_config(config: Config) -> ScriptDirectory:
    location = config.get_main_option("script_location")
    if location not in _directories:
        _directories[location] = _read(config)
    return _directories[location]


def read_once() -> None:
    """Keep in this process what was read; Dagster asks for it under a lock."""
    setattr(ScriptDirectory, "from_config", staticmethod(_from_config))  # noqa: B010 -- for mypy


def pytest_configure() -> None:
    """Do that in the processes that run tests."""
    read_once()
