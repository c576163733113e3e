"""Reads event logs that each run has one of: Dagster's default, SQLite with a file a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus, EventLogRecord, RunsFilter
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core.facts.progress import FOLLOWED
from openlineage_dagster_core.families import RUN_FAMILY
from openlineage_dagster_sensor.cursor import UNKNOWN
from openlineage_dagster_sensor.reading import (
    CLOCKS_DIFFER_SECONDS,
    HELD_PAGE,
    SETTLED_SECONDS,
    report_unreadable,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_sensor.cursor import Cursor
    from openlineage_dagster_sensor.reading import DoneEvent

RUNS_A_TICK = 100
RUNS_A_PAGE = 500
PAGE = 1000

RUNLESS = ""
"""The run id of what is reported from outside any run: it has a log too."""

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class RunLogs:
    """Finds the runs that have changed, and reads each from where it was.

    SQLite commits one write after the other, so what is read up to an id is all there is up to it.
    How far each run is may be too much for the cursor's text. Then the runs are found again, and
    what happened in the last minutes before all had been sent is sent once more.

    Args:
        instance: holds the event logs.
        cursor: how far they have been sent; moves.
    """

    def __init__(self, instance: DagsterInstance, cursor: Cursor) -> None:
        self._instance = instance
        self._cursor = cursor
        self._begun_before: set[str] = set()
        self._now = time.time()
        self._has_found_all = False
        self._has_read_all = False
        self._count = 0
        self._runless: set[int] = set()
        self.unreadable = 0

    def is_idle(self) -> bool:
        """Take up the runs that have changed.

        Returns:
            False: there is no question that is cheaper than to read.
        """
        if not self._cursor.after_storage_id:
            if self._cursor.must_find_runs:
                self._find_runs_under_way()
                self._cursor.must_find_runs = False
            self._find_runs()
        return False

    def begin(self, start: float | None) -> None:
        """Find the time that a storage id to begin after stands for.

        Storage ids of 0.2 are those of the cross-run index, which differ from those of a run; and
        runs to come must not be measured by them.

        Args:
            start: in seconds since the epoch; None where the cursor has a storage id.
        """
        cursor = self._cursor
        if start is None:
            before = EventLogCursor.from_storage_id(cursor.after_storage_id + 1).to_string()
            times = [
                record.timestamp
                for event_type in RUN_FAMILY
                for record in self._instance.fetch_run_status_changes(
                    event_type, limit=1, cursor=before
                ).records
            ]
            start = max([0.0, *times])
        cursor.begins_at = cursor.updated_after = cursor.complete_after = min(start, self._now)
        cursor.after_storage_id = 0
        cursor.runs.clear()
        self._find_runs()

    def pages(self) -> Iterator[Sequence[EventLogRecord]]:
        """Read what each run has added, and at last some of those that wait.

        Yields:
            Events that are not done with, run by run.
        """
        cursor = self._cursor
        waiting = [run_id for run_id in cursor.runs if run_id in cursor.held]
        others = [run_id for run_id in cursor.runs if run_id not in cursor.held]
        for run_id in dict.fromkeys([RUNLESS, *others, *waiting]):
            low, _ = cursor.runs.get(run_id, (UNKNOWN if cursor.sent_until else 0, 0.0))
            if low:
                self._begun_before.add(run_id)
            try:
                for page in self._pages_of(run_id, low):
                    self._count += len(page)
                    yield page
            except Exception as error:
                # It is tried again at the next tick and holds up no other.
                self.unreadable += 1
                report_unreadable(run_id, error)
        self._has_read_all = not self.unreadable

    def _pages_of(self, run_id: str, low: int) -> Iterator[Sequence[EventLogRecord]]:
        position = EventLogCursor.from_storage_id(low).to_string() if low > 0 else None
        after = self._cursor.begins_at if run_id == RUNLESS else 0.0
        if low == UNKNOWN:
            after = max(after, self._cursor.sent_until - CLOCKS_DIFFER_SECONDS)
        is_waiting = run_id in self._cursor.held
        while True:
            page = self._instance.get_records_for_run(
                run_id,
                cursor=position,
                of_type=set(FOLLOWED),
                limit=HELD_PAGE if is_waiting else PAGE,
            )
            records = [record for record in page.records if record.timestamp > after]
            if run_id == RUNLESS:
                records = [each for each in records if each.storage_id not in self._cursor.recent]
                self._runless.update(each.storage_id for each in records)
            yield records
            if not page.has_more:
                return
            if is_waiting:
                # The rest is not done with.
                self._count += 1
                return
            position = page.cursor

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move each run on, and forget those that have ended.

        Args:
            done: what is done with of what was read; for each run in order.
        """
        cursor = self._cursor
        count = 0
        for event in done:
            count += 1
            if event.run_id == RUNLESS:
                cursor.recent.add(event.storage_id)
                continue
            # The next tick begins with the runs that this one did not come to.
            low, ended_at = cursor.runs.pop(event.run_id, (0, 0.0))
            if event.ends_run:
                ended_at = event.timestamp
            cursor.runs[event.run_id] = (max(low, event.storage_id), ended_at)
        self._settle_runless()
        if self._has_read_all and count == self._count:
            cursor.complete_after = cursor.updated_after
            if self._has_found_all:
                cursor.sent_until = max(cursor.sent_until, self._now)
        for run_id, (_, ended_at) in list(cursor.runs.items()):
            if ended_at and ended_at < self._forgettable_before():
                del cursor.runs[run_id]

    def _settle_runless(self) -> None:
        """Move past what is done with of the log of no run: it has an order for each asset only."""
        cursor = self._cursor
        waiting = self._runless - cursor.recent
        low, _ = cursor.runs.get(RUNLESS, (0, 0.0))
        low = min(waiting) - 1 if waiting else max([low, *cursor.recent])
        if low > 0:
            cursor.runs[RUNLESS] = (low, 0.0)
        cursor.recent = {each for each in cursor.recent if each > low}

    def has_all_of(self, run: RunRecord) -> bool:
        """Tell whether all of a run's events come in this tick.

        Args:
            run: its row.

        Returns:
            Whether nothing of it is done with.
        """
        return run.dagster_run.run_id not in self._begun_before

    def behind(self) -> int | None:
        """Count what is left.

        Returns:
            None: it is not known.
        """
        return None

    def _find_runs_under_way(self) -> None:
        position = None
        while True:
            records = self._instance.get_run_records(
                RunsFilter(statuses=UNDER_WAY), limit=RUNS_A_PAGE, cursor=position
            )
            for record in records:
                self._take_up(record)
            if len(records) < RUNS_A_PAGE:
                return
            position = records[-1].dagster_run.run_id

    def _take_up(self, record: RunRecord) -> None:
        """Begin to read a run; one that there was when all had been sent is known, but not how."""
        is_new = record.create_timestamp.timestamp() >= self._cursor.sent_until
        position = 0 if is_new else UNKNOWN
        self._cursor.runs.setdefault(record.dagster_run.run_id, (position, 0.0))

    def _find_runs(self) -> None:
        cursor = self._cursor
        since = datetime.fromtimestamp(cursor.updated_after, timezone.utc)
        limit = RUNS_A_TICK
        while True:
            records = self._instance.get_run_records(
                RunsFilter(updated_after=since),
                limit=limit,
                order_by="update_timestamp",
                ascending=True,
            )
            self._has_found_all = len(records) < limit
            settled = self._now - SETTLED_SECONDS
            if not self._has_found_all:
                # A full page: the next one begins with the runs that share its last moment.
                last = records[-1].update_timestamp - timedelta(milliseconds=1)
                settled = min(settled, last.timestamp())
            if self._has_found_all or settled > cursor.updated_after:
                break
            # More share one moment than there is room for.
            limit *= 2
        # A run that ended before was sent and forgotten; since then only its tags, say, changed.
        # That all was sent is the only proof that it was.
        sent_before = min(self._forgettable_before(), cursor.sent_until - SETTLED_SECONDS)
        ended_before = max(cursor.begins_at, sent_before)
        for record in records:
            if record.end_time is None or record.end_time > ended_before:
                self._take_up(record)
        cursor.updated_after = max(cursor.updated_after, settled)

    def _forgettable_before(self) -> float:
        """Tell which runs are past; finding and forgetting must agree on it.

        Not `updated_after` itself: a run's row is written somewhat later than its last event.
        """
        return self._cursor.updated_after - SETTLED_SECONDS
