"""Reads what is new in the event log, run by run, through calls that every storage answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from dagster import DagsterEventType, EventLogRecord, RunsFilter
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_sensor.cursor import Cursor, RunCursor

if TYPE_CHECKING:
    from dagster import DagsterInstance

SETTLED_SECONDS = 60.0
"""What is older is settled: no transaction under way will still add something before it."""

RUNS_A_TICK = 100
PAGE = 500


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
    for record in records:
        cursor.runs.setdefault(record.dagster_run.run_id, RunCursor(cursor.after_storage_id))
    settled = now - SETTLED_SECONDS
    if len(records) == RUNS_A_TICK:
        # A full page: the next one begins with the runs that share its last moment.
        last = records[-1].update_timestamp - timedelta(milliseconds=1)
        settled = min(settled, last.timestamp())
    cursor.updated_after = max(cursor.updated_after, settled)


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
        # Later than SETTLED_SECONDS, so that `find_runs` does not take it up again.
        if run.has_ended and newest < now - 2 * SETTLED_SECONDS:
            del cursor.runs[run_id]
        elif not run.has_ended:
            for storage_id in sorted(run.done):
                if run.done[storage_id] >= now - SETTLED_SECONDS:
                    break
                run.low = storage_id
                del run.done[storage_id]
