"""Evaluations that overrun, whose cursor is lost, or that go on in a fresh process: none skips."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import sensor_project
from dagster_home import wait_until
from everything_delivered import check_everything_delivered, repeats
from openlineage_dagster_sensor import openlineage_sensor
from receiver import Receiver
from recorded_run import execute
from sensor_daemon import Gate
from sensor_evaluations import IDLE

BEFORE_IT_HANGS = 20
AT_MOST = 500
"""Ticks; there are fewer events."""


@pytest.fixture
def instance(
    bare_storage: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv(sensor_project.GATE, str(tmp_path / "gate"))
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=bare_storage) as instance:
        yield instance


@pytest.fixture
def gate(tmp_path: Path, receiver: Receiver) -> Iterator[Path]:
    """The file that the run waits for; afterwards nobody waits any more."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()
    receiver.released.set()


def tick(instance: dg.DagsterInstance, cursor: str | None, evaluate: Any) -> tuple[str, str | None]:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=sensor_project.DEFINITIONS
    )
    result = evaluate(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or "", context.cursor


def run_jobs(instance: dg.DagsterInstance) -> None:
    for job, options in sensor_project.SHORT_JOBS:
        execute(sensor_project.DEFINITIONS, job, instance, **options)
    sensor_project.report_from_outside(instance)


def run_in_thread(instance: dg.DagsterInstance, job: str) -> threading.Thread:
    thread = threading.Thread(
        target=execute, args=(sensor_project.DEFINITIONS, job, instance), daemon=True
    )
    thread.start()
    return thread


def tick_until_half_done(
    instance: dg.DagsterInstance, receiver: Receiver, evaluate: Callable[[], Any]
) -> str | None:
    """Evaluate until what the run that waits has done by then has arrived; the cursor."""
    cursor: str | None = None

    def is_half_done() -> bool:
        nonlocal cursor
        _, cursor = tick(instance, cursor, evaluate())
        return "half_done__checks" in {
            event["job"]["name"] for event in receiver.events if "job" in event
        }

    wait_until(is_half_done, 60, "the run that waits")
    return cursor


def tick_until_idle(
    instance: dg.DagsterInstance, cursor: str | None, evaluate: Callable[[], Any]
) -> int:
    """Evaluate what `evaluate` gives each time; how often it took."""
    for number in range(1, AT_MOST):
        reason, cursor = tick(instance, cursor, evaluate())
        if reason == IDLE:
            return number
        assert "parked 0" in reason
    raise AssertionError(reason)


def test_an_evaluation_that_overruns_is_not_joined_and_its_lost_cursor_skips_nothing(
    instance: dg.DagsterInstance, receiver: Receiver, gate: Path
) -> None:
    evaluate = openlineage_sensor(timeout=30)
    under_way = run_in_thread(instance, "under_way")
    cursor = tick_until_half_done(instance, receiver, lambda: evaluate)
    run_jobs(instance)
    receiver.released = backend = Gate()

    def answer(_: Any) -> int:
        if receiver.requests == BEFORE_IT_HANGS:
            backend.clear()
        return 201

    receiver.answer = answer
    reasons: list[str] = []
    overrunning = threading.Thread(
        target=lambda: reasons.append(tick(instance, cursor, evaluate)[0]), daemon=True
    )
    overrunning.start()
    wait_until(backend.holds, 60, "the backend to hang")
    requests = receiver.requests
    # Dagster has given up on the first and evaluates again, from the same cursor.
    reason, kept = tick(instance, cursor, evaluate)
    assert "has not ended" in reason
    assert kept == cursor
    assert receiver.requests == requests
    gate.touch()
    under_way.join()
    backend.set()
    overrunning.join(60)
    [reason] = reasons
    assert "sent 0" not in reason
    # What the first has kept is lost.
    tick_until_idle(instance, cursor, lambda: evaluate)
    assert repeats(receiver.events) > BEFORE_IT_HANGS // 2
    different = check_everything_delivered(instance, receiver.events, sensor_project.DEFINITIONS)
    assert different == len(receiver.events) - repeats(receiver.events)


def test_a_sensor_that_is_loaded_anew_after_every_event_skips_and_repeats_nothing(
    instance: dg.DagsterInstance, receiver: Receiver, gate: Path
) -> None:
    gate.touch()
    execute(sensor_project.DEFINITIONS, "under_way", instance)
    execute(sensor_project.DEFINITIONS, "nightly", instance)
    run_jobs(instance)
    ticks = tick_until_idle(instance, None, lambda: openlineage_sensor(record_filter_limit=1))
    different = check_everything_delivered(instance, receiver.events, sensor_project.DEFINITIONS)
    assert different == len(receiver.events)
    assert ticks > different // 2


def test_a_sensor_that_is_loaded_anew_while_a_run_is_under_way_sends_how_it_ends(
    instance: dg.DagsterInstance, receiver: Receiver, gate: Path
) -> None:
    under_way = run_in_thread(instance, "under_way")
    cursor = tick_until_half_done(instance, receiver, openlineage_sensor)
    before = len(receiver.events)
    gate.touch()
    under_way.join()
    tick_until_idle(instance, cursor, openlineage_sensor)
    assert len(receiver.events) > before
    different = check_everything_delivered(instance, receiver.events, sensor_project.DEFINITIONS)
    assert different == len(receiver.events)
    ends = {
        event["job"]["name"]: event["eventType"]
        for event in receiver.events
        if event.get("eventType") in {"COMPLETE", "FAIL"}
    }
    assert ends["never_done"] == "FAIL"
    assert ends["under_way"] == "FAIL"
