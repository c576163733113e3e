"""Reads the log of one run page by page, and merges the logs of several runs into one order."""

import heapq
from collections.abc import Callable, Iterable, Iterator

from dagster import DagsterInstance
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.event_log.stored_event import EventId, Page, StoredEvent
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.families import FOLLOWED

PAGE = 2000  # Events of a page; of runs that are merged, one page each is open
PUBLIC_PAGE = 200  # Events of a page of Dagster's public API, which decodes all of them


def events_of_run(
    instance: DagsterInstance,
    run_id: str,
    *,
    after: int = 0,
    until: int | None = None,
    page: int = PAGE,
) -> Iterator[StoredEvent]:
    """Yield the followed events of a run in order, read from the log page by page.

    The run id is empty for events reported from outside any run. `after` is the storage id before
    the first event, `until` the last one.
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
        StoredEvent(EventId(run_id, each.storage_id), None, each.event_log_entry, each.timestamp)
        for each in found.records
    ]
    return Page(events, not found.has_more)


def in_order(
    logs: Iterable[tuple[float, Iterator[StoredEvent]]], place_of: Callable[[StoredEvent], float]
) -> Iterator[StoredEvent]:
    """Yield the events of several logs in one order; those of one log stay in its own order.

    The logs come with the place before which they have no event, sorted by that. A log opens when
    the merged order comes to its place, so few of thousands are open at a time. An event whose
    place goes back within its log counts as equal.
    """
    waiting = enumerate(logs)
    upcoming = next(waiting, None)
    # The place of a log's next event, the log's number, which decides between equal places, the
    # event and the rest
    open_logs: list[tuple[float, int, StoredEvent, Iterator[StoredEvent]]] = []

    def push(at_least: float, number: int, log: Iterator[StoredEvent]) -> None:
        event = next(log, None)
        if event is not None:
            heapq.heappush(open_logs, (max(at_least, place_of(event)), number, event, log))

    while open_logs or upcoming is not None:
        while upcoming is not None and (not open_logs or upcoming[1][0] <= open_logs[0][0]):
            number, (_, log) = upcoming
            push(float("-inf"), number, log)
            upcoming = next(waiting, None)
        if open_logs:
            place, number, event, log = heapq.heappop(open_logs)
            yield event
            push(place, number, log)
