"""Reads what is new in the event log, run by run, through calls that every storage answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from dagster import DagsterEventType, EventLogRecord, RunsFilter
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.families import RUN_FAMILY
from openlineage_dagster_sensor.cursor import Cursor, RunCursor

if TYPE_CHECKING:
    from dagster import DagsterInstance

SETTLED_SECONDS = 60.0
"""What is older is settled: no transaction under way will still add something before it."""

RUNS_A_TICK = 100
PAGE = 500


def resolve_beginning(instance: DagsterInstance, cursor: Cursor) -> None:
    """Find the time that a storage id to begin after stands for, once.

    Storage ids of 0.2 are those of the cross-run index, which on SQLite differ from those of a run;
    and runs to come must not be measured by them.

    Args:
        instance: holds the event log.
        cursor: gets the time.
    """
    if not cursor.after_storage_id:
        return
    before = EventLogCursor.from_storage_id(cursor.after_storage_id + 1).to_string()
    times = [
        record.timestamp
        for event_type in RUN_FAMILY
        for record in instance.fetch_run_status_changes(event_type, limit=1, cursor=before).records
    ]
    cursor.begins_at = cursor.updated_after = max([cursor.updated_after, *times])
    cursor.after_storage_id = 0


def find_runs(instance: DagsterInstance, cursor: Cursor, now: float) -> None:
    """Take up the runs that have changed since the last tick.

    Args:
        instance: holds the runs.
        cursor: gets the new ones.
        now: seconds since the epoch.
    """
    since = datetime.fromtimestamp(cursor.updated_after, timezone.utc)
    records = instance.get_run_records(
        RunsFilter(updated_after=since),
        limit=RUNS_A_TICK,
        order_by="update_timestamp",
        ascending=True,
    )
    # A run that ended before was sent and forgotten; since then only its tags, say, have changed.
    ended_before = max(cursor.begins_at, _forgettable_before(cursor))
    for record in records:
        if record.end_time is None or record.end_time > ended_before:
            cursor.runs.setdefault(record.dagster_run.run_id, RunCursor())
    settled = now - SETTLED_SECONDS
    if len(records) == RUNS_A_TICK:
        # A full page: the next one begins with the runs that share its last moment.
        last = records[-1].update_timestamp - timedelta(milliseconds=1)
        settled = min(settled, last.timestamp())
    cursor.updated_after = max(cursor.updated_after, settled)


def _forgettable_before(cursor: Cursor) -> float:
    """Tell which runs are past; `find_runs` and `settle` must agree on it.

    Not `updated_after` itself: a run's row is written somewhat later than the event that ends it.
    """
    return cursor.updated_after - SETTLED_SECONDS


def new_records(
    instance: DagsterInstance, run_id: str, run: RunCursor, of_type: Collection[DagsterEventType]
) -> Iterator[EventLogRecord]:
    """Read what a run has added.

    Args:
        instance: holds the event log.
        run_id: the run.
        run: how far it has been sent; may move while this goes on.
        of_type: the events to read.

    Yields:
        The records in order, without those done before.
    """
    position: str | None = EventLogCursor.from_storage_id(run.low).to_string() if run.low else None
    while True:
        page = instance.get_records_for_run(
            run_id, cursor=position, of_type=set(of_type), limit=PAGE
        )
        for record in page.records:
            if record.storage_id not in run.done and record.storage_id > run.low:
                yield record
        if not page.has_more:
            return
        position = page.cursor


def settle(cursor: Cursor, now: float) -> None:
    """Forget what can no longer change, so that the cursor stays small.

    On PostgreSQL an event can become visible after one with a higher storage id, so ids are kept
    one by one until nothing can come before them any more.

    Args:
        cursor: how far each run has been sent.
        now: seconds since the epoch.
    """
    for run_id, run in list(cursor.runs.items()):
        newest = max(run.done.values(), default=0)
        # Whole seconds are kept, so the newest may be up to one later.
        if run.has_ended and newest + 1 < _forgettable_before(cursor):
            del cursor.runs[run_id]
        elif not run.has_ended:
            for storage_id in sorted(run.done):
                if run.done[storage_id] >= now - SETTLED_SECONDS:
                    break
                run.low = storage_id
                del run.done[storage_id]
