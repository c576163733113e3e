"""The sensor on MySQL, by the calls that PostgreSQL answers as well: nothing is missed."""

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.test_utils import create_run_for_test

import fifty_assets
from delivered import run_id_of
from everything_delivered import check_everything_delivered, repeats
from many_runs import store_runs
from openlineage_dagster_core.event_log import whole_log
from openlineage_dagster_core.event_log.tables import LONGEST_PAGE
from openlineage_dagster_core.families import FOLLOWED
from openlineage_dagster_sensor import openlineage_sensor
from receiver import Receiver
from sensor_evaluations import IDLE

RUNS = 14
WRITERS, TICKS = 6, 4


@pytest.fixture
def instance(bare_storage: dict[str, Any], tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=bare_storage) as instance:
        yield instance


on_mysql = pytest.mark.parametrize("bare_storage", ["mysql"], indirect=True)
on_a_server = pytest.mark.parametrize("bare_storage", ["postgres", "mysql"], indirect=True)


def tick(instance: dg.DagsterInstance, cursor: str | None, evaluate: Any) -> tuple[str, str | None]:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=fifty_assets.DEFINITIONS
    )
    result = evaluate(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or "", context.cursor


def step_start(run_id: str, step: str) -> dg.EventLogEntry:
    event = DagsterEvent("STEP_START", "j", step_key=step)
    return dg.EventLogEntry(None, 10, "", run_id, time.time(), step_key=step, dagster_event=event)


def steps_of(receiver: Receiver) -> list[tuple[str | None, str]]:
    return [(run_id_of(event), event["job"]["name"]) for event in receiver.events]


@on_mysql
def test_of_a_log_of_many_pages_everything_arrives_once_and_in_order(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_runs(instance, RUNS)
    for number in range(20):
        instance.report_runless_asset_event(dg.AssetMaterialization(f"outside_{number}"))
    evaluate, cursor, reason = openlineage_sensor(), None, ""
    while reason != IDLE:
        reason, cursor = tick(instance, cursor, evaluate)
        assert reason == IDLE or "parked 0" in reason
        assert "retry" not in reason
    different = check_everything_delivered(instance, receiver.events, fifty_assets.DEFINITIONS)
    assert different == len(receiver.events)
    followed = [
        instance.get_records_for_run(run.run_id, of_type=set(FOLLOWED)).records
        for run in instance.get_runs()
    ]
    assert sum(map(len, followed)) > LONGEST_PAGE
    # MySQL keeps it in 64 KB.
    assert len(cursor or "") <= 4096


@on_mysql
def test_a_cursor_that_was_reset_sends_everything_again_with_the_same_ids(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_runs(instance, 2)
    evaluate = openlineage_sensor()
    tick(instance, None, evaluate)
    once = len(receiver.events)
    assert repeats(receiver.events) == 0
    tick(instance, None, evaluate)
    assert repeats(receiver.events) == once == len(receiver.events) // 2
    check_everything_delivered(instance, receiver.events, fifty_assets.DEFINITIONS)


@on_mysql
def test_while_many_write_nothing_is_missed(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    runs = [create_run_for_test(instance, job_name="j").run_id for _ in range(WRITERS)]

    is_enough = threading.Event()
    written: dict[str, int] = {}

    def write(run_id: str) -> None:
        written[run_id] = 0
        while not is_enough.is_set():
            instance.event_log_storage.store_event(step_start(run_id, f"s{written[run_id]}"))
            written[run_id] += 1

    writers = [threading.Thread(target=write, args=(run_id,)) for run_id in runs]
    for writer in writers:
        writer.start()
    cursor: str | None = None
    try:
        for _ in range(TICKS):
            before = len(receiver.events)
            # A new one each time: what one remembers of a run hides what it reads again.
            _, cursor = tick(instance, cursor, openlineage_sensor())
            assert len(receiver.events) > before
    finally:
        is_enough.set()
        for writer in writers:
            writer.join()
    tick(instance, cursor, openlineage_sensor())
    arrived = steps_of(receiver)
    assert len(arrived) == sum(written.values())
    for run in runs:
        # Steps are independent of each other, and many connections send them.
        expected = sorted(f"j.s{number}" for number in range(written[run]))
        assert sorted(name for run_id, name in arrived if run_id == run) == expected


@on_a_server
def test_what_becomes_visible_after_what_was_stored_later_is_still_sent(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At each tick, not some seconds later.
    monkeypatch.setattr(whole_log, "LOOKS", ((math.inf, 0.0),))
    slow, fast = [create_run_for_test(instance, job_name="j").run_id for _ in range(2)]
    storage: Any = instance.event_log_storage
    evaluate, cursor = openlineage_sensor(), None
    # Dagster's own is committed by itself on PostgreSQL.
    engine = storage._engine.execution_options(isolation_level="READ COMMITTED")
    with engine.begin() as transaction:
        transaction.execute(storage.prepare_insert_event(step_start(slow, "first")))
        storage.store_event(step_start(fast, "second"))
        for _ in range(2):
            _, cursor = tick(instance, cursor, evaluate)
        assert steps_of(receiver) == [(fast, "j.second")]
    _, cursor = tick(instance, cursor, evaluate)
    assert steps_of(receiver) == [(fast, "j.second"), (slow, "j.first")]
    assert tick(instance, cursor, evaluate)[0] == IDLE
