"""Reads what the instance knows of Mechanism B's sensor: whether it runs, and how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.redaction import without_secrets

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

CHECK = "sensor"

DEFAULT_NAME = "openlineage_sensor"

LATE_SECONDS = 300.0
"""A sensor that is behind by less is at work."""

SILENT_SECONDS = 600.0
"""A daemon that is alive evaluates a sensor more often than that."""

CURSOR_VERSION = 2


def states(subject: Subject) -> list[InstigatorState]:
    """Find the sensor in the instance.

    Args:
        subject: with an instance, or there is nothing to find.

    Returns:
        What Dagster keeps of each sensor that bears its name, or one from the definitions.
    """
    if subject.instance is None:
        return []
    # Brings all of Dagster along.
    from dagster._core.definitions.run_request import InstigatorType

    names = {DEFAULT_NAME, *(sensor.name for sensor in subject.sensors)}
    found = subject.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return [state for state in found if state.name in names]


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
        data: Any = state.instigator_data
        yield from _cursor(state.name, getattr(data, "cursor", None))
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
            "See that the code location is loaded and that dagster-daemon runs.",
        )
    else:
        yield warning(CHECK, f"{name} is stopped", "Start it in the Dagster UI, under Automation.")


def _cursor(name: str, text: str | None) -> Iterator[Finding]:
    if not text:
        yield note(CHECK, f"{name} has sent nothing yet: it has no cursor")
        return
    try:
        cursor = json.loads(text)
    except ValueError:
        cursor = None
    if not isinstance(cursor, dict):
        yield problem(
            CHECK,
            f"{name} has a cursor that is none of ours",
            "Reset it in the Dagster UI: all is sent once more, with the same ids.",
        )
        return
    if "version" not in cursor:
        yield note(CHECK, f"{name} has a cursor of 0.1 or 0.2, which is carried on")
        return
    if cursor["version"] != CURSOR_VERSION:
        yield note(CHECK, f"{name} has a cursor of another version, which is not read here")
        return
    yield from _progress(name, cursor)


def _progress(name: str, cursor: Mapping[str, Any]) -> Iterator[Finding]:
    behind, seconds = cursor.get("behind", 0), float(cursor.get("behind_seconds", 0))
    done = f"{cursor.get('read', 0)} events of the log read, {cursor.get('sent', 0)} sent"
    if seconds > LATE_SECONDS:
        events = f" and {behind} events" if behind else ""
        yield warning(
            CHECK,
            f"{name} is {in_words(seconds)}{events} behind ({done})",
            "See what its last ticks say: a backend that is down or slow, or a long log at first.",
        )
    else:
        yield fine(CHECK, f"{name} is up to date ({done})")
    if cursor.get("held"):
        yield warning(
            CHECK,
            f"{name} holds back {len(cursor['held'])} runs, whose next event is not taken",
            "See the log of its last ticks for the reason.",
        )
    if cursor.get("parked"):
        last = [f"run {run}: {reason}" for run, _, reason in cursor.get("last_parked", [])[-1:]]
        said = f"; the last is of {without_secrets(last[0])}" if last else ""
        yield warning(
            CHECK,
            f"{name} has set aside {cursor['parked']} events that were refused{said}",
            "Set right what the backend says, then send those runs again with "
            "openlineage-dagster replay.",
        )


def _last_tick(state: InstigatorState, subject: Subject) -> Iterator[Finding]:
    assert subject.instance is not None  # noqa: S101 -- there would be no state
    ticks = subject.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    if not ticks:
        return
    tick = ticks[0]
    age = time.time() - tick.timestamp
    if age > SILENT_SECONDS:
        yield warning(
            CHECK,
            f"{state.name} was evaluated {in_words(age)} ago for the last time",
            "See that dagster-daemon runs and that the code location is loaded.",
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
