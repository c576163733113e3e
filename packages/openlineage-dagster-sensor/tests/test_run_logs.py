"""Reading where each run has a log of its own, on Dagster's default instance."""

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus, EventLogRecord
from dagster._core.events import DagsterEvent
from dagster._core.test_utils import create_run_for_test

from openlineage_dagster_sensor import cursor as sensor_cursor
from openlineage_dagster_sensor import run_logs
from openlineage_dagster_sensor.cursor import Cursor
from openlineage_dagster_sensor.reading import CLOCKS_DIFFER_SECONDS, DoneEvent
from openlineage_dagster_sensor.run_logs import RunLogs
from recorded_run import execute

LATER = 3600.0
"""When everything has settled, in seconds from now."""


@dg.asset
def orders() -> None: ...


DEFINITIONS = dg.Definitions([orders], jobs=[dg.define_asset_job("nightly")])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


def logs(instance: dg.DagsterInstance, cursor: Cursor, after: float = 0.0) -> RunLogs:
    """Begin a tick, some seconds after now."""
    made = RunLogs(instance, cursor)
    made._now = time.time() + after
    return made


def read(instance: dg.DagsterInstance, cursor: Cursor, after: float = 0.0) -> list[EventLogRecord]:
    """Read and deal with everything."""
    made = logs(instance, cursor, after)
    made.is_idle()
    records = [record for page in made.pages() for record in page]
    made.settle(map(DoneEvent.of, records))
    return records


def runs(records: list[EventLogRecord]) -> set[str]:
    return {record.run_id for record in records}


def test_what_is_new_is_read_once(instance: dg.DagsterInstance) -> None:
    cursor = Cursor()
    first = execute(DEFINITIONS, "nightly", instance).run_id
    assert runs(read(instance, cursor)) == {first}
    assert read(instance, cursor) == []
    second = execute(DEFINITIONS, "nightly", instance).run_id
    assert runs(read(instance, cursor)) == {second}


def test_what_is_not_done_is_read_again(instance: dg.DagsterInstance) -> None:
    cursor = Cursor()
    execute(DEFINITIONS, "nightly", instance)
    made = logs(instance, cursor)
    made.is_idle()
    records = [record for page in made.pages() for record in page]
    made.settle(map(DoneEvent.of, records[:2]))
    assert [each.storage_id for each in read(instance, cursor)] == [
        each.storage_id for each in records[2:]
    ]


def test_many_runs_are_taken_up_page_by_page_and_each_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_logs, "RUNS_A_TICK", 2)
    made = [execute(DEFINITIONS, "nightly", instance).run_id for _ in range(5)]
    cursor, ends = Cursor(), []
    for _ in range(6):
        ends += [
            record.run_id
            for record in read(instance, cursor, LATER)
            if record.event_log_entry.dagster_event_type is DagsterEventType.RUN_SUCCESS
        ]
    assert sorted(ends) == sorted(made)
    assert cursor.runs == {}, "they have ended long ago"


