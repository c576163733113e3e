"""Dagster's commands that migrate an instance, on one that is wrapped, as a user calls them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS

from dagster_home import DagsterHome
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute


def on_postgres(url: str) -> dict[str, Any]:
    """Configure the whole storage, wrapped, and others' parts by the same names."""
    wrapped = {
        "module": "dagster_postgres",
        "class": "DagsterPostgresStorage",
        "config": {"postgres_url": url},
    }
    storage = {
        "module": "dagster_openlineage",
        "class": "OpenLineageDagsterStorage",
        "config": {"wrapped": wrapped},
    }
    return {"telemetry": {"enabled": False}, "storage": {"custom": storage}}


@pytest.fixture
def url(make_database: Callable[[], str]) -> str:
    return make_database()


@pytest.fixture(params=["postgres", "sqlite"])
def home(request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver) -> DagsterHome:
    content = None
    if request.param == "postgres":
        content = on_postgres(request.getfixturevalue("url"))
    return DagsterHome(tmp_path / "home", receiver.url, content=content)


def dagster(home: DagsterHome, *arguments: str, say: str = "") -> str:
    """Call the command; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *arguments],
        env=home.environment(),
        input=say,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def connect(url: str) -> Any:
    return db.create_engine(url, isolation_level="AUTOCOMMIT").connect()


def test_migrate_and_reindex_do_what_is_to_be_done(home: DagsterHome) -> None:
    with home.instance() as instance:
        execute(DEFINITIONS, "nightly", instance)
        storage: Any = instance.event_log_storage
        # As an instance is that was made before there was such an index.
        with storage.index_connection() as connection:
            connection.execute(
                db.text("UPDATE secondary_indexes SET migration_completed = NULL WHERE name = :n"),
                {"n": ASSET_KEY_INDEX_COLS},
            )
            if connection.dialect.name == "sqlite":
                connection.commit()
    with home.instance() as instance:
        assert not has_index(instance.event_log_storage)
    dagster(home, "instance", "migrate")
    dagster(home, "instance", "reindex")
    with home.instance() as instance:
        assert has_index(instance.event_log_storage)


def has_index(storage: Any) -> bool:
    return bool(storage.has_secondary_index(ASSET_KEY_INDEX_COLS))


def test_the_bigint_migration_changes_the_event_log_too(
    tmp_path: Path, receiver: Receiver, url: str
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url, content=on_postgres(url))
    with home.instance() as instance:
        execute(DEFINITIONS, "nightly", instance)
    with connect(url) as connection:
        connection.execute(db.text("ALTER TABLE event_logs ALTER COLUMN id TYPE INTEGER"))
    printed = dagster(home, "instance", "migrate", "--bigint-migration", say="MIGRATE\n")
    assert "event_logs" in printed
    with connect(url) as connection:
        [column] = [
            column
            for column in db.inspect(connection).get_columns("event_logs")
            if column["name"] == "id"
        ]
    assert str(column["type"]) == "BIGINT"


def test_the_bigint_migration_says_that_sqlite_needs_none(
    tmp_path: Path, receiver: Receiver
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    printed = dagster(home, "instance", "migrate", "--bigint-migration", say="MIGRATE\n")
    assert printed.lower().count("sqlite") >= 3, "runs, events and schedules"
