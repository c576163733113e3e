"""Reads the delivery status of an instance's event log, for the deliverer and for the sensor."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick

from openlineage_dagster_core import deliverer_state
from openlineage_dagster_core.cli.deployment import STORAGE, Deployment
from openlineage_dagster_core.cli.terminal import CommandError
from openlineage_dagster_core.deliverer_state import Configuration, Heartbeat, Requests
from openlineage_dagster_core.event_log.cursor import VERSION, Cursor, ParkedEvent
from openlineage_dagster_core.event_log.opening import open_log
from openlineage_dagster_core.key_values import KeyValues, parsed

DEFAULT_SENSOR = "openlineage_sensor"
SENSOR_SILENT_SECONDS = 600.0  # Seconds without a tick: a running sensor is not evaluated
SEEN_SECONDS = 3600.0  # Seconds for which a configuration counts as in use after it was seen last
COUNTED_AT_MOST = 10_000  # Waiting events that are counted; of more, the status says `at least`


@dataclass(frozen=True)
class Waiting:
    """The events of the log that are not delivered."""

    events: int = 0
    since: float = 0.0  # When the oldest happened, in seconds since the epoch; 0 if unknown or none
    is_at_least: bool = False  # True if more events may wait than were counted

    @property
    def seconds(self) -> float:
        """The age of the oldest event, in seconds."""
        return max(0.0, time.time() - self.since) if self.since else 0.0

    def __str__(self) -> str:
        return f"{'at least ' if self.is_at_least else ''}{self.events:,} events"


@dataclass(frozen=True)
class DeliveryStatus:
    """How the delivery goes. Times are in seconds since the epoch, 0 where unknown or never."""

    sensor: str | None  # The sensor's name; None where the storage's deliverer delivers
    is_delivering: bool  # True if a deliverer is alive, or the sensor is evaluated
    cursor: Cursor | None  # How far the log is delivered; None before the first delivery
    waiting: Waiting
    heartbeat: Heartbeat | None = None  # The last deliverer's; None with the sensor or before any
    is_external: bool = False  # True if only a service may deliver (`deliver: external`)
    evaluated_at: float = 0.0  # The time of the sensor's last tick
    is_running: bool = False  # True if the sensor is switched on
    trouble: str = ""  # Why nothing is delivered, or less than all; empty while all goes well
    trouble_since: float = 0.0
    requests: Requests = field(default_factory=Requests)  # What `parked` asked the deliverer to do
    # Configurations that processes were seen with lately, if they differ
    configurations: list[Configuration] = field(default_factory=list)

    @property
    def parked(self) -> list[ParkedEvent]:
        """The parked events that are kept by name."""
        return self.cursor.last_parked if self.cursor is not None else []

    @property
    def differing_parts(self) -> list[str]:
        """The parts in which configurations differ, such as `variable OPENLINEAGE_URL`."""
        parts = [each.parts for each in self.configurations]
        names = sorted({name for each in parts for name in each})
        return [name for name in names if len({each.get(name) for each in parts}) > 1]

    @property
    def differences(self) -> str:
        """The parts in which configurations differ, and the hosts with these configurations."""
        hosts = ", ".join(sorted({each.host for each in self.configurations}))
        return f"{', '.join(self.differing_parts)} (seen on {hosts} within an hour)"

    @property
    def is_left(self) -> bool:
        """True if events wait and nothing delivers them."""
        return bool(self.waiting.events) and not self.is_delivering

    @property
    def is_well(self) -> bool:
        """False if events are parked, delivery is in trouble, or events wait for nothing."""
        return not (self.parked or self.trouble or self.is_left)


def deliveries(deployment: Deployment) -> list[DeliveryStatus]:
    """Return the status of the storage's deliverer, else of each sensor of Mechanism B."""
    instance = deployment.instance
    if STORAGE in deployment.mechanisms:
        return [delivery_of_storage(instance)]
    states = sensor_states(instance, deployment.sensors)
    if states:
        return [_delivery_of_sensor(instance, state) for state in states]
    raise CommandError(
        "Neither mechanism is in sight: OpenLineageEventLogStorage is not this instance's event "
        "log storage, and no openlineage_sensor has been evaluated in it.",
        "Name the definitions with -m or -f if the sensor has another name; run "
        "`openlineage-dagster doctor` to check what is set up.",
    )


