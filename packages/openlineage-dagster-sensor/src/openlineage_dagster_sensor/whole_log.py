"""Reads the one event log of all runs: PostgreSQL, MySQL, Dagster+, SQLite in one file."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dagster import EventLogRecord, EventRecordsFilter
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.facts.progress import FOLLOWED
from openlineage_dagster_core.ordering import RUNLESS
from openlineage_dagster_sensor.cursor import HeldRun
from openlineage_dagster_sensor.reading import (
    CLOCKS_DIFFER_SECONDS,
    HELD_PAGE,
    SETTLED_SECONDS,
    report_unreadable,
)
from openlineage_dagster_sensor.unparsed import unparsed_ids

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_sensor.cursor import Cursor
    from openlineage_dagster_sensor.reading import DoneEvent

PAGE = 1000

MARKS = 16
"""How many places in the log are waited for to settle."""

logger = logging.getLogger(__name__)


class WholeLog:
    """Reads by storage id, which grows over all runs.

    On PostgreSQL an event can become visible after one with a higher id. So where there is news
    each tick reads from the cursor's `low`, up to what was the newest when the tick began: what a
    run stores after an event is not read before it. `low` moves to what was read when it had
    settled, `SETTLED_SECONDS` after it was read first. Above it, what is done with is remembered.

    Args:
        instance: holds the event log.
        cursor: how far it has been sent; moves.
    """

    def __init__(self, instance: DagsterInstance, cursor: Cursor) -> None:
        self._instance = instance
        self._storage = instance.event_log_storage
        self._cursor = cursor
        self._from = cursor.seen
        self._at = cursor.at
        # What is done with although something before it is not.
        self._ahead = {each for each in cursor.recent if each > cursor.seen}
        self._has_begun = bool(cursor.seen or self._ahead)
        self._read: dict[int, tuple[float, str]] = {}
        self._read_to = cursor.low
        self._given: dict[int, str] = {}
        self._goes_on: dict[str, int] = {}
        self._newest = 0
        self._began_at = time.time()
        self._is_drained = False
        self.unreadable = 0

    def is_idle(self) -> bool:
        """Ask for the highest storage id: one query.

        Returns:
            Whether all up to it is done with, and nothing has settled since.
        """
        cursor = self._cursor
        self._newest = self._storage.get_maximum_record_id() or 0
        if self._newest <= cursor.seen:
            self._mark()
        is_settled = self._newest <= cursor.seen and not self._settled_mark()
        return is_settled and not cursor.held and not cursor.partly

    def begin(self, start: float | None) -> None:
        """Find the storage id that stands for the beginning.

        Args:
            start: in seconds since the epoch; None where the cursor has a storage id.
        """
        cursor = self._cursor
        newest = self._storage.get_maximum_record_id() or 0
        if start is None:
            cursor.low, cursor.after_storage_id = cursor.after_storage_id, 0
        elif start >= time.time():
            cursor.low = newest
        else:
            first = [
                record.storage_id
                for event_type in FOLLOWED
                for record in self._storage.get_event_records(
                    EventRecordsFilter(event_type, after_timestamp=start), limit=1, ascending=True
                )
            ]
            cursor.low = min([newest, *(each - 1 for each in first)])
        # Of runs that are under way nothing is known.
        cursor.seen, cursor.at = cursor.low, time.time() if cursor.low else 0.0
        self._from = self._read_to = cursor.low
        self._at, self._has_begun = cursor.at, bool(cursor.seen)

    def pages(self) -> Iterator[Sequence[EventLogRecord]]:
        """Read some of what the runs that wait have not sent, then from `low` to the newest.

        Yields:
            Events that are not done with.
        """
        waiting = dict(self._cursor.held)
        for run_id, held in waiting.items():
            # `low` does not pass an event of no run that waits.
            if not run_id.startswith(RUNLESS):
                yield self._of_waiting(run_id, held.storage_id)
        while self._read_to < self._newest:
            records, goes_on = self._page(self._read_to)
            self._read_to = self._newest if goes_on is None else min(goes_on, self._newest)
            page = [
                record
                for record in records
                if record.storage_id <= self._newest
                and not (
                    record.run_id in waiting
                    and record.storage_id >= waiting[record.run_id].storage_id
                )
            ]
            self._read.update(
                (record.storage_id, (record.timestamp, record.run_id)) for record in page
            )
            yield [record for record in page if record.storage_id not in self._cursor.recent]

    def _of_waiting(self, run_id: str, storage_id: int) -> Sequence[EventLogRecord]:
        try:
            page = self._instance.get_records_for_run(
                run_id,
                cursor=EventLogCursor.from_storage_id(storage_id - 1).to_string(),
                of_type=set(FOLLOWED),
                limit=HELD_PAGE,
            )
        except Exception as error:
            # It is tried again at the next tick and holds up no other.
            self.unreadable += 1
            report_unreadable(run_id, error)
            return []
        if not page.records:
            # It was deleted.
            self._cursor.held.pop(run_id, None)
        elif page.has_more:
            self._goes_on[run_id] = page.records[-1].storage_id + 1
        self._given.update((record.storage_id, run_id) for record in page.records)
        return page.records

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move the cursor past what is done with, and `low` past what has settled as well.

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
        done_to = min(waiting) - 1 if waiting else self._read_to
        self._pass_marks(done_to)
        self._see(done_to)
        cursor.recent = {each for each in finished if each > cursor.low}
        if cursor.seen >= self._newest and not cursor.held:
            # Of what was deleted.
            cursor.partly.clear()

    def _pass_marks(self, done_to: int) -> None:
        """Move `low` to what has been read once more since it settled."""
        cursor = self._cursor
        cursor.low = max(cursor.low, min(done_to, self._settled_mark()))
        cursor.marks = [each for each in cursor.marks if each[0] > cursor.low]

    def _see(self, done_to: int) -> None:
        """Move `seen`, and `low` with it as long as what comes is old by its own account.

        All from `low` on has been read in this tick.
        """
        cursor = self._cursor
        old_before = self._began_at - CLOCKS_DIFFER_SECONDS - SETTLED_SECONDS
        is_old = True
        for storage_id in sorted(self._read):
            timestamp, _ = self._read[storage_id]
            if storage_id <= done_to:
                cursor.at = max(cursor.at, timestamp)
                is_old = is_old and timestamp < old_before
                if is_old:
                    cursor.low = max(cursor.low, storage_id)
        cursor.seen = max(cursor.seen, done_to)
        self._mark()

    def _mark(self) -> None:
        """Note that `seen` is to be read once more when it has settled."""
        cursor = self._cursor
        last = cursor.marks[-1][0] if cursor.marks else cursor.low
        if cursor.seen > last:
            cursor.marks = [*cursor.marks[: MARKS - 1], (cursor.seen, time.time())]

    def _settled_mark(self) -> int:
        """Find how far the log has settled since it was read; 0 where nothing has."""
        settled_before = self._began_at - SETTLED_SECONDS
        return max((each for each, at in self._cursor.marks if at < settled_before), default=0)

    def _hold_on(self, finished: Collection[int]) -> None:
        """Keep the place of runs that waited and have not been sent to their end by now."""
        for storage_id in sorted(self._given.keys() - finished):
            run_id = self._given[storage_id]
            if run_id not in self._cursor.held:
                self._cursor.held[run_id] = HeldRun(storage_id)
        for run_id, storage_id in self._goes_on.items():
            if run_id not in self._cursor.held:
                self._cursor.held[run_id] = HeldRun(storage_id)

    def _comes_again(self, run_id: str, storage_id: int) -> bool:
        """Tell whether an event is read with its held run, whatever `low` is."""
        held = self._cursor.held.get(run_id)
        return held is not None and storage_id >= held.storage_id

    def has_all_of(self, run: RunRecord) -> bool:
        """Tell whether all of a run's events come in this tick.

        Args:
            run: its row.

        Returns:
            Whether it begins after what was read before.
        """
        if not self._has_begun:
            return True
        certain = self._at + CLOCKS_DIFFER_SECONDS + SETTLED_SECONDS
        if run.create_timestamp.timestamp() > certain and not self._ahead:
            return True
        first = self._instance.get_records_for_run(
            run.dagster_run.run_id, of_type=set(FOLLOWED), limit=1
        ).records
        return not first or (
            first[0].storage_id > self._from and first[0].storage_id not in self._ahead
        )

    def behind(self) -> int | None:
        """Count what is left.

        Returns:
            How many storage ids there are after the last event that was read.
        """
        return max(0, self._newest - self._read_to)

    def _page(self, after: int) -> tuple[list[EventLogRecord], int | None]:
        """Read a page; and after which storage id the next one begins, if there is one."""
        try:
            with warnings.catch_warnings(), unparsed_ids() as unparsed:
                # Dagster says since 1.7 that it will take one type only; by then see below.
                warnings.simplefilter("ignore", DeprecationWarning)
                found = self._storage.get_logs_for_all_runs_by_log_id(
                    after_cursor=after, dagster_event_type=set(FOLLOWED), limit=PAGE
                )
        except NotImplementedError:
            # Dagster+.
            return self._page_by_type(after)
        page = [EventLogRecord(storage_id, entry) for storage_id, entry in sorted(found.items())]
        if unparsed:
            # Dagster gives what comes before an event that it cannot read, and nothing after it.
            self._set_aside(unparsed[-1])
            return page, unparsed[-1]
        return page, page[-1].storage_id if len(page) == PAGE else None

    def _set_aside(self, storage_id: int) -> None:
        if storage_id not in self._cursor.recent:
            self._cursor.recent.add(storage_id)
            self._cursor.park("", storage_id, "not readable by Dagster")
            logger.error(
                "OpenLineage: the event with storage id %s cannot be read by Dagster and is "
                "parked; no impact on your runs",
                storage_id,
            )

    def _page_by_type(self, after: int) -> tuple[list[EventLogRecord], int | None]:
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
        goes_on = min(horizons, default=None)
        return [each for each in records if goes_on is None or each.storage_id <= goes_on], goes_on
