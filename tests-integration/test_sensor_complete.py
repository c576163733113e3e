"""The sensor on PostgreSQL: of a large log, and while many write, nothing is missed."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.events import DagsterEvent
from dagster._core.test_utils import create_run_for_test

import fifty_assets
from delivered import run_id_of
from everything_delivered import check_everything_delivered
from many_runs import store_runs
from openlineage_dagster_sensor import openlineage_sensor
from receiver import Receiver
from sensor_evaluations import IDLE

RUNS = 10


@pytest.fixture
def instance(make_database: Callable[[], str], tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    storage = {"postgres": {"postgres_url": make_database()}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"storage": storage}) as instance:
        yield instance


@contextmanager
def counted(instance: dg.DagsterInstance) -> Iterator[list[str]]:
    """Collect the statements that are sent to the database."""
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    engines = {instance.event_log_storage._engine, instance.run_storage._engine}  # type: ignore[attr-defined]
    for engine in engines:
        db.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            db.event.remove(engine, "before_cursor_execute", note)


def tick(instance: dg.DagsterInstance, cursor: str | None, evaluate: Any) -> tuple[str, str | None]:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=fifty_assets.DEFINITIONS
    )
    result = evaluate(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or "", context.cursor


def test_of_a_large_log_everything_arrives_in_order_and_it_is_asked_little(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = store_runs(instance, RUNS)
    assert count >= 4_000
    evaluate, cursor = openlineage_sensor(), None
    with counted(instance) as statements:
        while True:
            reason, cursor = tick(instance, cursor, evaluate)
            if reason == IDLE:
                break
            assert "parked 0" in reason
    assert len(statements) <= 3 * count / 1000 + 2
    assert len(cursor or "") <= 4096
    different = check_everything_delivered(instance, receiver.events, fifty_assets.DEFINITIONS)
    assert len(receiver.events) == different
    with counted(instance) as statements:
        assert tick(instance, cursor, evaluate)[0] == IDLE
    # Soon after news the ids of late events are listed, too.
    assert len(statements) <= 3


def test_while_many_write_nothing_is_missed(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL what is stored first may become visible last."""
    runs = [create_run_for_test(instance, job_name="j").run_id for _ in range(16)]
    storage = instance.event_log_storage

    def write(run_id: str) -> None:
        for number in range(60):
            event = DagsterEvent("STEP_START", "j", step_key=f"s{number}")
            storage.store_event(
                dg.EventLogEntry(
                    None, 10, "", run_id, time.time(), step_key=f"s{number}", dagster_event=event
                )
            )

    writers = [threading.Thread(target=write, args=(run_id,)) for run_id in runs]
    for writer in writers:
        writer.start()
    cursor = None
    is_last = False
    while not is_last:
        is_last = not any(writer.is_alive() for writer in writers)
        # Each time another process, as it were: one that remembers would not send twice anyway.
        _, cursor = tick(instance, cursor, openlineage_sensor())
    tick(instance, cursor, openlineage_sensor())
    arrived = {(run_id_of(event), event["job"]["name"]) for event in receiver.events}
    assert arrived == {(run, f"j.s{number}") for run in runs for number in range(60)}
    assert len(receiver.events) == len(arrived), "each once"


def test_what_is_reported_from_outside_arrives_and_blocks_nothing(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    for number in range(20):
        instance.report_runless_asset_event(dg.AssetMaterialization(f"outside_{number}"))
    job = fifty_assets.DEFINITIONS.get_repository_def().get_job(fifty_assets.JOB)
    job.execute_in_process(instance=instance)
    evaluate = openlineage_sensor()
    _, cursor = tick(instance, None, evaluate)
    names = {event["job"]["name"] for event in receiver.events}
    assert {f"outside_{number}" for number in range(20)} <= names
    assert fifty_assets.JOB in names
    assert tick(instance, cursor, evaluate)[0] == IDLE


def test_a_cursor_that_was_reset_sends_everything_again_with_the_same_ids(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    job = fifty_assets.DEFINITIONS.get_repository_def().get_job(fifty_assets.JOB)
    job.execute_in_process(instance=instance)
    evaluate = openlineage_sensor()
    tick(instance, None, evaluate)
    first = list(receiver.events)
    tick(instance, None, evaluate)
    # What does not depend on each other goes side by side, in any order.
    assert texts(receiver.events) == texts(first * 2)


def texts(events: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(event, sort_keys=True) for event in events)
