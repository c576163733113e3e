"""Makes entries of Dagster's event log by hand, with the times and ids that a test needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import sqlalchemy
from dagster import DagsterEventType, serialize_value
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.execution.plan.objects import StepSuccessData
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.test_utils import create_run_for_test

MADE_BY_STEP = {"dagster/code_version": "1", "dagster/data_version": "1"}
"""Tags that every materialization of a step's own asset has."""


def step_event(
    run_id: str,
    at: float,
    step_key: str = "s",
    event_type: DagsterEventType = DagsterEventType.STEP_START,
) -> dg.EventLogEntry:
    """Make an event of a step.

    Args:
        run_id: the Dagster run id.
        at: when it happened, in seconds since the epoch.
        step_key: the step.
        event_type: the Dagster event type.

    Returns:
        The entry.
    """
    data = None
    if event_type is DagsterEventType.STEP_SUCCESS:
        data = StepSuccessData(1.0)  # type: ignore[no-untyped-call]
    event = DagsterEvent(
        event_type.value, job_name="j", step_key=step_key, event_specific_data=data
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        None, 20, "", run_id, at, step_key=step_key, job_name="j", dagster_event=event
    )


def run_event(run_id: str, at: float, event_type: DagsterEventType) -> dg.EventLogEntry:
    """Make an event of a run.

    Args:
        run_id: the Dagster run id.
        at: when it happened, in seconds since the epoch.
        event_type: RUN_START, or one of the ends.

    Returns:
        The entry.
    """
    event = DagsterEvent(event_type.value, job_name="j")
    return dg.EventLogEntry(None, 20, "", run_id, at, job_name="j", dagster_event=event)  # type: ignore[no-untyped-call]


def log_line(run_id: str, at: float) -> dg.EventLogEntry:
    """Make a line that a user logged: no Dagster event.

    Args:
        run_id: the Dagster run id.
        at: when it happened, in seconds since the epoch.

    Returns:
        The entry.
    """
    return dg.EventLogEntry(None, 20, "a line", run_id, at)  # type: ignore[no-untyped-call]


def materialization(
    run_id: str,
    at: float,
    key: str,
    upstream: Iterable[str] | None = None,
    step_key: str | None = "s",
) -> dg.EventLogEntry:
    """Make a materialization.

    Args:
        run_id: the Dagster run id; empty for one that was reported from outside any run.
        at: when it happened, in seconds since the epoch.
        key: the asset's key.
        upstream: the assets that the tags name; None for one that was logged by hand, without tags.
        step_key: the step.

    Returns:
        The entry.
    """
    tags = {}
    if upstream is not None:
        pointers = {f"dagster/input_event_pointer/{each}": "1" for each in upstream}
        tags = {**MADE_BY_STEP, **pointers}
    made = dg.AssetMaterialization(dg.AssetKey(key), tags=tags)
    event = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="j" if run_id else "",
        step_key=step_key if run_id else None,
        event_specific_data=StepMaterializationData(made),
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        None, 20, "", run_id, at, step_key=event.step_key, job_name="j", dagster_event=event
    )


def run_of_steps(
    run_id: str, at: float, made: Iterable[dg.EventLogEntry]
) -> list[dg.EventLogEntry]:
    """Make the events of a run of one step.

    Args:
        run_id: the Dagster run id.
        at: when it began, in seconds since the epoch; it takes less than a second.
        made: what the step logs.

    Returns:
        RUN_START, STEP_START, what was made, STEP_SUCCESS and RUN_SUCCESS.
    """
    return [
        run_event(run_id, at, DagsterEventType.RUN_START),
        step_event(run_id, at + 0.1),
        *made,
        step_event(run_id, at + 0.8, event_type=DagsterEventType.STEP_SUCCESS),
        run_event(run_id, at + 0.9, DagsterEventType.RUN_SUCCESS),
    ]


def add_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Store the row of a run.

    Args:
        instance: where to.
        run_id: the Dagster run id.
    """
    create_run_for_test(instance, run_id=run_id, job_name="j")


def insert(instance: dg.DagsterInstance, entries: Iterable[dg.EventLogEntry]) -> None:
    """Store many entries in one log of all runs at once: one by one that takes minutes.

    Args:
        instance: has one log of all runs.
        entries: in the order of their storage ids.
    """
    storage: Any = instance.event_log_storage
    first = (storage.get_maximum_record_id() or 0) + 1
    rows, tags = [], []
    for number, entry in enumerate(entries, start=first):
        event = entry.dagster_event
        key = event.asset_key.to_string() if event is not None and event.asset_key else None
        at = datetime.fromtimestamp(entry.timestamp, timezone.utc).replace(tzinfo=None)
        rows.append(
            {
                "id": number,
                "run_id": entry.run_id,
                "event": serialize_value(entry),
                "dagster_event_type": event.event_type_value if event is not None else None,
                "timestamp": at,
                "step_key": entry.step_key,
                "asset_key": key,
            }
        )
        if event is not None and event.is_step_materialization:
            made = event.step_materialization_data.materialization
            tags += [
                {
                    "event_id": number,
                    "asset_key": key,
                    "key": tag,
                    "value": value,
                    "event_timestamp": at,
                }
                for tag, value in (made.tags or {}).items()
                if tag == "dagster/data_version"
            ]
    with storage.index_connection() as connection:
        connection.execute(SqlEventLogStorageTable.insert(), rows)
        if tags:
            connection.execute(AssetEventTagsTable.insert(), tags)


@contextlib.contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Count the queries that this process makes meanwhile.

    Yields:
        The statements; grows.
    """
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("PRAGMA"):
            found.append(statement)

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", note)
