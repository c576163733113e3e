"""Checks the delivery of both mechanisms: whether it works, how far behind, what is in its way."""

import json
import time
from collections.abc import Iterator, Sequence

from dagster._core.scheduler.instigation import InstigatorTick

from openlineage_dagster_core.cli import delivery_status
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.cli.times import in_words
from openlineage_dagster_core.delivery.transport import CONSOLE_LOGGER, names_console
from openlineage_dagster_core.event_log.cursor import VERSION, Cursor, ParkedEvent
from openlineage_dagster_core.redaction import without_secrets

LATE_SECONDS = 300.0  # Seconds that a delivery may be behind without a warning
LONGEST_REASON = 300
START_SENSOR = "Start it in the Dagster UI, under Automation."


def check(subject: Subject) -> Iterator[Finding]:
    """Check Mechanism A's deliverer, where the storage is configured and the instance is open."""
    if subject.instance is None or subject.storage is None:
        return
    found = delivery_status.delivery_of_storage(subject.instance)
    yield _check_deliverer(found)
    yield from _check_progress(found)
    yield from _check_differences(found)
    is_service = found.is_delivering and found.heartbeat is not None and found.heartbeat.is_service
    if names_console(subject.environ) and not is_service:
        yield warning(
            "the transport is console, and a deliverer that a process of Dagster starts has no "
            "console: its events are printed nowhere",
            "Run openlineage-dagster deliver, which prints them to its standard output.",
        )


def check_sensors(subject: Subject) -> Iterator[Finding]:
    """Check Mechanism B's sensors that the open instance or the definitions have."""
    if subject.instance is None:
        return
    states = subject.sensor_states
    if (states or subject.sensors) and subject.storage is None and names_console(subject.environ):
        yield warning(
            "the transport is console, and a sensor prints nothing unless the code location's "
            f"logging shows the level INFO of {CONSOLE_LOGGER}",
            "Configure another transport, such as file, or that logger.",
        )
    for state in states:
        if state.is_running:
            yield from _check_cursor(state.name, delivery_status.cursor_text(state))
            tick = delivery_status.last_tick(subject.instance, state)
            if tick is not None:
                yield from _check_tick(state.name, tick)
        elif subject.sensors:
            yield warning(f"{state.name} is stopped", START_SENSOR)
        else:
            yield note(f"the instance has {state.name}, which is stopped")
    for sensor in subject.sensors:
        if sensor.name in {state.name for state in states}:
            continue
        if sensor.default_status.value == "RUNNING":
            step = "Check that the code location is loaded and that dagster-daemon runs."
            yield note(f"{sensor.name} has not been evaluated in this instance yet", step)
        else:
            yield warning(f"{sensor.name} is stopped", START_SENSOR)


def _check_deliverer(found: delivery_status.DeliveryStatus) -> Finding:
    heartbeat = found.heartbeat
    if found.is_delivering and heartbeat is not None:
        kind = "a service" if heartbeat.is_service else "started by a process of Dagster"
        process = f"process {heartbeat.pid} on {heartbeat.host}"
        return fine(f"{process} delivers, {kind}, version {heartbeat.version}")
    if found.is_external:
        return problem(
            "no deliverer is alive, and with `deliver: external` no process of Dagster starts one",
            "Start openlineage-dagster deliver as a service, or remove `deliver` from the "
            "storage's config.",
        )
    if found.is_left:
        return warning(
            f"{found.waiting} wait and no deliverer is alive",
            "The next process of Dagster that stores an event starts one: check that such "
            "processes have a transport configured, or run openlineage-dagster deliver --once.",
        )
    ever = "has been started yet" if heartbeat is None else "is alive, and nothing waits"
    return fine(f"no deliverer {ever}; the next event that is stored starts one")


