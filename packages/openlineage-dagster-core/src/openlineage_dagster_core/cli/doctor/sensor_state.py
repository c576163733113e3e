"""Checks Mechanism B's sensor: whether it runs, and how far behind it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.delivery_status import SENSOR_SILENT_SECONDS
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.cli.sensor_states import cursor_text, last_tick, sensor_states
from openlineage_dagster_core.event_log.cursor import VERSION, Cursor
from openlineage_dagster_core.redaction import without_secrets

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

CHECK = "sensor"

LATE_SECONDS = 300.0
"""Seconds by which the sensor may be behind without a warning."""


def states(subject: Subject) -> list[InstigatorState]:
    """Find the sensor in the instance.

    Args:
        subject: what is examined.

    Returns:
        The state of each sensor with the default name, or a name from the definitions; none
        without an instance.
    """
    if subject.instance is None:
        return []
    return sensor_states(subject.instance, [sensor.name for sensor in subject.sensors])


def look(subject: Subject) -> Iterator[Finding]:
    """Check how far the sensor is.

    Args:
        subject: what is examined.

    Yields:
        What was found; nothing where there is no sensor.
    """
    for state in states(subject):
        if not state.is_running:
            yield from _stopped(state, subject)
            continue
        yield from _cursor(state.name, cursor_text(state))
        yield from _last_tick(state, subject)
    known = {state.name for state in states(subject)}
    for sensor in subject.sensors if subject.instance is not None else ():
        if sensor.name not in known:
            yield from _not_evaluated(sensor.name, sensor.default_status.value)


def _stopped(state: InstigatorState, subject: Subject) -> Iterator[Finding]:
    if subject.sensors:
        yield warning(
            CHECK, f"{state.name} is stopped", "Start it in the Dagster UI, under Automation."
        )
    else:
        yield note(CHECK, f"the instance remembers {state.name}, which is stopped")


def _not_evaluated(name: str, default_status: str) -> Iterator[Finding]:
    if default_status == "RUNNING":
        yield note(
            CHECK,
            f"{name} has not been evaluated in this instance yet",
            "Check that the code location is loaded and that dagster-daemon runs.",
        )
    else:
        yield warning(CHECK, f"{name} is stopped", "Start it in the Dagster UI, under Automation.")


def _cursor(name: str, text: str | None) -> Iterator[Finding]:
    if not text:
        yield note(CHECK, f"{name} has sent nothing yet: it has no cursor")
        return
    try:
        stored = json.loads(text)
        cursor = Cursor.from_text(text)
    except ValueError:
        yield problem(
            CHECK,
            f"{name} has a cursor that is not ours",
            "Reset it in the Dagster UI: everything is sent once more, with the same ids.",
        )
        return
    if "version" not in stored:
        yield note(CHECK, f"{name} has a cursor of 0.1 or 0.2, where this version goes on")
    elif stored["version"] != VERSION:
        yield note(CHECK, f"{name} has a cursor of another version, which is not read here")
    else:
        yield from _progress(name, cursor)


def _progress(name: str, cursor: Cursor) -> Iterator[Finding]:
    seconds = max(0.0, time.time() - cursor.behind_since) if cursor.behind_since else 0.0
    done = f"{cursor.read} events of the log read, {cursor.sent} sent"
    if seconds > LATE_SECONDS:
        events = f" and {cursor.behind} events" if cursor.behind else ""
        yield warning(
            CHECK,
            f"{name} is {in_words(seconds)}{events} behind ({done})",
            "See the reason of its last ticks: the backend may be down or slow, or the log was "
            "long when the sensor began.",
        )
    else:
        yield fine(CHECK, f"{name} is up to date ({done})")
    if cursor.last_parked:
        last = cursor.last_parked[-1]
        yield warning(
            CHECK,
            f"{name} has parked {cursor.parked} events; the last is "
            f"{last.event_type or 'an event'} of run {last.run_id or '-'}: "
            f"{without_secrets(last.reason)}",
            "List them with openlineage-dagster parked list, correct the cause, then "
            "openlineage-dagster parked retry --all.",
        )


def _last_tick(state: InstigatorState, subject: Subject) -> Iterator[Finding]:
    assert subject.instance is not None  # noqa: S101 -- there would be no state
    tick = last_tick(subject.instance, state)
    if tick is None:
        return
    age = time.time() - tick.timestamp
    if age > SENSOR_SILENT_SECONDS:
        yield warning(
            CHECK,
            f"{state.name} was evaluated {in_words(age)} ago for the last time",
            "Check that dagster-daemon runs and that the code location is loaded.",
        )
    if tick.error is not None:
        yield problem(
            CHECK,
            f"the last tick of {state.name} failed: {_first_line(tick.error.message)}",
            "See the tick in the Dagster UI.",
        )
    elif tick.skip_reason:
        yield note(CHECK, f"the last tick of {state.name} said: {_first_line(tick.skip_reason)}")


def _first_line(text: str) -> str:
    lines = without_secrets(text).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""
