"""Finds what the instance keeps of Mechanism B's sensor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick

    from openlineage_dagster_core.event_log.cursor import Cursor

DEFAULT_NAME = "openlineage_sensor"


def sensor_states(instance: DagsterInstance, names: Iterable[str] = ()) -> list[InstigatorState]:
    """Find the sensor in an instance.

    Args:
        instance: the Dagster instance.
        names: names of the sensor in the definitions, beside the default one.

    Returns:
        The state of each sensor with one of these names.
    """
    # Loads all of Dagster.
    from dagster._core.definitions.run_request import InstigatorType

    wanted = {DEFAULT_NAME, *names}
    found = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return [state for state in found if state.name in wanted]


def last_tick(instance: DagsterInstance, state: InstigatorState) -> InstigatorTick | None:
    """Read the sensor's last tick.

    Args:
        instance: the Dagster instance.
        state: of the sensor.

    Returns:
        The tick; None where there was none yet.
    """
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return ticks[0] if ticks else None


def cursor_text(state: InstigatorState) -> str | None:
    """Return the sensor's cursor as Dagster keeps it.

    Args:
        state: of the sensor.

    Returns:
        The text; None before the first tick.
    """
    data: Any = state.instigator_data
    return getattr(data, "cursor", None)


def cursor_in(text: str) -> Cursor:
    """Read a sensor's cursor.

    Args:
        text: as Dagster keeps it.

    Returns:
        The cursor.

    Raises:
        ValueError: it is not a cursor of this version, or of 0.1 or 0.2.
    """
    from openlineage_dagster_core.event_log.cursor import VERSION, Cursor

    stored = json.loads(text)
    if isinstance(stored, dict) and stored.get("version", VERSION) != VERSION:
        msg = "a cursor of another version"
        raise ValueError(msg)
    return Cursor.from_text(text)
