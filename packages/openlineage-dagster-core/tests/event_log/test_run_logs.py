"""Reading where each run has a log of its own, on Dagster's default instance."""

import time
from collections.abc import Collection, Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey, DagsterEventType, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from log_entries import step_event
from openlineage_dagster_core.event_log import run_logs
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import CLOCKS_DIFFER_SECONDS, DoneEvent
from openlineage_dagster_core.event_log.run_logs import RunLogs
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.families import RUN_ENDS
from recorded_run import execute

LATER = 3600.0
"""When everything has settled, in seconds from now."""


@dg.asset
def orders() -> None: ...


DEFINITIONS = dg.Definitions([orders], jobs=[dg.define_asset_job("nightly")])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Seconds that the reader's clock is ahead."""
    ahead = SimpleNamespace(seconds=0.0)
    later = SimpleNamespace(time=lambda: time.time() + ahead.seconds)
    monkeypatch.setattr(run_logs, "time", later)
    return ahead


def done(events: Collection[StoredEvent]) -> list[DoneEvent]:
    return [
        DoneEvent(event.id, event.entry().timestamp, event.entry().dagster_event_type in RUN_ENDS)
        for event in events
    ]


def delivered(reader: RunLogs) -> list[StoredEvent]:
    """Read and deliver everything that is new."""
    events = [event for batch in reader.read() for event in batch]
    reader.settle(done(events))
    return events


def read(instance: dg.DagsterInstance, cursor: Cursor) -> list[StoredEvent]:
    """Read and deliver everything that is new, in another process."""
    return delivered(RunLogs(instance, cursor))


def again(cursor: Cursor, longest: int = 60_000) -> Cursor:
    """Give another process the cursor's text."""
    return Cursor.from_text(cursor.to_text(longest))


def runs(events: Collection[StoredEvent]) -> set[str]:
    return {event.id.run_id for event in events}


def keys(events: Collection[StoredEvent]) -> list[AssetKey | None]:
    return [event.entry().get_dagster_event().asset_key for event in events]


@pytest.mark.parametrize("is_another_process", [True, False])
def test_what_is_new_is_read_once(instance: dg.DagsterInstance, is_another_process: bool) -> None:
    cursor = Cursor()
    reader = RunLogs(instance, cursor)
    for _ in range(2):
        run_id = execute(DEFINITIONS, "nightly", instance).run_id
        if is_another_process:
            cursor = again(cursor)
            reader = RunLogs(instance, cursor)
        assert runs(delivered(reader)) == {run_id}
        assert delivered(reader) == []


def test_what_is_not_delivered_is_read_again_by_another_process(
    instance: dg.DagsterInstance,
) -> None:
    cursor = Cursor()
    execute(DEFINITIONS, "nightly", instance)
    reader = RunLogs(instance, cursor)
    events = [event for batch in reader.read() for event in batch]
    reader.settle(done(events[:2]))
    assert cursor.behind == len(events) - 2
    assert cursor.behind_since == pytest.approx(events[2].timestamp)
    assert delivered(reader) == [], "this process has them already"
    assert [each.id for each in read(instance, again(cursor))] == [each.id for each in events[2:]]


def test_events_of_several_runs_come_in_the_order_in_which_they_happened(
    instance: dg.DagsterInstance,
) -> None:
    began = time.time()
    run_ids = [begin_run(instance) for _ in range(3)]
    for number in range(30):
        store_step(instance, run_ids[number % 3], str(number), began + number)
    assert [name for _, name in steps_in_order(read(instance, Cursor()))] == [
        str(number) for number in range(30)
    ]


def test_many_runs_are_taken_up_page_by_page_and_each_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    monkeypatch.setattr(run_logs, "RUNS_A_PASS", 2)
    made = [execute(DEFINITIONS, "nightly", instance).run_id for _ in range(5)]
    clock.seconds = LATER
    cursor = Cursor()
    reader = RunLogs(instance, cursor)
    ends = [
        event.id.run_id
        for _ in range(6)
        for event in delivered(reader)
        if event.entry().dagster_event_type is DagsterEventType.RUN_SUCCESS
    ]
    assert sorted(ends) == sorted(made)
    assert cursor.runs == {}, "they have ended long ago"


