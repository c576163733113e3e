"""Puts the logs of several runs into one order, with few of them open at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from openlineage_dagster_core.event_log.stored_event import StoredEvent


def in_order(
    logs: Iterable[tuple[float, Iterator[StoredEvent]]],
    place_of: Callable[[StoredEvent], float],
) -> Iterator[StoredEvent]:
    """Merge logs.

    Args:
        logs: each with the place before which it has no event, sorted by that; a log is begun when
            the merged order has come to its place, so that thousands can be merged.
        place_of: gives an event's place; within one log, what would go back is taken for equal.

    Yields:
        The events; those of one log in its own order.
    """
    waiting = iter(logs)
    upcoming = next(waiting, None)
    # The number keeps logs apart that are at the same place.
    open_logs: list[tuple[float, int, StoredEvent, Iterator[StoredEvent]]] = []
    number = 0
    while open_logs or upcoming is not None:
        while upcoming is not None and (not open_logs or upcoming[0] <= open_logs[0][0]):
            _, log = upcoming
            number += 1
            _push(open_logs, float("-inf"), number, log, place_of)
            upcoming = next(waiting, None)
        if not open_logs:
            continue
        place, position, event, log = heapq.heappop(open_logs)
        yield event
        _push(open_logs, place, position, log, place_of)


def _push(
    open_logs: list[tuple[float, int, StoredEvent, Iterator[StoredEvent]]],
    at_least: float,
    number: int,
    log: Iterator[StoredEvent],
    place_of: Callable[[StoredEvent], float],
) -> None:
    event = next(log, None)
    if event is not None:
        place = max(at_least, place_of(event))
        heapq.heappush(open_logs, (place, number, event, log))
