"""Reads the one event log of all runs: PostgreSQL, MySQL, Dagster+, SQLite in one file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dagster import DagsterEventType, EventLogRecord, EventRecordsFilter
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.facts.progress import FOLLOWED
from openlineage_dagster_sensor.cursor import HeldRun
from openlineage_dagster_sensor.reading import (
    CLOCKS_DIFFER_SECONDS,
    RUNLESS_KEY,
    SETTLED_SECONDS,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_sensor.cursor import Cursor
    from openlineage_dagster_sensor.reading import DoneEvent

PAGE = 1000

MARKS_APART_SECONDS = 10.0
"""So that they are few."""

BEGINNINGS = (DagsterEventType.RUN_START, DagsterEventType.ASSET_MATERIALIZATION)
"""Where a log begins at a time is asked of these: there is no run without the first."""


class WholeLog:
    """Reads by storage id, which grows over all runs.

    On PostgreSQL an event can become visible after one with a higher id. So the cursor's `low`
    stays behind: it moves to the highest id that was there `SETTLED_SECONDS` ago, and past what is
    old by its own account. Everything above it is read again at each tick, and what of it is done
    with is remembered.

    Args:
        instance: holds the event log.
        cursor: how far it has been sent; moves.
    """

    def __init__(self, instance: DagsterInstance, cursor: Cursor) -> None:
        self._instance = instance
        self._storage = instance.event_log_storage
        self._cursor = cursor
        self._low, self._at = cursor.low, cursor.at
        self._read: dict[int, tuple[float, str]] = {}
        self._read_to = cursor.low
        self._begun_before: set[str] = set()
        self._given: dict[int, str] = {}
        self._newest = 0
        self._newest_at = 0.0
        self._is_drained = False
        self.unreadable = 0

    def is_idle(self) -> bool:
        """Ask for the highest storage id: one query.

        Returns:
            Whether all up to it is settled and done with.
        """
        cursor = self._cursor
        self._newest, self._newest_at = self._storage.get_maximum_record_id() or 0, time.time()
        return self._newest <= cursor.low and not cursor.held and not cursor.partly

    def begin(self, start: float | None) -> None:
        """Find the storage id that stands for the beginning.

        Args:
            start: in seconds since the epoch; None where the cursor has a storage id.
        """
        cursor = self._cursor
        if start is None:
            cursor.low, cursor.after_storage_id = cursor.after_storage_id, 0
        elif start >= time.time():
            cursor.low = self._storage.get_maximum_record_id() or 0
        else:
            first = [
                record.storage_id
                for event_type in BEGINNINGS
                for record in self._storage.get_event_records(
                    EventRecordsFilter(event_type, after_timestamp=start), limit=1, ascending=True
                )
            ]
            newest = self._storage.get_maximum_record_id() or 0
            cursor.low = min(first) - 1 if first else newest
        # Of runs that are under way nothing is known.
        cursor.at = time.time() if cursor.low else 0.0
        self._low, self._at, self._read_to = cursor.low, cursor.at, cursor.low

    def pages(self) -> Iterator[Sequence[EventLogRecord]]:
        """Read from the cursor to the end, and first what the held runs have not sent.

        Yields:
            Events that are not done with.
        """
        cursor = self._cursor
        # `low` does not pass an event of no run that waits.
        held = {
            run_id: each.storage_id
            for run_id, each in cursor.held.items()
            if not run_id.startswith(RUNLESS_KEY)
        }
        for run_id, storage_id in held.items():
            records = self._of_run(run_id, storage_id)
            self._given.update((record.storage_id, run_id) for record in records)
            yield records
        while not self._is_drained:
            page, self._is_drained = self._page(self._read_to)
            if page:
                self._read_to = page[-1].storage_id
            new = []
            for record in page:
                self._read[record.storage_id] = (record.timestamp, record.run_id)
                if record.storage_id in cursor.recent:
                    self._begun_before.add(record.run_id)
                elif record.storage_id not in self._given:
                    new.append(record)
            yield new

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move `low` past all that is done with and settled, and remember what is done above it.

        Args:
            done: what is done with of what was read.
        """
        cursor = self._cursor
        finished = cursor.recent | {event.storage_id for event in done}
        self._hold_on(finished)
        waiting = [
            storage_id
            for storage_id, (_, run_id) in self._read.items()
            if storage_id not in finished and not self._comes_again(run_id, storage_id)
        ]
        first_waiting = min(waiting, default=None)
        # Everything is measured from when the tick began: what it has read was there by then.
        old_before = self._newest_at - CLOCKS_DIFFER_SECONDS
        for storage_id in sorted(self._read):
            timestamp, _ = self._read[storage_id]
            if storage_id == first_waiting or timestamp >= old_before:
                break
            cursor.low, cursor.at = storage_id, max(cursor.at, timestamp)
        done_to = max(self._newest, self._read_to) if self._is_drained else self._read_to
        self._pass_marks(done_to if first_waiting is None else first_waiting - 1)
        cursor.recent = {each for each in finished if each > cursor.low}

    def _hold_on(self, finished: Collection[int]) -> None:
        """Keep the place of runs that waited and have not been sent to their end by now."""
        for storage_id in sorted(self._given.keys() - finished):
            run_id = self._given[storage_id]
            if run_id not in self._cursor.held:
                self._cursor.held[run_id] = HeldRun(storage_id)

    def _comes_again(self, run_id: str, storage_id: int) -> bool:
        """Tell whether an event is read with its held run, whatever `low` is."""
        held = self._cursor.held.get(run_id)
        return held is not None and storage_id >= held.storage_id

    def _pass_marks(self, done_to: int) -> None:
        """Move `low` to where all was done with a while ago: nothing will still appear before it.

        Args:
            done_to: all that has become visible up to this storage id is done with.
        """
        cursor = self._cursor
        passed = [
            (storage_id, at)
            for storage_id, at in cursor.marks
            if storage_id <= done_to and at < self._newest_at - SETTLED_SECONDS
        ]
        for storage_id, at in passed:
            cursor.low, cursor.at = max(cursor.low, storage_id), max(cursor.at, at)
        cursor.marks = [each for each in cursor.marks if each[0] > cursor.low]
        last, last_at = cursor.marks[-1] if cursor.marks else (cursor.low, 0.0)
        now = time.time()
        if done_to > last and now - last_at >= MARKS_APART_SECONDS:
            cursor.marks.append((done_to, now))

    def has_all_of(self, run: RunRecord) -> bool:
        """Tell whether all of a run's events come in this tick.

        Args:
            run: its row.

        Returns:
            Whether nothing of it is done with, nor passed over by `low`.
        """
        run_id = run.dagster_run.run_id
        if run_id in self._begun_before:
            return False
        certain = self._at + CLOCKS_DIFFER_SECONDS + SETTLED_SECONDS
        if not self._low or run.create_timestamp.timestamp() > certain:
            return True
        first = self._instance.get_records_for_run(run_id, of_type=set(FOLLOWED), limit=1).records
        return not first or first[0].storage_id > self._low

    def behind(self) -> int | None:
        """Count what is left.

        Returns:
            How many storage ids there are after the last event that was read.
        """
        return 0 if self._is_drained else max(0, self._newest - self._read_to)

    def _of_run(self, run_id: str, storage_id: int) -> list[EventLogRecord]:
        records: list[EventLogRecord] = []
        position = EventLogCursor.from_storage_id(storage_id - 1).to_string()
        while True:
            page = self._instance.get_records_for_run(
                run_id, cursor=position, of_type=set(FOLLOWED), limit=PAGE
            )
            records += page.records
            if not page.has_more:
                return records
            position = page.cursor

    def _page(self, after: int) -> tuple[list[EventLogRecord], bool]:
        """Read a page; and whether it is the last."""
        try:
            with warnings.catch_warnings():
                # Dagster says since 1.7 that it will take one type only; by then see below.
                warnings.simplefilter("ignore", DeprecationWarning)
                found = self._storage.get_logs_for_all_runs_by_log_id(
                    after_cursor=after, dagster_event_type=set(FOLLOWED), limit=PAGE
                )
        except NotImplementedError:
            # Dagster+.
            return self._page_by_type(after)
        page = [EventLogRecord(storage_id, entry) for storage_id, entry in sorted(found.items())]
        return page, len(page) < PAGE

    def _page_by_type(self, after: int) -> tuple[list[EventLogRecord], bool]:
        """Put a page together, where events can be asked for by one type only."""
        records: list[EventLogRecord] = []
        horizons = []
        for event_type in FOLLOWED:
            of_type = self._storage.get_event_records(
                EventRecordsFilter(event_type, after_cursor=after), limit=PAGE, ascending=True
            )
            records += of_type
            if len(of_type) == PAGE:
                # There is more of this type, and it may come before what others have.
                horizons.append(of_type[-1].storage_id)
        records.sort(key=lambda record: record.storage_id)
        return (
            [each for each in records if not horizons or each.storage_id <= min(horizons)],
            not horizons,
        )