class Rows:
    """Answers with rows that have the times that a test needs; real ones cannot be told."""

    def __init__(self, *rows: tuple[str, float | None, float]) -> None:
        self.event_log_storage = object()
        self.run_storage = object()
        self.rows = [
            SimpleNamespace(
                dagster_run=SimpleNamespace(run_id=name),
                end_time=ended,
                create_timestamp=datetime.fromtimestamp(written, timezone.utc),
                update_timestamp=datetime.fromtimestamp(written, timezone.utc),
            )
            for name, ended, written in rows
        ]

    def get_run_records(self, filters: Any, limit: int, **_: Any) -> Any:
        found = [row for row in self.rows if row.update_timestamp > filters.updated_after]
        return found[:limit]


def test_a_run_whose_row_was_written_just_after_a_full_page_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row is written some milliseconds after the end that it tells."""
    monkeypatch.setattr(run_logs, "RUNS_A_PASS", 1)
    rows: Any = Rows(("first", 999.99, 1000.0), ("second", 999.99, 1000.002))
    cursor = Cursor()
    for limit in (2, 3, 4):
        RunLogs(rows, cursor)._find_runs()
        monkeypatch.setattr(run_logs, "RUNS_A_PASS", limit)
    assert set(cursor.runs) == {"first", "second"}


def test_more_runs_in_one_moment_than_a_page_holds_do_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_logs, "RUNS_A_PASS", 2)
    rows: Any = Rows(*[(str(number), None, 1000.0) for number in range(7)])
    cursor = Cursor(updated_after=999.9995)
    RunLogs(rows, cursor)._find_runs()
    assert len(cursor.runs) == 7


def test_an_ended_run_whose_row_changes_later_is_not_taken_up_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor(updated_after=time.time(), sent_until=time.time())
    # As if the run had ended long ago.
    monkeypatch.setattr(run_logs, "SETTLED_SECONDS", 0.0)
    instance.add_run_tags(run_id, {"note": "later"})
    assert read(instance, cursor) == []


def test_while_it_catches_up_a_run_whose_row_changed_long_after_its_end_is_read(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    instance.add_run_tags(run_id, {"note": "later"})
    [row] = instance.get_run_records()
    # As if it had changed long after the end, and everything up to then had been looked at.
    cursor = Cursor(updated_after=row.update_timestamp.timestamp() - 0.001)
    monkeypatch.setattr(run_logs, "SETTLED_SECONDS", -3600.0)
    RunLogs(instance, cursor)._find_runs()
    assert run_id in cursor.runs


def test_a_storage_id_of_an_earlier_version_becomes_a_time(instance: dg.DagsterInstance) -> None:
    execute(DEFINITIONS, "nightly", instance)
    last = instance.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, limit=1).records[0]
    later = execute(DEFINITIONS, "nightly", instance).run_id
    cursor = Cursor(after_storage_id=last.storage_id)
    reader = RunLogs(instance, cursor)
    reader.begin(None)
    assert (cursor.begins_at, cursor.after_storage_id) == (last.timestamp, 0)
    assert runs(delivered(reader)) == {later}


@pytest.mark.parametrize("start", ["now", "a time"])
def test_what_happened_before_the_start_is_left_out(
    instance: dg.DagsterInstance, start: str
) -> None:
    execute(DEFINITIONS, "nightly", instance)
    instance.report_runless_asset_event(dg.AssetMaterialization("before"))
    reader = RunLogs(instance, Cursor())
    reader.begin(float("inf") if start == "now" else time.time())
    later = execute(DEFINITIONS, "nightly", instance).run_id
    instance.report_runless_asset_event(dg.AssetMaterialization("after"))
    events = delivered(reader)
    assert runs(events) == {later, ""}
    assert keys([each for each in events if not each.id.run_id]) == [AssetKey("after")]


def test_what_is_reported_from_outside_any_run_is_read_once(instance: dg.DagsterInstance) -> None:
    cursor = Cursor()
    for name in ("first", "second"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
        cursor = again(cursor)
        assert keys(read(instance, cursor)) == [AssetKey(name)]


def test_of_what_is_reported_from_outside_an_event_that_waits_is_not_passed_over(
    instance: dg.DagsterInstance,
) -> None:
    cursor = Cursor()
    for name in ("waits", "goes", "goes_too"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
    reader = RunLogs(instance, cursor)
    events = [event for batch in reader.read() for event in batch]
    reader.settle(done(events[1:]))
    cursor = again(cursor)
    assert keys(read(instance, cursor)) == [AssetKey("waits")]
    assert read(instance, again(cursor)) == []


def begin_run(instance: dg.DagsterInstance) -> str:
    return create_run_for_test(instance, job_name="j", status=DagsterRunStatus.STARTED).run_id


def store_step(instance: dg.DagsterInstance, run_id: str, step: str, at: float) -> None:
    instance.event_log_storage.store_event(step_event(run_id, at, step))


def steps_in_order(events: Collection[StoredEvent]) -> list[tuple[str, str | None]]:
    return [(event.id.run_id, event.entry().step_key) for event in events]


def test_runs_that_the_text_has_no_room_for_are_found_again_and_little_is_sent_again(
    instance: dg.DagsterInstance,
) -> None:
    now = time.time()
    under_way = [begin_run(instance) for _ in range(5)]
    for run_id in under_way:
        store_step(instance, run_id, "long_ago", now - 2 * CLOCKS_DIFFER_SECONDS)
        store_step(instance, run_id, "just_now", now)
    cursor = Cursor()
    assert len(read(instance, cursor)) == 10
    short = again(cursor, longest=300)
    assert short.must_find_runs
    for run_id in under_way:
        store_step(instance, run_id, "new", now)
    ended = execute(DEFINITIONS, "nightly", instance).run_id
    events = read(instance, short)
    assert {each for each in steps_in_order(events) if each[0] != ended} == {
        (run_id, step) for run_id in under_way for step in ("just_now", "new")
    }
    assert ended in runs(events)


def test_runs_that_were_not_sent_to_their_end_are_found_again_whole(
    instance: dg.DagsterInstance,
) -> None:
    now = time.time()
    first = begin_run(instance)
    for step in ("done", "left"):
        store_step(instance, first, step, now - 2 * CLOCKS_DIFFER_SECONDS)
    cursor = Cursor()
    reader = RunLogs(instance, cursor)
    events = [event for batch in reader.read() for event in batch]
    reader.settle(done(events[:1]))
    events = read(instance, again(cursor, longest=100))
    assert steps_in_order(events) == [(first, "done"), (first, "left")]


def test_how_far_many_runs_are_is_kept_or_found_again(instance: dg.DagsterInstance) -> None:
    now = time.time()
    under_way = {begin_run(instance) for _ in range(50)}
    cursor = Cursor(sent_until=now + 1)
    cursor.runs = dict.fromkeys(under_way, (7, 0.0))
    assert again(cursor).runs == cursor.runs
    short = again(cursor, longest=500)
    assert short.runs == {}
    list(RunLogs(instance, short).read())
    assert set(short.runs) == under_way


def test_a_run_that_cannot_be_read_holds_up_no_other(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = time.time()
    broken, good = begin_run(instance), begin_run(instance)
    for run_id in (broken, good):
        store_step(instance, run_id, "s", now)
    events_of_run = run_logs.events_of_run

    def fail_for_one(instance: dg.DagsterInstance, run_id: str, **options: Any) -> Any:
        if run_id == broken:
            raise RuntimeError("a-secret")
        return events_of_run(instance, run_id, **options)

    cursor = Cursor()
    reader = RunLogs(instance, cursor)
    with monkeypatch.context() as patched:
        patched.setattr(run_logs, "events_of_run", fail_for_one)
        assert runs(delivered(reader)) == {good}
        assert reader.unreadable == 1
        assert reader.has_news()
    assert "a-secret" not in caplog.text
    assert runs(delivered(reader)) == {broken}
    assert reader.unreadable == 0


def test_an_interrupted_pass_leaves_nothing_out(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_logs, "EVENTS_A_BATCH", 2)
    now = time.time()
    run_ids = [begin_run(instance) for _ in range(3)]
    for number in range(12):
        store_step(instance, run_ids[number % 3], str(number), now + number)
    reader = RunLogs(instance, Cursor())
    found: list[str | None] = []
    for _ in range(30):
        batch = next(iter(reader.read()), None)
        if batch is None:
            break
        reader.settle(done(batch))
        found += [name for _, name in steps_in_order(batch)]
    assert found == [str(number) for number in range(12)]


def test_files_that_have_not_changed_are_not_read(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = RunLogs(instance, Cursor())
    delivered(reader)
    execute(DEFINITIONS, "nightly", instance)
    delivered(reader)
    # What was written so recently may be written to once more without a trace.
    time.sleep(0.3)
    delivered(reader)
    assert not reader.has_news()
    with monkeypatch.context() as patched:
        patched.setattr(run_logs, "events_of_run", lambda *_, **__: pytest.fail("it reads"))
        patched.setattr(instance, "get_run_records", lambda *_, **__: pytest.fail("it asks"))
        assert delivered(reader) == []
    instance.report_runless_asset_event(dg.AssetMaterialization("first"))
    assert reader.has_news()
    assert keys(delivered(reader)) == [AssetKey("first")]


def test_of_which_runs_every_event_comes_is_known_from_the_cursor(
    instance: dg.DagsterInstance,
) -> None:
    now = time.time()
    old, new = begin_run(instance), begin_run(instance)
    store_step(instance, old, "s", now)
    cursor = Cursor()
    read(instance, cursor)
    reader = RunLogs(instance, again(cursor))
    store_step(instance, new, "s", now)
    delivered(reader)
    assert reader.has_all_of(instance.get_run_records()) == {new}


def test_parked_events_are_read_once_more_with_what_follows_in_their_run(
    instance: dg.DagsterInstance,
) -> None:
    now = time.time()
    run_ids = [begin_run(instance) for _ in range(2)]
    for number in range(4):
        for run_id in run_ids:
            store_step(instance, run_id, str(number), now + number)
    cursor = Cursor()
    reader = RunLogs(instance, cursor)
    delivered(reader)
    reader.retry([EventId(run_ids[0], 3)])
    assert reader.has_news()
    events = delivered(reader)
    assert [event.id for event in events] == [EventId(run_ids[0], 3), EventId(run_ids[0], 4)]
    assert all(event.is_again for event in events)
    assert set(reader.forgets()) == {run_ids[0]}
    assert delivered(reader) == []


def test_a_parked_event_of_a_run_that_ended_long_ago_is_read_once_more_and_nothing_else(
    instance: dg.DagsterInstance, clock: SimpleNamespace
) -> None:
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    clock.seconds = LATER
    cursor = Cursor()
    reader = RunLogs(instance, cursor)
    ids = [event.id for event in delivered(reader)]
    for _ in range(2):
        delivered(reader)
    assert cursor.runs == {}
    reader.retry([ids[1]])
    assert [event.id for event in delivered(reader)] == ids[1:]
    assert runs(delivered(reader)) == set()
    assert run_id not in cursor.runs


def test_a_retry_in_another_process_reads_nothing_twice(instance: dg.DagsterInstance) -> None:
    now = time.time()
    run_id = begin_run(instance)
    for number in range(4):
        store_step(instance, run_id, str(number), now + number)
    cursor = Cursor()
    read(instance, cursor)
    store_step(instance, run_id, "new", now + 9)
    reader = RunLogs(instance, again(cursor))
    reader.retry([EventId(run_id, 3)])
    assert [event.id.storage_id for event in delivered(reader)] == [3, 4, 5]
