"""Reads the logs of selected runs, in the order of the whole log."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dagster import DagsterInstance, RunRecord

from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import DoneEvent, EventLogReader
from openlineage_dagster_core.event_log.run_log import events_of_run, in_order
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.event_log.tables import EventTables

RUNS_A_PAGE = 200
EVENTS_A_BATCH = 200


@dataclass
class _Run:
    """How far a run is."""

    is_finished: bool
    read: int = 0
    done: int = 0
    is_read: bool = False


class SelectedRuns(EventLogReader):
    """Reads runs from their first event to their last, merged with each other.

    The cursor only counts what is delivered. The runs come in the order in which they were stored;
    see `Replay.run` for `runless`. `on_done` is called with the id of each delivered run, and True
    if the run has ended.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        runs: Iterable[RunRecord],
        runless: Callable[[float], bool] | None,
        on_done: Callable[[str, bool], None],
    ) -> None:
        super().__init__(Cursor())
        self.failure: Exception | None = None  # The error that ended reading
        self._instance = instance
        self._is_sharded = instance.event_log_storage.is_run_sharded
        self._runs: dict[str, _Run] = {}
        self._on_done = on_done
        self._events = in_order(
            self._logs(iter(runs), runless),
            lambda event: event.timestamp if self._is_sharded else event.id.storage_id,
        )
        self._under_way = 0

    def use(self, instance: DagsterInstance) -> None:
        """Do nothing: a replay has one instance."""

    def begin(self, start: float | None) -> None:
        """Do nothing: the selection says where it begins."""

    def read(self) -> Iterator[Sequence[StoredEvent]]:
        """Yield batches of events; go on after the last one."""
        while batch := self._batch():
            self._under_way += len(batch)
            yield batch

    def _batch(self) -> list[StoredEvent]:
        if self.failure is not None:
            # The error has ended the iterator before the end of the runs.
            raise self.failure
        try:
            return list(islice(self._events, EVENTS_A_BATCH))
        except Exception as error:
            self.failure = error
            raise

    def retry(self, events: Collection[EventId]) -> None:
        """Do nothing: a replay ends with what it cannot deliver."""

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Count delivered events, and report the runs that are done."""
        for event in done:
            self.cursor.read += 1
            self._under_way -= 1
            run = self._runs.get(event.id.run_id)
            if run is not None:
                run.done += 1
        for run_id, run in list(self._runs.items()):
            if run.is_read and run.done >= run.read:
                del self._runs[run_id]
                self._on_done(run_id, run.is_finished)
        self.cursor.behind = self._under_way

    def _logs(
        self, runs: Iterator[RunRecord], runless: Callable[[float], bool] | None
    ) -> Iterator[tuple[float, Iterator[StoredEvent]]]:
        if runless is not None:
            events = events_of_run(self._instance, "")
            chosen = (each for each in events if runless(each.timestamp or each.entry().timestamp))
            yield 0.0, chosen
        tables = EventTables.of(self._instance.event_log_storage)
        while page := list(islice(runs, RUNS_A_PAGE)):
            places = {run.dagster_run.run_id: 0.0 for run in page}
            if self._is_sharded:
                places = {run.dagster_run.run_id: run.create_timestamp.timestamp() for run in page}
            elif tables is not None:
                places.update(tables.first_ids(places))
            for run in sorted(page, key=lambda run: places[run.dagster_run.run_id]):
                yield places[run.dagster_run.run_id], self._log_of(run)

    def _log_of(self, record: RunRecord) -> Iterator[StoredEvent]:
        run_id = record.dagster_run.run_id
        run = self._runs[run_id] = _Run(record.dagster_run.is_finished)
        for event in events_of_run(self._instance, run_id):
            run.read += 1
            yield event
        run.is_read = True