def delivery_of_storage(instance: DagsterInstance) -> DeliveryStatus:
    """Return the status of Mechanism A's deliverer on an instance with its storage."""
    key_values = KeyValues(instance)
    state, now = deliverer_state.read_state(key_values), time.time()
    heartbeat, cursor = state.heartbeat, state.cursor
    is_alive = heartbeat is not None and heartbeat.is_alive(now)
    if is_alive and cursor is not None:
        waiting = Waiting(cursor.behind, cursor.behind_since)
    else:
        start = cursor if cursor is not None else _first_cursor(instance, key_values)
        waiting = waiting_after(instance, start) if start is not None else Waiting()
    # The trouble of a deliverer that has ended counts only where something is left.
    troubled = heartbeat if is_alive or waiting.events else None
    in_use = [each for each in state.configurations if now - each.last_at <= SEEN_SECONDS]
    storage: Any = instance.event_log_storage
    return DeliveryStatus(
        sensor=None,
        is_delivering=is_alive,
        cursor=cursor,
        waiting=waiting,
        heartbeat=heartbeat,
        is_external=getattr(storage, "deliver_option", "automatic") == "external",
        trouble=troubled.trouble if troubled is not None else "",
        trouble_since=troubled.trouble_since if troubled is not None else 0.0,
        requests=state.requests,
        configurations=in_use if len(in_use) > 1 else [],
    )


def _delivery_of_sensor(instance: DagsterInstance, state: InstigatorState) -> DeliveryStatus:
    text, tick = cursor_text(state), last_tick(instance, state)
    try:
        cursor = _cursor_in(text) if text else None
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
    """Count the events of the log after a cursor, which stays as it is; `at_most` so many."""
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


def sensor_states(instance: DagsterInstance, names: Iterable[str] = ()) -> list[InstigatorState]:
    """Return the state of each sensor with the default name or one of the given names."""
    wanted = {DEFAULT_SENSOR, *names}
    found = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return [state for state in found if state.name in wanted]


def last_tick(instance: DagsterInstance, state: InstigatorState) -> InstigatorTick | None:
    """Return a sensor's last tick; None before the first one."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return ticks[0] if ticks else None


def cursor_text(state: InstigatorState) -> str | None:
    """Return a sensor's cursor as Dagster keeps it; None before the first tick."""
    data: Any = state.instigator_data
    return getattr(data, "cursor", None)


def _cursor_in(text: str) -> Cursor:
    """Read a cursor of this version, or of 0.1 or 0.2; raise ValueError for any other text."""
    stored = json.loads(text)
    if isinstance(stored, dict) and stored.get("version", VERSION) != VERSION:
        msg = "another version has written it"
        raise ValueError(msg)
    return Cursor.from_text(text)


def _first_cursor(instance: DagsterInstance, key_values: KeyValues) -> Cursor | None:
    """Return the cursor that the first deliverer starts with; None where nothing was stored."""
    row = deliverer_state.BEGIN_ROW
    begin = parsed(key_values.get([row]).get(row))
    at, storage_id = begin.get("at"), begin.get("storage_id")
    if instance.event_log_storage.is_run_sharded:
        if not isinstance(at, (int, float)):
            return None
        return Cursor(begins_at=at, updated_after=at, complete_after=at)
    return Cursor(low=storage_id, seen=storage_id) if isinstance(storage_id, int) else None


def _trouble_in(tick: InstigatorTick | None) -> str:
    if tick is None:
        return ""
    if tick.error is not None:
        return f"the last tick failed: {' '.join(str(tick.error.message).split())}"
    reason = str(tick.skip_reason or "")
    # The sensor says so where a failure stopped the tick.
    return reason if "will retry" in reason else ""
