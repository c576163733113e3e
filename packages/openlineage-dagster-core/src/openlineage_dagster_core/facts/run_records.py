"""Reads the rows of runs with one query; the adapter for Dagster's table of runs.

Private parts used: `RunsTable`, and the run storage's `connect`. They are the same from Dagster
1.11.6 on. The public call also asks the database's catalog, with three more queries.
"""

from collections.abc import Collection, Sequence
from datetime import timezone
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter, deserialize_value
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.runs.schema import RunsTable
from sqlalchemy import select

RUNS_A_QUERY = 500  # An old SQLite allows 999 parameters

_run = RunsTable.c


def run_records(instance: DagsterInstance, run_ids: Collection[str]) -> Sequence[RunRecord]:
    """Return a record for each of these runs that the instance knows, perhaps without times."""
    # Not imported above: Dagster's SQL storages take a while.
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    storage = instance.run_storage
    wanted = sorted(run_ids)
    records: list[RunRecord] = []
    for first in range(0, len(wanted), RUNS_A_QUERY):
        some = wanted[first : first + RUNS_A_QUERY]
        if isinstance(storage, SqlRunStorage):
            records += _rows(storage, some)
        else:
            records += instance.get_run_records(RunsFilter(run_ids=some), limit=len(some))
    return records


def _rows(storage: Any, run_ids: list[str]) -> list[RunRecord]:
    query = select(
        _run.id, _run.run_body, _run.status, _run.create_timestamp, _run.update_timestamp
    ).where(_run.run_id.in_(run_ids))
    with storage.connect() as connection:
        rows = connection.execute(query).fetchall()
    return [
        RunRecord(
            storage_id=number,
            # The body may have an older status.
            dagster_run=deserialize_value(body, DagsterRun).with_status(DagsterRunStatus(status)),
            create_timestamp=created_at.replace(tzinfo=timezone.utc),
            update_timestamp=updated_at.replace(tzinfo=timezone.utc),
        )
        for number, body, status, created_at, updated_at in rows
    ]
