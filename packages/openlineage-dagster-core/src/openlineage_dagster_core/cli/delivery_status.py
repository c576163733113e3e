"""Reads how the delivery of an instance's event log goes, whichever mechanism delivers it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openlineage_dagster_core.cli.deployment import STORAGE, Deployment
from openlineage_dagster_core.cli.failure import CommandError
from openlineage_dagster_core.cli.sensor_states import (
    cursor_in,
    cursor_text,
    last_tick,
    sensor_states,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.scheduler.instigation import InstigatorState

    from openlineage_dagster_core.deliverer_state import Configuration, Heartbeat, Requests
    from openlineage_dagster_core.event_log.cursor import Cursor, ParkedEvent

SENSOR_SILENT_SECONDS = 600.0
"""Seconds without a tick after which a running sensor counts as not evaluated."""

SEEN_SECONDS = 3600.0
"""Seconds for which a configuration counts as in use after a process was last seen with it."""

COUNTED_AT_MOST = 10_000
"""Events that wait and are counted one by one; of more, `at least` is said."""


@dataclass(frozen=True)
class Waiting:
    """What is stored in the event log and not delivered.

    Args:
        events: the number of events of the log.
        since: when the oldest of them happened, in seconds since the epoch; 0 where that is not
            known, or there is none.
        is_at_least: whether there may be more.
    """

    events: int = 0
    since: float = 0.0
    is_at_least: bool = False

    @property
    def seconds(self) -> float:
        """The age of the oldest event, in seconds."""
        return max(0.0, time.time() - self.since) if self.since else 0.0

    def __str__(self) -> str:
        return f"{'at least ' if self.is_at_least else ''}{self.events:,} events"


@dataclass(frozen=True)
class DeliveryStatus:
    """How the delivery goes.

    Args:
        sensor: the sensor's name; None where the storage's deliverer delivers.
        is_delivering: whether a deliverer lives, or the sensor is evaluated.
        cursor: how far it is; None before the first delivery.
        waiting: what is not delivered.
        heartbeat: of the last deliverer; None with the sensor, and before the first.
        is_external: whether only a service is to deliver (`deliver: external`).
        evaluated_at: when the sensor was evaluated last, in seconds since the epoch; 0 for never.
        is_running: whether the sensor is switched on.
        trouble: why nothing is delivered, or less than all; empty while all goes well.
        trouble_since: since when, in seconds since the epoch; 0 where that is not known.
        requests: what `parked` asked the deliverer to do.
        configurations: those that processes were seen with lately, if they differ.
    """

    sensor: str | None
    is_delivering: bool
    cursor: Cursor | None
    waiting: Waiting
    heartbeat: Heartbeat | None = None
    is_external: bool = False
    evaluated_at: float = 0.0
    is_running: bool = False
    trouble: str = ""
    trouble_since: float = 0.0
    requests: Requests | None = None
    configurations: list[Configuration] = field(default_factory=list)

    @property
    def parked(self) -> list[ParkedEvent]:
        """The parked events that are kept by name."""
        return self.cursor.last_parked if self.cursor is not None else []

    @property
    def differing_parts(self) -> list[str]:
        """The options, variables and files in which processes of the deployment differ."""
        return differing_parts(self.configurations)

    @property
    def is_left(self) -> bool:
        """Whether something waits and nothing delivers it."""
        return bool(self.waiting.events) and not self.is_delivering

    @property
    def is_well(self) -> bool:
        """False where something is parked, in trouble, or waits and nothing delivers it."""
        return not (self.parked or self.trouble or self.is_left)


def deliveries(deployment: Deployment) -> list[DeliveryStatus]:
    """Read how the delivery of a deployment goes.

    Args:
        deployment: the instance, and how OpenLineage is set up there.

    Returns:
        The status of the storage's deliverer, else of each sensor of Mechanism B.

    Raises:
        CommandError: neither mechanism is in sight, or a sensor's cursor cannot be read.
    """
    instance = deployment.instance
    if STORAGE in deployment.mechanisms:
        return [delivery_of_storage(instance)]
    states = sensor_states(instance, deployment.sensors)
    if not states:
        raise CommandError(
            "Neither mechanism is in sight: OpenLineageEventLogStorage is not this instance's "
            "event log storage, and no openlineage_sensor has been evaluated in it.",
            "Name the definitions with -m or -f if the sensor has another name; "
            "`openlineage-dagster doctor` says what is set up.",
        )
    return [delivery_of_sensor(instance, state) for state in states]


def delivery_of_storage(instance: DagsterInstance) -> DeliveryStatus:
    """Read how the deliverer of Mechanism A gets on.

    Args:
        instance: its event log storage is OpenLineageEventLogStorage.

    Returns:
        The status.
    """
    from openlineage_dagster_core.deliverer_state import BEGIN_ROW, read_state
    from openlineage_dagster_core.key_values import KeyValues, parsed

    key_values = KeyValues(instance)
    state, now = read_state(key_values), time.time()
    heartbeat, cursor = state.heartbeat, state.cursor
    is_alive = heartbeat is not None and heartbeat.is_alive(now)
    if is_alive and cursor is not None:
        waiting = Waiting(cursor.behind, cursor.behind_since)
    else:
        begin = parsed(key_values.get([BEGIN_ROW]).get(BEGIN_ROW))
        start = cursor if cursor is not None else _beginning(instance, begin)
        waiting = waiting_after(instance, start) if start is not None else Waiting()
    trouble = heartbeat.trouble if heartbeat is not None else ""
    if not is_alive and not waiting.events:
        # Of a deliverer that has ended since, with everything delivered.
        trouble = ""
    storage: Any = instance.event_log_storage
    return DeliveryStatus(
        sensor=None,
        is_delivering=is_alive,
        cursor=cursor,
        waiting=waiting,
        heartbeat=heartbeat,
        is_external=getattr(storage, "deliver_option", "automatic") == "external",
        trouble=trouble,
        trouble_since=heartbeat.trouble_since if heartbeat is not None and trouble else 0.0,
        requests=state.requests,
        configurations=_in_use(state.configurations, now),
    )


def delivery_of_sensor(instance: DagsterInstance, state: InstigatorState) -> DeliveryStatus:
    """Read how the sensor of Mechanism B gets on.

    Args:
        instance: evaluates the sensor.
        state: of the sensor.

    Returns:
        The status.

    Raises:
        CommandError: its cursor cannot be read.
    """
    text, tick = cursor_text(state), last_tick(instance, state)
    try:
        cursor = cursor_in(text) if text else None
    except ValueError as error:
        raise CommandError(
            f"The cursor of the sensor {state.name} cannot be read: {error}.",
            "Update this installation to the version that the sensor runs with, or reset the "
            "cursor in the Dagster UI: everything is then delivered once more, with the same ids.",
        ) from error
    evaluated_at = tick.timestamp if tick is not None else 0.0
    is_delivering = state.is_running and time.time() - evaluated_at <= SENSOR_SILENT_SECONDS
    if cursor is None:
        waiting = Waiting()
    elif is_delivering:
        waiting = Waiting(cursor.behind, cursor.behind_since)
    else:
        waiting = waiting_after(instance, cursor)
    return DeliveryStatus(
        sensor=state.name,
        is_delivering=is_delivering,
        cursor=cursor,
        waiting=waiting,
        evaluated_at=evaluated_at,
        is_running=state.is_running,
        trouble=_trouble_in(tick),
    )


def waiting_after(
    instance: DagsterInstance, cursor: Cursor, at_most: int = COUNTED_AT_MOST
) -> Waiting:
    """Count the events of the log that are not delivered, by reading it.

    Args:
        instance: holds the event log.
        cursor: how far it is delivered; not changed.
        at_most: the number of events to count at most.

    Returns:
        What waits.
    """
    from openlineage_dagster_core.event_log.cursor import Cursor
    from openlineage_dagster_core.event_log.reader import open_log

    copy = Cursor.from_text(cursor.to_text(len(cursor.runs) * 100 + 1_000_000))
    low, delivered = copy.low, frozenset(copy.recent)
    is_sharded = instance.event_log_storage.is_run_sharded
    reader = open_log(instance, copy)
    if copy.after_storage_id:
        reader.begin(None)
    events, since = 0, 0.0
    for batch in reader.read():
        for event in batch:
            storage_id = event.id.storage_id
            if not is_sharded and (storage_id <= low or storage_id in delivered):
                continue
            events += 1
            if event.timestamp:
                since = min(since or event.timestamp, event.timestamp)
        if events >= at_most:
            return Waiting(events, since, is_at_least=True)
    return Waiting(events, since)


def differing_parts(configurations: Iterable[Configuration]) -> list[str]:
    """Find the parts in which configurations differ.

    Args:
        configurations: of processes.

    Returns:
        Names of options, variables and files, such as `variable OPENLINEAGE_URL`.
    """
    found = list(configurations)
    names = {name for each in found for name in each.parts}
    return sorted(name for name in names if len({each.parts.get(name) for each in found}) > 1)


def _in_use(configurations: Iterable[Configuration], now: float) -> list[Configuration]:
    found = [each for each in configurations if now - each.last_at <= SEEN_SECONDS]
    return found if len(found) > 1 else []


def _beginning(instance: DagsterInstance, begin: dict[str, Any]) -> Cursor | None:
    """Make the cursor with which the first deliverer will begin; None where nothing was stored."""
    from openlineage_dagster_core.event_log.cursor import Cursor

    at, storage_id = begin.get("at"), begin.get("storage_id")
    if instance.event_log_storage.is_run_sharded:
        if not isinstance(at, (int, float)):
            return None
        return Cursor(begins_at=at, updated_after=at, complete_after=at)
    return Cursor(low=storage_id, seen=storage_id) if isinstance(storage_id, int) else None


def _trouble_in(tick: Any) -> str:
    if tick is None:
        return ""
    if tick.error is not None:
        return f"the last tick failed: {' '.join(str(tick.error.message).split())}"
    reason = str(tick.skip_reason or "")
    # The sensor's own words where something stopped the tick.
    return reason if "will retry" in reason else ""
