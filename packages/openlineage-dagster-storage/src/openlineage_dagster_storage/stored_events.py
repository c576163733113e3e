"""Finds events in the event log by their references, reading each log on from where it was."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_storage.references import EventId, id_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry, EventLogRecord

PAGE = 500
BEGINNING = 50
"""So many events of a run are read before it is asked from where on others are wanted."""

RUNS_REMEMBERED = 256
ENTRIES_REMEMBERED = 2000

MARGIN_SECONDS = 60.0
"""Events may be stored in another order than that of their times, but not by more than this."""


@dataclass
class _Reading:
    """How far the log of one run has been read.

    Args:
        cursor: where the next page begins; None before the first.
        unclaimed: what has been read and not been asked for.
        has_dropped: whether some of that has been forgotten again.
        passed: the storage id up to which `passes_over_any` has looked.
        newest: the storage id of the last event that has been read.
    """

    cursor: str | None = None
    unclaimed: dict[EventId, deque[EventLogRecord]] = field(default_factory=dict)
    has_dropped: bool = False
    passed: int = 0
    newest: int = 0

    def take(self, wanted: EventId) -> EventLogRecord | None:
        records = self.unclaimed.get(wanted)
        if not records:
            return None
        record = records.popleft()
        if not records:
            del self.unclaimed[wanted]
        return record

    def has_any_between(self, after: float, before: float) -> bool:
        return any(
            after < record.storage_id < before
            for records in self.unclaimed.values()
            for record in records
        )


class StoredEvents:
    """Reads event logs, a run's forwards and once, as long as it is asked in that order.

    Args:
        instance: gives the instance; may raise.
        page: see `EventLogFacts`.
    """

    def __init__(
        self, instance: Callable[[], DagsterInstance], page: Callable[[int], int] = int
    ) -> None:
        self._instance = instance
        self._page = page
        self._readings: OrderedDict[str, _Reading] = OrderedDict()

    def find(
        self, run_id: str, wanted: Iterable[EventId], *, anew: bool
    ) -> dict[EventId, EventLogRecord]:
        """Find events in the log of a run.

        Args:
            run_id: of the run; empty for events that are of none.
            wanted: what to find; nothing that was found before, unless it was forgotten.
            anew: whether to look also before the place to which the log has been read: an event
                can become visible after one that was stored later.

        Returns:
            The records of those that are there.
        """
        found: dict[EventId, EventLogRecord] = {}
        try:
            self._find(run_id, dict.fromkeys(wanted), found, anew=anew)
        except BaseException:
            # Nobody else would look for it where it has been read already.
            self.put_back(run_id, found.values())
            raise
        return found

    def _find(
        self,
        run_id: str,
        missing: dict[EventId, None],
        found: dict[EventId, EventLogRecord],
        *,
        anew: bool,
    ) -> None:
        reading = self._reading(run_id)
        self._take(reading, missing, found)
        of_beginning = BEGINNING if reading.cursor is None else 0
        while missing:
            page = self._instance().get_records_for_run(
                run_id,
                cursor=reading.cursor,
                of_type=set(CONVERTED),
                limit=self._page(of_beginning or PAGE),
            )
            reading.cursor = page.cursor
            self._keep(reading, page.records)
            self._take(reading, missing, found)
            if not page.has_more:
                break
            if of_beginning:
                of_beginning -= len(page.records)
                if not of_beginning and not found:
                    # Somebody else has dealt with it.
                    reading.cursor = self._cursor_before(run_id, min(at for _, at, _ in missing))
                    reading.has_dropped = True
        if missing and (anew or reading.has_dropped):
            for record in self._backwards(run_id, until=min(at for _, at, _ in missing)):
                this = id_of(record.event_log_entry)
                # What has been stored since then has its turn, with what comes before it.
                if this in missing and record.storage_id <= reading.newest:
                    del missing[this]
                    found[this] = record

    def take(self, run_id: str, wanted: Iterable[EventId]) -> dict[EventId, EventLogRecord]:
        """Find events in what has been read of the log of a run, which is not read on.

        Args:
            run_id: of the run.
            wanted: what to find; nothing that was found before.

        Returns:
            The records of those that have been read.
        """
        found: dict[EventId, EventLogRecord] = {}
        self._take(self._reading(run_id), dict.fromkeys(wanted), found)
        return found

    def since(self, run_id: str, since: float) -> Iterator[EventLogEntry]:
        """Read all events of a run from a time on.

        Args:
            run_id: of the run; empty for events that are of none.
            since: in seconds since the epoch.

        Yields:
            The events in order.
        """
        cursor = self._cursor_before(run_id, since)
        while True:
            page = self._instance().get_records_for_run(
                run_id, cursor=cursor, of_type=set(CONVERTED), limit=self._page(PAGE)
            )
            for record in page.records:
                if record.timestamp >= since:
                    yield record.event_log_entry
            if not page.has_more:
                return
            cursor = page.cursor

    def leaves_any_before(self, run_id: str, before: float) -> bool:
        """Tell whether the log has events that nobody has asked for before one that was found.

        Args:
            run_id: of the run.
            before: the storage id of what was found.

        Returns:
            Whether any of those that are remembered is.
        """
        return self._reading(run_id).has_any_between(float("-inf"), before)

    def passes_over_any(self, run_id: str, before: int) -> bool:
        """Tell, once of each, whether there are events that nobody has asked for.

        Args:
            run_id: of the run.
            before: a storage id, that of an event that was found.

        Returns:
            Whether there are between that and where the last question ended.
        """
        reading = self._reading(run_id)
        after, reading.passed = reading.passed, max(before, reading.passed)
        return reading.has_any_between(after, before)

    def put_back(self, run_id: str, records: Iterable[EventLogRecord]) -> None:
        """Take back what was found and is not needed yet.

        Args:
            run_id: of the run.
            records: from `find`.
        """
        self._keep(self._reading(run_id), records)

    def forget(self, run_id: str) -> None:
        """Read the log of a run from its beginning when it is asked for again.

        Args:
            run_id: of the run.
        """
        self._readings.pop(run_id, None)

    def _reading(self, run_id: str) -> _Reading:
        reading = self._readings.setdefault(run_id, _Reading())
        self._readings.move_to_end(run_id)
        while len(self._readings) > RUNS_REMEMBERED:
            self._readings.popitem(last=False)
        return reading

    def _cursor_before(self, run_id: str, timestamp: float) -> str | None:
        """Find a place in a log before everything that happened from a time on."""
        from dagster._core.event_api import EventLogCursor

        earliest = None
        for record in self._backwards(run_id, until=timestamp):
            earliest = record.storage_id
        if earliest is None:
            return None
        return EventLogCursor.from_storage_id(earliest - 1).to_string()

    def _backwards(self, run_id: str, until: float) -> Iterator[EventLogRecord]:
        cursor = None
        while True:
            page = self._instance().get_records_for_run(
                run_id,
                cursor=cursor,
                of_type=set(CONVERTED),
                limit=self._page(PAGE),
                ascending=False,
            )
            for record in page.records:
                if record.timestamp < until - MARGIN_SECONDS:
                    return
                yield record
            if not page.has_more:
                return
            cursor = page.cursor

    def _keep(self, reading: _Reading, records: Iterable[EventLogRecord]) -> None:
        for record in records:
            this = id_of(record.event_log_entry)
            reading.newest = max(record.storage_id, reading.newest)
            reading.unclaimed.setdefault(this, deque()).append(record)

    def _take(
        self,
        reading: _Reading,
        missing: dict[EventId, None],
        found: dict[EventId, EventLogRecord],
    ) -> None:
        for wanted in list(missing):
            record = reading.take(wanted)
            if record is not None:
                found[wanted] = record
                del missing[wanted]
        # What nobody asks for was appended to another machine's outbox, or will be asked for soon.
        while len(reading.unclaimed) > ENTRIES_REMEMBERED:
            reading.unclaimed.pop(next(iter(reading.unclaimed)))
            reading.has_dropped = True


def in_order(found: Mapping[EventId, EventLogRecord]) -> list[EventLogRecord]:
    """Sort records as the log has them.

    Args:
        found: from `StoredEvents.find`.

    Returns:
        The records.
    """
    return sorted(found.values(), key=lambda record: record.storage_id)
