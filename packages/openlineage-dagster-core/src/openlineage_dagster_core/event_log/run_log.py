"""Reads the log of one run, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.event_log.stored_event import EventId, Page, StoredEvent
from openlineage_dagster_core.event_log.tables import LONGEST_PAGE, EventTables
from openlineage_dagster_core.families import FOLLOWED

if TYPE_CHECKING:
    from dagster import DagsterInstance

PUBLIC_PAGE = 200
"""Events of a page of Dagster's public API, which decodes all of them."""


def events_of_run(
    instance: DagsterInstance,
    run_id: str,
    *,
    after: int = 0,
    until: int | None = None,
    page: int = LONGEST_PAGE,
) -> Iterator[StoredEvent]:
    """Read the followed events of a run.

    Args:
        instance: holds the log.
        run_id: the Dagster run id; empty for events reported from outside any run.
        after: the storage id before the first.
        until: the last storage id.
        page: the number of events to read at a time.

    Yields:
        The events, in order.
    """
    tables = EventTables.of(instance.event_log_storage)
    while True:
        if tables is not None:
            found = tables.rows(after, page, until=until, run_id=run_id)
        else:
            found = _public_page(instance, run_id, after, min(page, PUBLIC_PAGE))
        for event in found.events:
            if until is not None and event.id.storage_id > until:
                return
            yield event
        if found.is_last or not found.events:
            return
        after = found.events[-1].id.storage_id


def _public_page(instance: DagsterInstance, run_id: str, after: int, page: int) -> Page:
    found = instance.get_records_for_run(
        run_id,
        cursor=EventLogCursor.from_storage_id(after).to_string() if after > 0 else None,
        of_type=set(FOLLOWED),
        limit=page,
    )
    events = [
        StoredEvent(
            EventId(run_id, record.storage_id), decoded=record.event_log_entry,
            timestamp=record.timestamp,
        )
        for record in found.records
    ]  # fmt: skip
    return Page(events, not found.has_more)