def test_a_run_whose_row_was_written_just_after_a_full_page_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row is written some milliseconds after the end that it tells; the mock has two such."""
    monkeypatch.setattr(run_logs, "RUNS_A_TICK", 1)
    rows = [
        SimpleNamespace(
            dagster_run=SimpleNamespace(run_id=name),
            end_time=ended,
            create_timestamp=datetime.fromtimestamp(ended, timezone.utc),
            update_timestamp=datetime.fromtimestamp(written, timezone.utc),
        )
        for name, ended, written in (("first", 999.99, 1000.0), ("second", 999.99, 1000.002))
    ]

    class Instance:
        def get_run_records(self, filters: Any, limit: int, **options: Any) -> Any:
            found = [row for row in rows if row.update_timestamp > filters.updated_after]
            return found[:limit]

    cursor = Cursor()
    for _ in range(3):
        RunLogs(Instance(), cursor).is_idle()  # type: ignore[arg-type]
        monkeypatch.setattr(run_logs, "RUNS_A_TICK", run_logs.RUNS_A_TICK + 1)
    assert set(cursor.runs) == {"first", "second"}


def test_an_ended_run_whose_row_changes_later_is_not_taken_up_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor(updated_after=time.time(), sent_until=time.time())
    # As if the run had ended long ago.
    monkeypatch.setattr(run_logs, "SETTLED_SECONDS", 0.0)
    instance.add_run_tags(run_id, {"note": "later"})
    assert read(instance, cursor) == []


def test_a_storage_id_to_begin_after_becomes_a_time(instance: dg.DagsterInstance) -> None:
    execute(DEFINITIONS, "nightly", instance)
    last = instance.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, limit=1).records[0]
    later = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor(after_storage_id=last.storage_id)
    logs(instance, cursor).begin(None)
    assert (cursor.begins_at, cursor.after_storage_id) == (last.timestamp, 0)
    assert runs(read(instance, cursor)) == {later}


@pytest.mark.parametrize("start", ["now", "a time"])
def test_what_happened_before_the_start_is_left_out(
    instance: dg.DagsterInstance, start: str
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    instance.report_runless_asset_event(dg.AssetMaterialization("before"))
    cursor = Cursor()
    logs(instance, cursor).begin(float("inf") if start == "now" else time.time())
    later = execute(DEFINITIONS, "nightly", instance).run_id
    instance.report_runless_asset_event(dg.AssetMaterialization("after"))
    found = read(instance, cursor)
    assert runs(found) == {later, ""}
    assert [each.asset_key for each in found if not each.run_id] == [dg.AssetKey("after")]


def test_what_is_reported_from_outside_any_run_is_read_once(instance: dg.DagsterInstance) -> None:
    cursor = Cursor()
    for name in ("first", "second"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
        assert [each.asset_key for each in read(instance, cursor)] == [dg.AssetKey(name)]


def test_a_long_run_is_read_page_by_page(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_logs, "PAGE", 2)
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    ids = [each.storage_id for each in read(instance, Cursor()) if each.run_id == run_id]
    assert ids == sorted(set(ids))
    assert len(ids) == 6


def begin_run(instance: dg.DagsterInstance) -> str:
    return create_run_for_test(instance, job_name="j", status=DagsterRunStatus.STARTED).run_id


def store_step(instance: dg.DagsterInstance, run_id: str, step: str, at: float) -> None:
    event = DagsterEvent("STEP_START", "j", step_key=step)
    instance.event_log_storage.store_event(
        dg.EventLogEntry(None, 10, "", run_id, at, step_key=step, dagster_event=event)
    )


def steps(records: list[EventLogRecord]) -> set[tuple[str, str | None]]:
    return {(record.run_id, record.event_log_entry.step_key) for record in records}


def test_runs_that_the_text_has_no_room_for_are_found_again_and_little_is_sent_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    under_way = [begin_run(instance) for _ in range(5)]
    for run_id in under_way:
        store_step(instance, run_id, "long_ago", now - 2 * CLOCKS_DIFFER_SECONDS)
        store_step(instance, run_id, "just_now", now)
    cursor = Cursor()
    assert len(read(instance, cursor)) == 10
    monkeypatch.setattr(sensor_cursor, "LONGEST_TEXT", 300)
    text = cursor.to_text()
    assert len(text) <= 300
    for run_id in under_way:
        store_step(instance, run_id, "new", now)
    ended = execute(DEFINITIONS, "nightly", instance).run_id
    # Another process has the text and nothing else.
    found = read(instance, Cursor.from_text(text))
    assert {each for each in steps(found) if each[0] != ended} == {
        (run_id, step) for run_id in under_way for step in ("just_now", "new")
    }
    assert ended in runs(found)


def test_runs_that_were_not_sent_to_their_end_are_found_again_whole(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    first = begin_run(instance)
    store_step(instance, first, "done", now - 2 * CLOCKS_DIFFER_SECONDS)
    store_step(instance, first, "left", now - 2 * CLOCKS_DIFFER_SECONDS)
    cursor = Cursor()
    made = logs(instance, cursor)
    made.is_idle()
    made.settle(DoneEvent.of(record) for page in made.pages() for record in page[:1])
    monkeypatch.setattr(sensor_cursor, "LONGEST_TEXT", 0)
    found = read(instance, Cursor.from_text(cursor.to_text()))
    assert steps(found) == {(first, "done"), (first, "left")}


def test_a_thousand_runs_under_way_are_kept_in_little_text(instance: dg.DagsterInstance) -> None:
    now = time.time()
    under_way = {begin_run(instance) for _ in range(1000)}
    cursor = Cursor(sent_until=now + 1)
    cursor.runs = dict.fromkeys(under_way, (7, 0.0))
    assert len(cursor.to_text()) <= sensor_cursor.LONGEST_TEXT
    again = Cursor.from_text(cursor.to_text())
    logs(instance, again).is_idle()
    assert set(again.runs) == under_way


def test_of_what_is_of_no_run_an_asset_that_waits_is_not_passed_over(
    instance: dg.DagsterInstance,
) -> None:
    cursor = Cursor()
    for name in ("waits", "goes", "goes_too"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
    made = logs(instance, cursor)
    made.is_idle()
    records = [record for page in made.pages() for record in page]
    made.settle(DoneEvent.of(each) for each in records if each.asset_key != dg.AssetKey("waits"))
    cursor = Cursor.from_text(cursor.to_text())
    assert [each.asset_key for each in read(instance, cursor)] == [dg.AssetKey("waits")]
    assert read(instance, cursor) == []


def test_while_it_catches_up_a_run_whose_row_changed_long_after_its_end_is_sent(
    instance: dg.DagsterInstance,
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    instance.add_run_tags(run_id, {"note": "later"})
    [row] = instance.get_run_records()
    # As if it had changed long after the end, and everything up to then had been looked at.
    cursor = Cursor(updated_after=row.update_timestamp.timestamp() - 0.001)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_logs, "SETTLED_SECONDS", -3600.0)
        logs(instance, cursor).is_idle()
    assert run_id in cursor.runs


def test_more_runs_in_one_moment_than_a_page_holds_do_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows are a mock's: real ones are written one after the other."""
    monkeypatch.setattr(run_logs, "RUNS_A_TICK", 2)
    moment = datetime.fromtimestamp(1000.0, timezone.utc)
    rows = [
        SimpleNamespace(
            dagster_run=SimpleNamespace(run_id=str(number)),
            end_time=None,
            create_timestamp=moment,
            update_timestamp=moment,
        )
        for number in range(7)
    ]

    class Instance:
        def get_run_records(self, filters: Any, limit: int, **options: Any) -> Any:
            found = [row for row in rows if row.update_timestamp > filters.updated_after]
            return found[:limit]

    cursor = Cursor(updated_after=999.9995)
    RunLogs(Instance(), cursor).is_idle()  # type: ignore[arg-type]
    assert len(cursor.runs) == 7
