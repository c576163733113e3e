"""What the outbox holds of stored events: not the events, but what finds them in the event log."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openlineage_dagster_core.families import CONVERTED_VALUES
from openlineage_dagster_core.ordering import ordering_key_of

if TYPE_CHECKING:
    from dagster import EventLogEntry

_SINCE = "since"

EventId = tuple[str, float, int]
"""Tells an event apart within its run: its type, its time, and a checksum of what it says."""


@dataclass(frozen=True)
class Reference:
    """Points to events in the log of one run.

    Args:
        ids: those of the events.
        since: all events since then instead, in seconds since the epoch.
    """

    ids: tuple[EventId, ...] = ()
    since: float | None = None

    def encode(self) -> str:
        """Write it down, for little: a run waits for this.

        Returns:
            A line for each event: its type, its time and its checksum.
        """
        if self.since is not None:
            return f"{_SINCE} {self.since!r}"
        return "\n".join([f"{kind} {at!r} {checksum}" for kind, at, checksum in self.ids])

    @classmethod
    def decode(cls, payload: str) -> Reference:
        """Read what `encode` wrote.

        Args:
            payload: the lines.

        Returns:
            The reference.
        """
        lines = [line.split() for line in payload.splitlines()]
        if lines and lines[0][0] == _SINCE:
            return cls(since=float(lines[0][1]))
        return cls(ids=tuple((kind, float(at), int(checksum)) for kind, at, checksum in lines))


def is_converted(entry: EventLogEntry) -> bool:
    """Tell whether an event is one that becomes OpenLineage events.

    Args:
        entry: any, log lines included.

    Returns:
        Whether it is.
    """
    event = entry.dagster_event
    return event is not None and event.event_type_value in CONVERTED_VALUES


def id_of(entry: EventLogEntry) -> EventId:
    """Tell an event from the others of its run.

    Args:
        entry: one that `is_converted`.

    Returns:
        The same for the entry that was stored and for the one that is read.
    """
    event = entry.get_dagster_event()
    text = f"{entry.step_key}\n{event.message}"
    checksum = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    return event.event_type_value, entry.timestamp, checksum


def references_to(entries: Iterable[EventLogEntry]) -> list[tuple[str, str]]:
    """Make the records of events that are stored together.

    Args:
        entries: those that `is_converted`.

    Returns:
        The ordering key and the payload of each record, one a key.
    """
    by_key: dict[str, list[EventId]] = {}
    for entry in entries:
        by_key.setdefault(ordering_key_of(entry), []).append(id_of(entry))
    return [(key, Reference(tuple(ids)).encode()) for key, ids in by_key.items()]
