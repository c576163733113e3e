"""Reads the log of one run, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.families import FOLLOWED

if TYPE_CHECKING:
    from dagster import DagsterInstance

FIRST_PAGE = 200
LONGEST_PAGE = 2000
PAGE_BYTES = 8_000_000
"""A page of wide rows is cut so that it takes about that much memory."""


def page_size(events: list[StoredEvent]) -> int:
    """Choose how many events the next page has.

    Args:
        events: the page before.

    Returns:
        A number of events that take about `PAGE_BYTES`.
    """
    if not events:
        return FIRST_PAGE
    average = sum(event.weight for event in events) / len(events)
    return max(10, min(LONGEST_PAGE, int(PAGE_BYTES / max(1.0, average))))


def events_of_run(
    instance: DagsterInstance,
    run_id: str,
    *,
    after: int = 0,
    until: int | None = None,
    page: int = FIRST_PAGE,
) -> Iterator[StoredEvent]:
    """Read the followed events of a run.

    Args:
        instance: holds the log.
        run_id: the Dagster run id; empty for events reported from outside any run.
        after: the storage id before the first.
        until: the last storage id.
        page: the number of events of the first page.

    Yields:
        The events, in order.
    """
    tables = EventTables.of(instance.event_log_storage)
    while True:
        if tables is not None:
            events = tables.rows(after, page, until=until, run_id=run_id)
            has_more = len(events) == page
        else:
            events, has_more = _public_page(instance, run_id, after, page)
        for event in events:
            if until is not None and event.id.storage_id > until:
                return
            yield event
        if not has_more or not events:
            return
        after, page = events[-1].id.storage_id, page_size(events)


def _public_page(
    instance: DagsterInstance, run_id: str, after: int, page: int
) -> tuple[list[StoredEvent], bool]:
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
    return events, found.has_more
