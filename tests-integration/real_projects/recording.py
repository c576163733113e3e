"""Runs a project once, and delivers its event log through each mechanism and kind of identity."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from drivers import Driver, SensorDriver, StorageDriver, opened
from real_projects.project import Integration, Project, Table
from receiver import Receiver

Json = dict[str, Any]

NAMESPACE = "duckdb:///bakery"
"""Where the options of physical identity say that the tables are."""

SECONDS = 30.0
"""Of one request to the backend."""

IDENTITIES: Mapping[str, Json] = {
    "asset": {},
    "physical": {
        "dataset_identity": "physical",
        "dataset_namespaces": {"kind:duckdb": NAMESPACE},
        # Queries must not add to what Dagster says of these projects, nor contradict it.
        "sql_lineage": True,
    },
}

MECHANISMS: Mapping[str, type[StorageDriver | SensorDriver]] = {
    "storage": StorageDriver,
    "sensor": SensorDriver,
}


@dataclass(frozen=True)
class Columns:
    """What the database says of one table.

    Args:
        full_name: database, schema and table, with dots.
        types: by column, in the order of the table.
    """

    full_name: str
    types: Mapping[str, str]


@dataclass(frozen=True)
class RecordedRun:
    """A run of the project, as Dagster and the database have it.

    Args:
        run_id: the Dagster run id.
        planned: the keys of the assets that the run is to materialize.
        materialized: those that it did materialize.
        tables: by table, what `information_schema` says after the run.
    """

    run_id: str
    planned: frozenset[dg.AssetKey]
    materialized: frozenset[dg.AssetKey]
    tables: Mapping[tuple[str, str], Columns]

    def columns(self, table: Table) -> Columns:
        """Return what the database says of a table."""
        return self.tables[table.schema, table.name]


class Recording:
    """A project that has run, and the events that each mechanism makes of its log.

    Args:
        integration: what is in the project.
        folder: an empty one for all its files.
        backend: takes the events.
    """

    def __init__(self, integration: Integration, folder: Path, backend: Receiver) -> None:
        self.name = integration.name
        self._home = folder / "home"
        self._backend = backend
        self.events = lru_cache(self._deliver)
        (folder / "project").mkdir()
        with (
            integration.project(folder / "project") as project,
            opened(StorageDriver(), self._home) as instance,
        ):
            self.project = project
            self.runs = {
                name: _execute(integration, project, name, instance) for name in integration.runs
            }

    def _deliver(self, mechanism: str, identity: str) -> list[Json]:
        """Deliver a copy of the log, so that every mechanism begins with its first event."""
        copies = tempfile.mkdtemp(dir=self._home.parent, prefix=f"{mechanism}_{identity}_")
        home = Path(copies, "home")
        shutil.copytree(self._home, home)
        self._backend.events.clear()
        # What is slow is no failure here.
        options = IDENTITIES[identity] | ({"timeout": SECONDS} if mechanism == "storage" else {})
        driver: Driver = MECHANISMS[mechanism](options)
        with opened(driver, home) as instance:
            delivery = driver.deliver(instance, self.project.definitions, timeout=SECONDS)
        assert not delivery.parked
        return list(self._backend.events)

    def events_of_run(self, mechanism: str, identity: str, run: str) -> list[Json]:
        """Return the events of one Dagster run.

        Args:
            mechanism: a key of `MECHANISMS`.
            identity: a key of `IDENTITIES`.
            run: the run's name.

        Returns:
            Those events that say that they belong to this run, in the order of arrival.
        """
        run_id = self.runs[run].run_id
        return [
            event
            for event in self.events(mechanism, identity)
            if "run" in event and event["run"]["facets"]["dagster_run"]["runId"] == run_id
        ]


def _execute(
    integration: Integration, project: Project, name: str, instance: dg.DagsterInstance
) -> RecordedRun:
    run = integration.runs[name]
    job = project.definitions.get_repository_def().get_job(run.job)
    result = job.execute_in_process(instance=instance, raise_on_error=False, tags=dict(run.tags))
    errors = [
        event.step_failure_data.error_display_string
        for event in result.all_events
        if event.is_step_failure
    ]
    assert result.success == run.succeeds, "\n".join([f"{integration.name}: {name}", *errors])
    project.release()
    return RecordedRun(
        result.run_id,
        _assets_in(instance, result.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED),
        _assets_in(instance, result.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION),
        _tables(project.database),
    )


def _assets_in(
    instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType
) -> frozenset[dg.AssetKey]:
    found = (entry.get_dagster_event().asset_key for entry in instance.all_logs(run_id, kind))
    return frozenset(key for key in found if key is not None)


def _tables(database: Path | None) -> dict[tuple[str, str], Columns]:
    if database is None:
        return {}
    import duckdb  # not every project needs it

    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            "select table_catalog, table_schema, table_name, column_name, data_type "
            "from information_schema.columns order by ordinal_position"
        ).fetchall()
    found: dict[tuple[str, str], Columns] = {}
    for catalog, schema, table, column, kind in rows:
        columns = found.setdefault((schema, table), Columns(f"{catalog}.{schema}.{table}", {}))
        columns.types[column] = kind  # type: ignore[index] -- it is ours until it is returned
    return found
