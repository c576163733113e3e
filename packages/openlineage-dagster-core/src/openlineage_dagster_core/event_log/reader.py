"""What reads the event log: the protocol of the readers, and which one an instance needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.event_log.cursor import Cursor
    from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent

LATE_SECONDS = 660.0
"""Seconds after which no event becomes visible any more below one that was read."""

CLOCKS_DIFFER_SECONDS = 600.0
"""Seconds by which the clocks of the machines that store events may differ."""


class DoneEvent(NamedTuple):
    """An event of the log that is delivered.

    Args:
        id: where the log has it.
        timestamp: when it happened, in seconds since the epoch.
        ends_run: whether it is the end of its run.
    """

    id: EventId
    timestamp: float
    ends_run: bool


class EventLogReader(Protocol):
    """Reads each event of the log once, and keeps the cursor.

    Attributes:
        cursor: how far the log is delivered; `settle` moves it.
        unreadable: the number of runs whose log could not be read at the last attempt.
    """

    cursor: Cursor
    unreadable: int

    def use(self, instance: DagsterInstance) -> None:
        """Read on in another opening of the same instance; each tick of a sensor has its own.

        Args:
            instance: holds the same event log.
        """

    def begin(self, start: float | None) -> None:
        """Find where to begin; called where the cursor does not know it yet.

        Args:
            start: events that happened before are left out, in seconds since the epoch; infinity
                begins with what comes next; None begins where the cursor says.
        """

    def has_news(self) -> bool:
        """Ask cheaply whether there is anything to read.

        Returns:
            False only where there is nothing.
        """

    def read(self) -> Iterator[Sequence[StoredEvent]]:
        """Read what is new.

        Yields:
            Batches of events that were not read before, in the order to convert them. The next
            call goes on after the last batch that was taken.
        """

    def retry(self, events: Collection[EventId]) -> None:
        """Read events once more, and what depends on them after them.

        Args:
            events: where the log has them.
        """

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move the cursor past delivered events.

        Args:
            done: the events that were delivered since the last call.
        """

    def has_all_of(self, runs: Sequence[RunRecord]) -> Collection[str]:
        """Find the runs of which this reader gives every event.

        Args:
            runs: the rows of runs whose first event has just been read.

        Returns:
            Their run ids; of the others, earlier events were read before this reader began.
        """

    def forgets(self) -> Iterable[str]:
        """List runs whose progress must be read again, because an event of them came late.

        Returns:
            The run ids since the last call.
        """


def open_log(instance: DagsterInstance, cursor: Cursor) -> EventLogReader:
    """Choose how to read an instance's event log.

    Args:
        instance: holds the event log.
        cursor: how far it is delivered; moves.

    Returns:
        The reader.
    """
    # Each needs what is above.
    from openlineage_dagster_core.event_log.run_logs import RunLogs
    from openlineage_dagster_core.event_log.whole_log import WholeLog

    if instance.event_log_storage.is_run_sharded:
        return RunLogs(instance, cursor)
    return WholeLog(instance, cursor)
