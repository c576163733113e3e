import time
from collections.abc import Iterator
from datetime import datetime, timezone
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import DagsterEventType

from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_sensor import reading
from openlineage_dagster_sensor.cursor import Cursor, RunCursor
from recorded_run import execute


@dg.asset
def orders() -> None: ...


DEFINITIONS = dg.Definitions([orders], jobs=[dg.define_asset_job("nightly")])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


def test_new_runs_are_taken_up(instance: dg.DagsterInstance) -> None:
    first = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor()
    reading.find_runs(instance, cursor, time.time())
    assert set(cursor.runs) == {first}
    second = execute(DEFINITIONS, "nightly", instance).run_id
    reading.find_runs(instance, cursor, time.time())
    assert set(cursor.runs) == {first, second}


def test_many_runs_are_taken_up_page_by_page(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "RUNS_A_TICK", 2)
    runs = {execute(DEFINITIONS, "nightly", instance).run_id for _ in range(5)}
    cursor = Cursor()
    for _ in range(5):
        # Much later, so that nothing but the page's end holds the cursor back.
        reading.find_runs(instance, cursor, time.time() + 3600)
    assert set(cursor.runs) == runs


def test_every_run_of_a_full_page_is_sent_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "RUNS_A_TICK", 2)
    runs = [execute(DEFINITIONS, "nightly", instance).run_id for _ in range(5)]
    cursor, taken_up = Cursor(), []
    for _ in range(6):
        known = set(cursor.runs)
        # Long after, when everything has settled.
        reading.find_runs(instance, cursor, time.time() + 3600)
        for run_id in cursor.runs.keys() - known:
            taken_up.append(run_id)
            [ended] = reading.new_records(
                instance, run_id, cursor.runs[run_id], {DagsterEventType.RUN_SUCCESS}
            )
            cursor.runs[run_id].done[ended.storage_id] = int(ended.timestamp)
            cursor.runs[run_id].has_ended = True
        reading.settle(cursor, time.time() + 3600)
    assert sorted(taken_up) == sorted(runs)
    assert cursor.runs == {}


def test_a_run_whose_row_was_written_just_after_a_full_page_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row is written some milliseconds after the end that it tells; the mock has two such."""
    monkeypatch.setattr(reading, "RUNS_A_TICK", 1)
    rows = [
        SimpleNamespace(
            dagster_run=SimpleNamespace(run_id=name),
            end_time=ended,
            update_timestamp=datetime.fromtimestamp(written, timezone.utc),
        )
        for name, ended, written in (("first", 999.99, 1000.0), ("second", 999.99, 1000.002))
    ]

    class Instance:
        def get_run_records(self, filters, limit, **options):  # type: ignore[no-untyped-def]
            found = [row for row in rows if row.update_timestamp > filters.updated_after]
            return found[:limit]

    cursor = Cursor()
    for _ in range(3):
        reading.find_runs(Instance(), cursor, NOW)  # type: ignore[arg-type]
        monkeypatch.setattr(reading, "RUNS_A_TICK", reading.RUNS_A_TICK + 1)
    assert set(cursor.runs) == {"first", "second"}


def test_an_ended_run_whose_row_changes_later_is_not_taken_up_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor(updated_after=time.time())
    # As if the run had ended long ago.
    monkeypatch.setattr(reading, "SETTLED_SECONDS", 0.0)
    instance.add_run_tags(run_id, {"note": "later"})
    reading.find_runs(instance, cursor, time.time())
    assert cursor.runs == {}


def test_a_storage_id_to_begin_after_becomes_a_time(instance: dg.DagsterInstance) -> None:
    execute(DEFINITIONS, "nightly", instance)
    last = instance.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, limit=1).records[0]
    later = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor(after_storage_id=last.storage_id)
    reading.resolve_beginning(instance, cursor)
    assert cursor == Cursor(updated_after=last.timestamp, begins_at=last.timestamp)
    reading.find_runs(instance, cursor, time.time())
    assert set(cursor.runs) == {later}


def test_what_is_done_is_not_read_again(instance: dg.DagsterInstance) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    run = RunCursor()
    records = list(reading.new_records(instance, run_id, run, CONVERTED))
    assert [record.event_log_entry.dagster_event_type for record in records] == [
        DagsterEventType.RUN_START,
        DagsterEventType.STEP_START,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.RUN_SUCCESS,
    ]
    run.low = records[0].storage_id
    run.done = {records[2].storage_id: 0}
    again = list(reading.new_records(instance, run_id, run, CONVERTED))
    assert again == [records[1], records[3], records[4]]


def test_a_long_run_is_read_page_by_page(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    at_once = list(reading.new_records(instance, run_id, RunCursor(), CONVERTED))
    monkeypatch.setattr(reading, "PAGE", 2)
    assert list(reading.new_records(instance, run_id, RunCursor(), CONVERTED)) == at_once


NOW = 10_000


def test_an_id_is_kept_until_nothing_can_come_before_it() -> None:
    old, young = NOW - 61, NOW - 59
    cursor = Cursor(runs={"run": RunCursor(1, {2: old, 4: old, 5: young, 6: old})})
    reading.settle(cursor, NOW)
    assert cursor.runs["run"] == RunCursor(4, {5: young, 6: old})


def test_an_ended_run_is_forgotten_when_it_can_no_longer_be_found() -> None:
    cursor = Cursor(
        updated_after=NOW - 60,
        runs={
            "over": RunCursor(0, {2: NOW - 122}, has_ended=True),
            "just over": RunCursor(0, {3: NOW - 121}, has_ended=True),
            "under way": RunCursor(0, {4: NOW - 999}),
        },
    )
    reading.settle(cursor, NOW)
    assert set(cursor.runs) == {"just over", "under way"}


def test_a_late_commit_below_the_highest_id_is_read() -> None:
    """As on PostgreSQL; the ids of the mock stand for what becomes visible when."""
    visible = [3, 5]

    class Instance:
        def get_records_for_run(self, run_id, cursor, of_type, limit):  # type: ignore[no-untyped-def]
            records = [type("Record", (), {"storage_id": i})() for i in sorted(visible)]
            return type("Page", (), {"records": records, "has_more": False, "cursor": ""})()

    def read(run: RunCursor) -> list[int]:
        records = reading.new_records(Instance(), "run", run, CONVERTED)  # type: ignore[arg-type]
        return [record.storage_id for record in records]

    run = RunCursor()
    assert read(run) == [3, 5]
    run.done = {3: NOW, 5: NOW}
    cursor = Cursor(runs={"run": run})
    reading.settle(cursor, NOW + 1)
    visible.append(4)
    assert read(run) == [4]
