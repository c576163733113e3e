"""Reads event logs of which each run has its own: Dagster's default, SQLite with a file a run."""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice

from dagster import DagsterInstance, RunRecord, RunsFilter
from dagster._core.event_api import EventLogCursor

from openlineage_dagster_core import fault
from openlineage_dagster_core.event_log import reader
from openlineage_dagster_core.event_log.cursor import UNKNOWN, Cursor
from openlineage_dagster_core.event_log.outstanding import Outstanding
from openlineage_dagster_core.event_log.reader import DoneEvent, EventLogReader
from openlineage_dagster_core.event_log.run_log import events_of_run, in_order
from openlineage_dagster_core.event_log.shard_files import ShardFiles
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.families import RUN_FAMILY

RUNS_A_PASS = 100
EVENTS_A_BATCH = 2000
SETTLED_SECONDS = 60.0  # Seconds after which a query by the time of change surely finds a run's row
RUNLESS = ""  # The run id of events reported from outside any run, which have a log too

logger = logging.getLogger(__name__)


class RunLogs(EventLogReader):
    """Finds the runs that have changed and reads on in each, merged by time.

    SQLite commits one write after the other, so no event appears late. The cursor's text may be too
    short for the positions of all runs. Then the next reader finds the runs again, and delivers
    again what happened in the last minutes before everything was delivered.
    """

    def __init__(self, instance: DagsterInstance, cursor: Cursor) -> None:
        super().__init__(cursor)
        self.use(instance)
        self._logs: defaultdict[str, Outstanding] = defaultdict(lambda: Outstanding(0))
        for run_id, (low, _) in {RUNLESS: (0, 0.0), **cursor.runs}.items():
            delivered = cursor.recent if run_id == RUNLESS else ()
            self._logs[run_id] = Outstanding(max(0, low), delivered)
        self._begun: dict[str, float] = {}
        self._read_to: dict[str, int] = {}
        self._began_with = {run_id for run_id, (low, _) in cursor.runs.items() if low}
        self._now = time.time()
        self._has_found_all = False
        self._again: set[EventId] = set()

    def use(self, instance: DagsterInstance) -> None:
        """Read on through another opening of the same instance."""
        self._instance = instance
        self._files = ShardFiles(instance)
        self._has_read_all = False

    def begin(self, start: float | None) -> None:
        """Find the time to begin at; see `EventLogReader.begin`.

        Storage ids of 0.2 are those of the cross-run index, which differ from those of a run.
        """
        cursor = self.cursor
        if start is None:
            before = EventLogCursor.from_storage_id(cursor.after_storage_id + 1).to_string()
            pages = (
                self._instance.fetch_run_status_changes(event_type, limit=1, cursor=before)
                for event_type in RUN_FAMILY
            )
            times = [record.timestamp for page in pages for record in page.records]
            start = max([0.0, *times])
        cursor.begins_at = cursor.updated_after = cursor.complete_after = min(start, self._now)
        cursor.after_storage_id = 0
        cursor.runs.clear()
        self._logs.clear()

    def has_news(self) -> bool:
        """Return True where any file has changed since it was read, without a query."""
        is_to_read = bool(self._again) or not self._has_read_all
        return is_to_read or self._files.have_changed(self._under_way())

    def _under_way(self) -> list[str]:
        return [RUNLESS, *(run_id for run_id in self.cursor.runs if run_id != RUNLESS)]

    def read(self) -> Iterator[Sequence[StoredEvent]]:
        """Yield what the changed runs have added, in the order in which it happened."""
        self._now = time.time()
        if self.cursor.must_find_runs:
            for record in reader.all_runs(self._instance, reader.UNDER_WAY):
                self._take_up(record)
            self.cursor.must_find_runs = False
        if self._files.runs_have_changed() or not self._has_found_all:
            self._find_runs()
        if not self._has_read_all:
            self._files.forget_all()
        self.unreadable = 0
        self._has_read_all = False
        yield from self._wanted_again()
        changed = [run_id for run_id in self._under_way() if self._files.has_changed(run_id)]
        changed.sort(key=lambda run_id: self._begun.get(run_id, 0.0))
        logs = ((self._begun.get(each, 0.0), self._new_events(each)) for each in changed)
        events = in_order(logs, lambda event: event.timestamp)
        while batch := list(islice(events, EVENTS_A_BATCH)):
            for event in batch:
                self._logs[event.id.run_id].add(event.id.storage_id, event.timestamp)
                self._read_to[event.id.run_id] = event.id.storage_id
            yield batch
        self._has_read_all = not self.unreadable

    def retry(self, events: Collection[EventId]) -> None:
        """Read events once more at the next call of `read`."""
        self._again |= set(events)

    def _wanted_again(self) -> Iterator[Sequence[StoredEvent]]:
        """Read parked events, and what the same run stored after them."""
        for run_id in sorted({event.run_id for event in self._again}):
            wanted = [event.storage_id for event in self._again if event.run_id == run_id]
            until = self._known_until(run_id)
            found = events_of_run(self._instance, run_id, after=min(wanted) - 1, until=until)
            events = [replace(event, is_again=True) for event in found]
            self._forgotten.add(run_id)
            self._again = {event for event in self._again if event.run_id != run_id}
            yield events

    def _known_until(self, run_id: str) -> int | None:
        """Return the storage id up to which a run was read; None for a forgotten run."""
        if run_id != RUNLESS and run_id not in self.cursor.runs:
            return None
        log = self._logs[run_id]
        return max(self._read_to.get(run_id, 0), log.low, *log.delivered)

    def _new_events(self, run_id: str) -> Iterator[StoredEvent]:
        low, _ = self.cursor.runs.get(run_id, (UNKNOWN if self.cursor.sent_until else 0, 0.0))
        since = self.cursor.begins_at if run_id == RUNLESS else 0.0
        if low == UNKNOWN:
            since = max(since, self.cursor.sent_until - reader.CLOCKS_DIFFER_SECONDS)
        log = self._logs[run_id]
        after = max(self._read_to.get(run_id, 0), log.low)
        self._files.note(run_id)
        try:
            for event in events_of_run(self._instance, run_id, after=after):
                if event.timestamp > since and event.id.storage_id not in log:
                    yield event
        except Exception as error:
            # The next pass reads it again; the other runs go on.
            self.unreadable += 1
            self._files.forget(run_id)
            logger.warning(
                "OpenLineage: run %s cannot be read, will retry: %s", run_id, fault.described(error)
            )

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move the position of each run past the delivered events, and forget ended runs."""
        cursor = self.cursor
        touched = set()
        for event in done:
            run_id = event.id.run_id
            cursor.read += 1
            if run_id != RUNLESS and run_id not in cursor.runs:
                # The run was forgotten; a parked event of it was delivered again.
                continue
            touched.add(run_id)
            self._logs[run_id].deliver(event.id.storage_id)
            if event.ends_run:
                cursor.runs[run_id] = (cursor.runs[run_id][0], event.timestamp)
        for run_id in touched:
            log = self._logs[run_id]
            log.advance(self._read_to.get(run_id, 0), 0.0)
            _, ended_at = cursor.runs.pop(run_id, (0, 0.0))
            cursor.runs[run_id] = (log.low, ended_at)
        cursor.recent = self._logs[RUNLESS].delivered
        waiting = [log for log in self._logs.values() if len(log)]
        if self._has_read_all and not waiting:
            cursor.complete_after = cursor.updated_after
            if self._has_found_all:
                cursor.sent_until = max(cursor.sent_until, self._now)
        for run_id, (_, ended_at) in list(cursor.runs.items()):
            if ended_at and ended_at < self._forgettable_before() and not len(self._logs[run_id]):
                for of_run in (cursor.runs, self._logs, self._begun, self._read_to):
                    of_run.pop(run_id, None)
                self._began_with.discard(run_id)
                self._files.forget(run_id)
        cursor.behind = sum(map(len, waiting))
        cursor.behind_since = min((each.oldest() for each in waiting), default=0.0)

    def has_all_of(self, runs: Sequence[RunRecord]) -> Collection[str]:
        """Return the ids of the runs of which nothing was delivered before this reader began."""
        return {run.dagster_run.run_id for run in runs} - self._began_with

    def _take_up(self, record: RunRecord) -> None:
        """Begin to read a run; the position of one from before all was delivered is lost."""
        run_id = record.dagster_run.run_id
        is_new = record.create_timestamp.timestamp() >= self.cursor.sent_until
        if run_id not in self.cursor.runs and not is_new:
            self._began_with.add(run_id)
        self.cursor.runs.setdefault(run_id, (0 if is_new else UNKNOWN, 0.0))
        self._begun[run_id] = record.create_timestamp.timestamp()

    def _find_runs(self) -> None:
        cursor = self.cursor
        since = datetime.fromtimestamp(cursor.updated_after, timezone.utc)
        changed = RunsFilter(updated_after=since)
        limit = RUNS_A_PASS
        while True:
            records = self._instance.get_run_records(
                changed, limit=limit, order_by="update_timestamp", ascending=True
            )
            self._has_found_all = len(records) < limit
            settled = self._now - SETTLED_SECONDS
            if not self._has_found_all:
                # A full page: the next one begins with the runs that changed at its last moment.
                last = records[-1].update_timestamp - timedelta(milliseconds=1)
                settled = min(settled, last.timestamp())
            if self._has_found_all or settled > cursor.updated_after:
                break
            # More runs changed at one moment than a page holds.
            limit *= 2
        # A run that ended before this time was delivered and forgotten; since then only its tags,
        # say, have changed. Only a time when all was delivered proves that it was.
        sent_before = min(self._forgettable_before(), cursor.sent_until - SETTLED_SECONDS)
        ended_before = max(cursor.begins_at, sent_before)
        for record in records:
            if record.end_time is None or record.end_time > ended_before:
                self._take_up(record)
        cursor.updated_after = max(cursor.updated_after, settled)

    def _forgettable_before(self) -> float:
        """Return the time before which ended runs are past; finding and forgetting must agree.

        It is before `updated_after`: Dagster writes a run's row somewhat later than its last event.
        """
        return self.cursor.updated_after - SETTLED_SECONDS
