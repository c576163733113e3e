"""The base of the classes that read the event log."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent

LATE_SECONDS = 660.0  # After which no event becomes visible any more below one that was read
CLOCKS_DIFFER_SECONDS = 600.0  # By which the clocks of the machines that store events may differ
RUNS_A_PAGE = 500
_Status = DagsterRunStatus
UNDER_WAY = RunsFilter(
    statuses=[_Status.QUEUED, _Status.STARTING, _Status.STARTED, _Status.CANCELING]
)


class DoneEvent(NamedTuple):
    """A delivered event of the log: where, when (seconds since the epoch), if it ends its run."""

    id: EventId
    timestamp: float
    ends_run: bool


class EventLogReader(ABC):
    """Reads each event of the log once, and keeps the cursor."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor  # How far the log is delivered; `settle` moves it
        self.unreadable = 0  # Runs whose log could not be read at the last attempt
        self._forgotten: set[str] = set()

    @abstractmethod
    def use(self, instance: DagsterInstance) -> None:
        """Read on through another opening of the same instance; each sensor tick has its own."""

    @abstractmethod
    def begin(self, start: float | None) -> None:
        """Find where to begin; called where the cursor does not know it yet.

        Events that happened before `start`, in seconds since the epoch, are left out; infinity
        begins with what comes next, and None where the cursor says.
        """

    def has_news(self) -> bool:
        """Ask cheaply for news; return False only where there is nothing to read."""
        return True

    @abstractmethod
    def read(self) -> Iterator[Sequence[StoredEvent]]:
        """Yield batches of new events, in the order to convert them.

        The next call goes on after the last batch that the caller took.
        """

    @abstractmethod
    def retry(self, events: Collection[EventId]) -> None:
        """Read events once more at the next `read`, and what depends on them after them."""

    @abstractmethod
    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move the cursor past the events that were delivered since the last call."""

    def has_all_of(self, runs: Sequence[RunRecord]) -> Collection[str]:
        """Return the ids of the runs of which this reader gives every event.

        Each of the runs has just begun to be read. Earlier events of those that are left out were
        read before this reader began.
        """
        return [run.dagster_run.run_id for run in runs]

    def forgets(self) -> Iterable[str]:
        """Return the ids of runs whose progress must be read again, since the last call."""
        forgotten, self._forgotten = self._forgotten, set()
        return forgotten


def all_runs(instance: DagsterInstance, filters: RunsFilter) -> Iterator[RunRecord]:
    """Yield the rows of the runs that pass a filter, the newest first."""
    position = None
    while records := instance.get_run_records(filters, limit=RUNS_A_PAGE, cursor=position):
        yield from records
        position = records[-1].dagster_run.run_id
