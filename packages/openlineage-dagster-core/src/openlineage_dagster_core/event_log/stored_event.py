"""One event as the log stores it, decoded when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dagster import EventLogEntry, deserialize_value

DECODED_WEIGHT = 4096
"""Bytes that an event weighs whose text is not known."""


class EventId(NamedTuple):
    """Where the log has an event.

    Args:
        run_id: the Dagster run id; empty for an event reported from outside any run.
        storage_id: the storage id; SQLite with a file a run counts anew in each run.
    """

    run_id: str
    storage_id: int


@dataclass(frozen=True)
class StoredEvent:
    """An event of the log.

    Args:
        id: where the log has it.
        text: as it is stored; None where Dagster has decoded it already.
        decoded: the entry where Dagster has decoded it.
        timestamp: when it happened as the row says it, in seconds since the epoch; 0 where the row
            was not asked.
        is_again: whether it may have been delivered: another event before it came late.
    """

    id: EventId
    text: str | None = None
    decoded: EventLogEntry | None = None
    timestamp: float = 0.0
    is_again: bool = False

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes, roughly."""
        return DECODED_WEIGHT if self.text is None else len(self.text)

    def entry(self) -> EventLogEntry:
        """Decode the event.

        Returns:
            The entry.

        Raises:
            Exception: whatever Dagster raises where it cannot read what it stored.
        """
        if self.decoded is not None:
            return self.decoded
        return deserialize_value(str(self.text), EventLogEntry)


class Page(NamedTuple):
    """Events that follow each other in a log.

    Args:
        events: in the order of their storage ids.
        is_last: whether the log has no more.
    """

    events: list[StoredEvent]
    is_last: bool
