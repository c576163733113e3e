"""What a Dagster event is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import DagsterEventType

from openlineage_dagster_core.families import ASSET_FAMILY, CHECK_FAMILY, OBSERVATION_FAMILY

if TYPE_CHECKING:
    from dagster import AssetKey, EventLogEntry

OF_AN_ASSET = ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY
"""Dagster events that are about one asset."""


def asset_of(entry: EventLogEntry) -> AssetKey | None:
    """Find the asset that an event is about.

    Args:
        entry: an event of the log.

    Returns:
        The asset's key; None for an event of a run or a step, or what a run plans.
    """
    event = entry.dagster_event
    # Dagster makes the type anew each time it is asked.
    event_type = event.event_type if event is not None else None
    if event is None or event_type not in OF_AN_ASSET:
        return None
    if event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_key
    return event.asset_key
