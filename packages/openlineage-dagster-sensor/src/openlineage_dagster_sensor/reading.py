"""What a tick reads: the event log, by the calls that the storage answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogRecord
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_sensor.cursor import Cursor

SETTLED_SECONDS = 60.0
"""What is older is settled: no transaction under way will still add something before it."""


class EventLogReader(Protocol):
    """Reads what is new, and keeps the cursor.

    Attributes:
        unreadable: how many runs could not be read in this tick.
    """

    unreadable: int

    def is_idle(self) -> bool:
        """Ask cheaply.

        Returns:
            True only where nothing is new, and nothing can have become visible late.
        """

    def begin(self, start: float | None) -> None:
        """Find where to begin; called where that has not been found yet.

        Args:
            start: leave out what happened before, in seconds since the epoch; None where the
                cursor says it.
        """

    def pages(self) -> Iterator[Sequence[EventLogRecord]]:
        """Read on.

        Yields:
            Events that are not done with, some at a time, in order for each run.
        """

    def settle(self, done: Iterable[EventLogRecord]) -> None:
        """Move the cursor.

        Args:
            done: what is done with of what was read.
        """

    def has_all_of(self, run: RunRecord) -> bool:
        """Tell whether all of a run's events come in this tick, from its first on.

        Args:
            run: the row of a run that this process has not heard of.

        Returns:
            Whether nothing need be read of it.
        """

    def behind(self) -> int | None:
        """Count what is left.

        Returns:
            How many events of all types, at most; None where there is no cheap way to know.
        """


def open_log(instance: DagsterInstance, cursor: Cursor) -> EventLogReader:
    """Choose how to read.

    Args:
        instance: holds the event log.
        cursor: how far it has been sent; moves.

    Returns:
        The reader.
    """
    # Each needs what is above.
    from openlineage_dagster_sensor.run_logs import RunLogs
    from openlineage_dagster_sensor.whole_log import WholeLog

    if instance.event_log_storage.is_run_sharded:
        return RunLogs(instance, cursor)
    return WholeLog(instance, cursor)
