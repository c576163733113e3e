"""One event as the log stores it, decoded when its entry is needed, and the asset it is about."""

from dataclasses import dataclass
from typing import NamedTuple

from dagster import AssetKey, DagsterEventType, EventLogEntry, deserialize_value

from openlineage_dagster_core.families import ASSET_FAMILY, CHECK_FAMILY, OBSERVATION_FAMILY

UNKNOWN_WEIGHT = 40_000  # Bytes of memory that a decoded event of unknown length takes

# Bytes of memory for each character of an event's text; a long event is full of columns
BYTES_A_CHARACTER, BYTES_A_CHARACTER_OF_LONG = 10, 50
LONG_TEXT = 10_000  # Characters from which on an event counts as long
_OF_AN_ASSET = ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY


class EventId(NamedTuple):
    """Where the log has an event.

    The run id is empty for an event reported from outside any run. SQLite with a file a run counts
    storage ids anew in each run.
    """

    run_id: str
    storage_id: int


@dataclass(frozen=True)
class StoredEvent:
    """An event of the log."""

    id: EventId  # Where the log has it
    text: str | None = None  # As it is stored; None where Dagster has decoded it already
    decoded: EventLogEntry | None = None  # The entry where Dagster has decoded it
    timestamp: float = 0.0  # Seconds since the epoch as the row says; 0 where the row was not read
    is_again: bool = False  # True if the event may have been delivered before

    @property
    def weight(self) -> int:
        """Bytes of memory that the decoded event takes, roughly."""
        if self.text is None:
            return UNKNOWN_WEIGHT
        length = len(self.text)
        return length * (BYTES_A_CHARACTER_OF_LONG if length > LONG_TEXT else BYTES_A_CHARACTER)

    def entry(self) -> EventLogEntry:
        """Decode the event; raise whatever Dagster raises where it cannot read what it stored."""
        if self.decoded is not None:
            return self.decoded
        return deserialize_value(str(self.text), EventLogEntry)


class Page(NamedTuple):
    """Events in the order of their storage ids, and whether the log has no more."""

    events: list[StoredEvent]
    is_last: bool
    read_to: int = 0  # The storage id up to which the log was read, where that is known


def asset_of(entry: EventLogEntry) -> AssetKey | None:
    """Return the asset that an event is about; None for runs, steps and what a run plans."""
    event = entry.dagster_event
    # Dagster makes the type anew for each access.
    event_type = event.event_type if event is not None else None
    if event is None or event_type not in _OF_AN_ASSET:
        return None
    if event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_key
    return event.asset_key
