"""What a tick reads: the event log, by the calls that the storage answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from openlineage_dagster_core import fault
from openlineage_dagster_core.families import RUN_ENDS
from openlineage_dagster_core.ordering import ordering_key_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogRecord
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_sensor.cursor import Cursor

logger = logging.getLogger(__name__)

SETTLED_SECONDS = 60.0
"""What was visible so long ago, by this process's clock, is settled: no transaction under way will
still add something before it."""

CLOCKS_DIFFER_SECONDS = 600.0
"""How far the clocks of the machines that store events may be apart, and a machine behind with
storing what happened: an event that is older by its own account is settled."""


HELD_PAGE = 50
"""How many events of a run that waits are tried in a tick: it must not take the others' time."""


class DoneEvent(NamedTuple):
    """What is remembered of an event that is done with.

    Args:
        key: what it keeps the order with.
        run_id: of its run; empty where it is of none.
        storage_id: its own.
        timestamp: when it happened, in seconds since the epoch.
        ends_run: whether it is the end of its run.
    """

    key: str
    run_id: str
    storage_id: int
    timestamp: float
    ends_run: bool

    @classmethod
    def of(cls, record: EventLogRecord) -> DoneEvent:
        """Sum an event up.

        Args:
            record: the event.

        Returns:
            What remains of it.
        """
        return cls(
            ordering_key_of(record.event_log_entry),
            record.run_id,
            record.storage_id,
            record.timestamp,
            record.event_log_entry.dagster_event_type in RUN_ENDS,
        )


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

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move the cursor.

        Args:
            done: what is done with of what was read.
        """

    def has_all_of(self, run: RunRecord) -> bool:
        """Tell whether all of a run's events come in this tick, from its first on; may ask.

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


def report_unreadable(run_id: str, error: Exception) -> None:
    """Say that a run is left for the next tick and holds up no other.

    Args:
        run_id: of the run.
        error: whatever a database raised.
    """
    logger.warning(
        "OpenLineage: run %s cannot be read, will retry: %s", run_id, fault.described(error)
    )


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
