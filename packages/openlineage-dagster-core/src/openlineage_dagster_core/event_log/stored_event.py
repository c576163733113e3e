"""One event as the log stores it, decoded when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dagster import EventLogEntry, deserialize_value

UNKNOWN_WEIGHT = 40_000
"""Bytes of memory of a decoded event whose text is not known."""

BYTES_A_CHARACTER, BYTES_A_CHARACTER_OF_LONG = 10, 50
"""Memory of a decoded event for each character of its text; a long one is full of columns."""

LONG_TEXT = 10_000
"""Characters of the text of a long event."""


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
        """Bytes of memory that the decoded event takes, roughly."""
        if self.text is None:
            return UNKNOWN_WEIGHT
        length = len(self.text)
        return length * (BYTES_A_CHARACTER_OF_LONG if length > LONG_TEXT else BYTES_A_CHARACTER)

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