def _check_progress(found: delivery_status.DeliveryStatus) -> Iterator[Finding]:
    cursor, behind = found.cursor, found.waiting.seconds
    done = f" ({_done(cursor)})" if cursor else ""
    if found.trouble:
        trouble = without_secrets(found.trouble)[:LONGEST_REASON]
        step = "Correct the cause; the deliverer retries by itself."
        yield warning(f"delivery is in trouble: {trouble}", step)
    if found.is_delivering and behind > LATE_SECONDS:
        step = (
            "Check whether the backend answers, and how fast: openlineage-dagster status --watch."
        )
        yield warning(f"the deliverer is {in_words(behind)} and {found.waiting} behind{done}", step)
    elif found.is_delivering and not found.trouble:
        late = f"{in_words(behind)} and {found.waiting} behind" if behind else "up to date"
        yield fine(f"the delivery is {late}{done}")
    if found.parked:
        yield _parked(f"{len(found.parked)} events are parked", found.parked)


def _check_differences(found: delivery_status.DeliveryStatus) -> Iterator[Finding]:
    if found.differing_parts:
        yield warning(
            f"processes of Dagster differ in {found.differences}, and one deliverer sends for all",
            "Give all processes of Dagster the same environment, dagster.yaml and version; after a "
            "change, restart them and wait an hour.",
        )
    requests = found.requests
    if (requests.retry or requests.drop) and not found.is_delivering:
        requested = f"retries {len(requests.retry)} parked events and drops {len(requests.drop)}"
        yield note(f"the next deliverer {requested}")


def _check_cursor(name: str, text: str | None) -> Iterator[Finding]:
    if not text:
        yield note(f"{name} has sent nothing yet: it has no cursor")
        return
    try:
        stored = json.loads(text)
        cursor = Cursor.from_text(text)
    except ValueError:
        step = "Reset it in the Dagster UI: everything is sent once more, with the same ids."
        yield problem(f"{name} has a cursor that is not ours", step)
        return
    if "version" not in stored:
        yield note(f"{name} has a cursor of 0.1 or 0.2: this version continues there")
        return
    if stored["version"] != VERSION:
        yield note(f"{name} has a cursor of another version, which doctor cannot read")
        return
    seconds = max(0.0, time.time() - cursor.behind_since) if cursor.behind_since else 0.0
    if seconds > LATE_SECONDS:
        events = f" and {cursor.behind} events" if cursor.behind else ""
        yield warning(
            f"{name} is {in_words(seconds)}{events} behind ({_done(cursor)})",
            "Read the reason of its last ticks: the backend may be down or slow, or the log was "
            "long when the sensor was started.",
        )
    else:
        late = f"{in_words(seconds)} behind" if cursor.behind else "up to date"
        yield fine(f"{name} is {late} ({_done(cursor)})")
    if cursor.last_parked:
        yield _parked(f"{name} has parked {cursor.parked} events", cursor.last_parked)


def _check_tick(name: str, tick: InstigatorTick) -> Iterator[Finding]:
    age = time.time() - tick.timestamp
    if age > delivery_status.SENSOR_SILENT_SECONDS:
        step = "Check that dagster-daemon runs and that the code location is loaded."
        yield warning(f"{name} was last evaluated {in_words(age)} ago", step)
    if tick.error is not None:
        reason = _first_line(tick.error.message)
        step = "Open the tick in the Dagster UI for details."
        yield problem(f"the last tick of {name} failed: {reason}", step)
    elif tick.skip_reason:
        yield note(f"the last tick of {name} said: {_first_line(tick.skip_reason)}")


def _done(cursor: Cursor) -> str:
    return f"{cursor.read} events of the log read, {cursor.sent} sent"


def _parked(how_many: str, events: Sequence[ParkedEvent]) -> Finding:
    last = events[-1]
    return warning(
        f"{how_many}; the last is {last.event_type or 'an event'} of run {last.run_id or '-'}: "
        f"{without_secrets(last.reason)[:LONGEST_REASON]}",
        "List them with openlineage-dagster parked list, correct the cause, then "
        "openlineage-dagster parked retry --all.",
    )


def _first_line(text: str) -> str:
    lines = without_secrets(text).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""
