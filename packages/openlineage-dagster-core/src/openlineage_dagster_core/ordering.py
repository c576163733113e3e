"""What an event must keep the order with: the others of its run, or of its asset."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import EventLogEntry

RUNLESS = "runless:"
"""Begins the ordering keys of events reported from outside any run; the asset's follows."""


def ordering_key_of(entry: EventLogEntry) -> str:
    """Find what an event must keep the order with.

    Args:
        entry: one that becomes OpenLineage events.

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
