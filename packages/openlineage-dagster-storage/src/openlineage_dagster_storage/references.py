"""What the outbox holds of stored events: not the events, but what finds them in the event log."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openlineage_dagster_core.families import CONVERTED_VALUES

if TYPE_CHECKING:
    from dagster import EventLogEntry

RUNLESS = "runless:"
"""Begins the ordering keys of events reported from outside any run; the asset's follows."""

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
        """Write it down.

        Returns:
            JSON.
        """
        if self.since is not None:
            return json.dumps({"since": self.since})
        return json.dumps({"events": self.ids})

    @classmethod
    def decode(cls, payload: str) -> Reference:
        """Read what `encode` wrote.

        Args:
            payload: the JSON.

        Returns:
            The reference.
        """
        content = json.loads(payload)
        ids = ((kind, at, checksum) for kind, at, checksum in content.get("events", ()))
        return cls(ids=tuple(ids), since=content.get("since"))


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


def ordering_key_of(entry: EventLogEntry) -> str:
    """Find what an event must keep the order with.

    Args:
        entry: one that `is_converted`.

    Returns:
        The run id; for an event without a run, its asset.
    """
    if entry.run_id:
        return entry.run_id
    event = entry.get_dagster_event()
    about = event.event_specific_data
    for holder in ("materialization", "asset_observation", "asset_failed_to_materialize_data"):
        about = getattr(about, holder, about)
    key = getattr(about, "asset_key", None)
    return RUNLESS + (key.to_user_string() if key else "")


def run_id_of(ordering_key: str) -> str:
    """Find whose log holds the events of a key.

    Args:
        ordering_key: from `ordering_key_of`.

    Returns:
        The run id; empty for events without a run.
    """
    return "" if ordering_key.startswith(RUNLESS) else ordering_key


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
