"""Reading the one log of all runs: everything once and in order, also what becomes visible late."""

import sqlite3
import time
from collections.abc import Collection, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, EventLogRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from bare_storages import one_file
from log_entries import log_line, materialization, step_event
from openlineage_dagster_core.event_log import whole_log
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import (
    CLOCKS_DIFFER_SECONDS,
    LATE_SECONDS,
    DoneEvent,
)
from openlineage_dagster_core.event_log.run_log import PUBLIC_PAGE
from openlineage_dagster_core.event_log.stored_event import EventId, Page, StoredEvent
from openlineage_dagster_core.event_log.whole_log import WholeLog
from openlineage_dagster_core.families import FOLLOWED

LONG_AGO = 1_700_000_000.0
NOW = 1_800_000_000.0


class Log:
    """A log whose rows become visible when the test says so, and which counts its queries.

    A real database cannot be told when a transaction becomes visible.
    """

    def __init__(self) -> None:
        self.page = 2000
        self.entries: dict[int, dg.EventLogEntry] = {}
        self.queries: list[str] = []
        self.now = NOW

    @property
    def event_log_storage(self) -> "Log":
        return self

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - NOW + 1000.0

    def _followed(self, after: int, until: int | None) -> list[int]:
        return [
            each
            for each in sorted(self.entries)
            if each > after
            and (until is None or each <= until)
            and self.entries[each].dagster_event is not None
        ]

    def get_maximum_record_id(self) -> int | None:
        self.queries.append("maximum")
        return max(self.entries, default=None)

    def rows(self, after: int, *, until: int | None = None) -> Page:
        self.queries.append("rows")
        followed = self._followed(after, until)
        events = [
            StoredEvent(
                EventId(self.entries[each].run_id, each),
                decoded=self.entries[each],
                timestamp=self.entries[each].timestamp,
            )
            for each in followed[: self.page]
        ]
        return Page(events, is_last=len(followed) < self.page)

    def ids(self, after: int, until: int) -> list[int]:
        self.queries.append("ids")
        return self._followed(after, until)

    def first_ids(self, run_ids: Collection[str]) -> dict[str, int]:
        self.queries.append("first ids")
        found: dict[str, int] = {}
        for each in self._followed(0, None):
            if self.entries[each].run_id in run_ids:
                found.setdefault(self.entries[each].run_id, each)
        return found

    def get_run_records(self, *_: object, **__: object) -> list[dg.RunRecord]:
        return []

    def get_event_records(
        self, filters: dg.EventRecordsFilter, limit: int, ascending: bool
    ) -> list[EventLogRecord]:
        assert ascending
        self.queries.append("records")
        return [
            EventLogRecord(each, found)
            for each, found in sorted(self.entries.items())
            if found.dagster_event
            and found.dagster_event_type == filters.event_type
            and each > (filters.after_cursor or 0)
            and found.timestamp > (filters.after_timestamp or 0)
        ][:limit]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return patched_in(monkeypatch, Log())


def patched_in(patched: pytest.MonkeyPatch, log: Log) -> Log:
    patched.setattr(whole_log, "time", SimpleNamespace(time=log.time, monotonic=log.monotonic))
    patched.setattr(whole_log.EventTables, "of", staticmethod(lambda storage: storage))
    return log


def opened(log: Any, cursor: Cursor | None = None) -> WholeLog:
    return WholeLog(log, cursor if cursor is not None else Cursor())


def read(reader: WholeLog) -> list[StoredEvent]:
    return [event for batch in reader.read() for event in batch]


def settle(reader: WholeLog, events: Collection[StoredEvent]) -> None:
    reader.settle(DoneEvent(event.id, event.timestamp, ends_run=False) for event in events)


def delivered(reader: WholeLog) -> list[int]:
    """Read and deliver everything that is new; return the storage ids."""
    events = read(reader)
    settle(reader, events)
    return [event.id.storage_id for event in events]


def again(cursor: Cursor) -> Cursor:
    """Give another process the cursor's text."""
    return Cursor.from_text(cursor.to_text(60_000))


def test_what_is_new_is_read_once(log: Log) -> None:
    reader = opened(log)
    log.entries = {each: step_event("a", LONG_AGO + each) for each in (1, 2, 5)}
    assert delivered(reader) == [1, 2, 5]
    assert delivered(reader) == []
    log.entries[9] = step_event("a", NOW)
    assert delivered(reader) == [9]
    assert delivered(reader) == []


def test_another_process_goes_on_where_the_cursor_says(log: Log) -> None:
    cursor = Cursor()
    log.entries = {each: step_event("a", NOW) for each in (1, 2, 5)}
    assert delivered(opened(log, cursor)) == [1, 2, 5]
    log.entries[6] = step_event("a", NOW)
    assert delivered(opened(log, again(cursor))) == [6]


def test_what_is_not_delivered_is_read_again_by_another_process_and_nothing_else(log: Log) -> None:
    cursor = Cursor()
    log.entries = {each: step_event(str(each), NOW) for each in range(1, 11)}
    reader = opened(log, cursor)
    settle(reader, [event for event in read(reader) if event.id.storage_id not in (5, 6, 9)])
    assert (cursor.behind, cursor.behind_since) == (3, NOW)
    assert read(reader) == [], "this process has them already"
    assert delivered(opened(log, again(cursor))) == [5, 6, 9]


def test_the_pages_follow_one_another(log: Log) -> None:
    log.page = 3
    log.entries = {each: step_event("a", NOW) for each in range(1, 100)}
    assert delivered(opened(log)) == list(range(1, 100))


def test_an_interrupted_pass_goes_on_after_the_last_batch(log: Log) -> None:
    log.page = 10
    log.entries = {each: step_event("a", NOW) for each in range(1, 100)}
    reader = opened(log)
    first = next(iter(reader.read()))
    assert [event.id.storage_id for event in first] == list(range(1, 11))
    assert delivered(reader)[0] == 11


def wait_for_a_look(log: Log) -> None:
    log.now += 60.0


def test_a_late_event_is_read_and_after_it_what_its_run_and_its_asset_have(log: Log) -> None:
    reader = opened(log)
    log.entries = {
        3: step_event("late", NOW),
        4: step_event("other", NOW),
        5: materialization("other", NOW, "orders", []),
        6: materialization("other", NOW, "stock", []),
        7: step_event("late", NOW),
    }
    assert delivered(reader) == [3, 4, 5, 6, 7]
    log.entries[2] = materialization("late", NOW, "orders", [])
    wait_for_a_look(log)
    events = read(reader)
    assert [event.id.storage_id for event in events] == [2, 3, 5, 7]
    assert all(event.is_again for event in events)
    assert set(reader.forgets()) == {"late", "other"}
    assert list(reader.forgets()) == []
    settle(reader, events)
    wait_for_a_look(log)
    assert delivered(reader) == []


def test_a_late_event_from_outside_any_run_is_followed_by_its_asset_alone(log: Log) -> None:
    reader = opened(log)
    log.entries = {
        2: materialization("", NOW, "stock"),
        3: materialization("", NOW, "orders"),
    }
    delivered(reader)
    log.entries[1] = materialization("", NOW, "orders")
    wait_for_a_look(log)
    assert delivered(reader) == [1, 3]
    assert list(reader.forgets()) == []


def test_an_interrupted_look_back_leaves_nothing_out(log: Log) -> None:
    """What depends on a late event is sent again however many passes that takes."""
    log.page = 3
    reader = opened(log)
    log.entries = {each: step_event("late", NOW) for each in range(2, 12)}
    delivered(reader)
    log.entries[1] = step_event("late", NOW)
    log.entries[12] = step_event("new", NOW)
    wait_for_a_look(log)
    ids = []
    for _ in range(20):
        batch = next(iter(reader.read()), None)
        if batch is None:
            break
        settle(reader, batch)
        ids += [event.id.storage_id for event in batch]
    assert ids == list(range(1, 13))


def test_a_database_that_fails_during_a_look_back_leaves_nothing_out(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = opened(log)
    log.entries = {each: step_event("late", NOW) for each in range(2, 12)}
    delivered(reader)
    log.entries[1] = step_event("late", NOW)
    wait_for_a_look(log)
    rows = log.rows
    monkeypatch.setattr(log, "rows", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read(reader)
    monkeypatch.setattr(log, "rows", rows)
    assert delivered(reader) == list(range(1, 12))


def test_parked_events_are_read_once_more_with_what_depends_on_them(log: Log) -> None:
    cursor = Cursor()
    log.entries = {each: step_event("ab"[each % 2], LONG_AGO) for each in range(1, 9)}
    delivered(opened(log, cursor))
    reader = opened(log, again(cursor))
    log.entries[9] = step_event("a", NOW)
    reader.retry([EventId("b", 3)])
    assert reader.has_news()
    events = read(reader)
    assert [event.id.storage_id for event in events] == [3, 5, 7, 9]
    assert [event.is_again for event in events] == [True, True, True, False]
    settle(reader, events)
    assert delivered(reader) == []


def test_low_moves_when_everything_below_has_settled(log: Log) -> None:
    cursor = Cursor()
    reader = opened(log, cursor)
    log.entries = {each: step_event("a", NOW) for each in range(1, 10)}
    delivered(reader)
    assert (cursor.low, len(cursor.recent)) == (0, 9)
    for _ in range(int(LATE_SECONDS / 30) + 4):
        log.now += 30.0
        delivered(reader)
    assert (cursor.low, len(cursor.recent)) == (9, 0)


def test_low_moves_although_no_process_lives_long(log: Log) -> None:
    """A deliverer ends two minutes after the last event, and the next one begins with its text."""
    cursor = Cursor()
    number = 0
    for _ in range(12):
        cursor = again(cursor)
        reader = opened(log, cursor)
        for _ in range(10):
            number += 1
            log.entries[number] = step_event("a", log.now)
            delivered(reader)
            log.now += 12.0
        log.now += 240.0
    assert number - cursor.low < 70, "ids are not kept for ever"


def test_where_the_last_look_was_long_ago_nothing_has_settled(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer for a quarter of an hour says nothing of late events."""
    cursor = Cursor()
    reader = opened(log, cursor)
    log.entries = {each: step_event("a", NOW) for each in (1, 3)}
    delivered(reader)
    log.entries[2] = step_event("late", NOW)
    log.now += LATE_SECONDS + 60.0
    settle(reader, [])
    assert cursor.low < 2
    assert delivered(reader) == [2]


def test_events_that_happened_long_ago_are_settled_at_once(log: Log) -> None:
    cursor = Cursor()
    reader = opened(log, cursor)
    log.entries = {each: step_event("a", LONG_AGO) for each in range(1, 10)}
    delivered(reader)
    assert (cursor.low, len(cursor.recent)) == (9, 0)


def test_a_clock_that_is_behind_hides_nothing_that_becomes_visible_late(log: Log) -> None:
    reader = opened(log)
    log.entries = {5: step_event("behind", NOW - CLOCKS_DIFFER_SECONDS)}
    delivered(reader)
    log.entries[4] = step_event("late", NOW)
    wait_for_a_look(log)
    assert delivered(reader) == [4]


def test_what_was_read_before_the_beginning_is_not_taken_for_settled(log: Log) -> None:
    """A text that was cut short has no ids above `low`: what is above is read again."""
    cursor = Cursor(low=3, seen=3, marks=[(9, NOW - 10 * LATE_SECONDS)])
    log.entries = {each: step_event("a", NOW) for each in range(1, 10)}
    reader = opened(log, cursor)
    wait_for_a_look(log)
    settle(reader, [])
    assert cursor.low == 3
    assert delivered(reader) == [4, 5, 6, 7, 8, 9]


def test_a_quiet_log_is_asked_one_question_and_now_and_then_for_late_events(log: Log) -> None:
    reader = opened(log)
    log.entries = {1: step_event("a", NOW)}
    delivered(reader)
    log.now += 10.0
    delivered(reader)
    log.queries.clear()
    for _ in range(4):
        log.now += 1.0
        delivered(reader)
    assert log.queries == ["rows"] * 4
    for _ in range(40):
        log.now += 30.0
        delivered(reader)
    log.queries.clear()
    for _ in range(100):
        log.now += 30.0
        delivered(reader)
    assert log.queries == ["rows"] * 100, "all has settled"


def test_lines_of_users_are_not_read(log: Log) -> None:
    reader = opened(log)
    log.entries = {each: log_line("a", NOW) for each in range(1, 50)}
    assert delivered(reader) == []


def test_a_look_at_the_highest_id_tells_whether_there_is_news(log: Log) -> None:
    reader = opened(log)
    log.entries = {1: step_event("a", LONG_AGO)}
    assert reader.has_news()
    delivered(reader)
    log.queries.clear()
    assert not reader.has_news()
    assert log.queries == ["maximum"]


def run_row(run_id: str, created: float) -> Any:
    return SimpleNamespace(
        dagster_run=SimpleNamespace(run_id=run_id),
        create_timestamp=datetime.fromtimestamp(created, timezone.utc),
    )


def test_of_which_runs_every_event_comes_is_told_by_their_first_one(log: Log) -> None:
    for each, run in ((8, "old"), (11, "old"), (12, "new"), (13, "newest")):
        log.entries[each] = step_event(run, NOW)
    rows = [run_row("old", NOW - 30), run_row("new", NOW - 30)]
    reader = opened(log, Cursor(low=10, seen=10))
    assert set(reader.has_all_of(rows)) == {"new"}
    assert log.queries.count("first ids") == 1
    newest = [run_row("newest", NOW + 2 * CLOCKS_DIFFER_SECONDS)]
    assert set(reader.has_all_of(newest)) == {"newest"}
    assert log.queries.count("first ids") == 1, "its time tells"
    assert set(opened(log).has_all_of(rows)) == {"old", "new"}, "read from the beginning"


@pytest.mark.parametrize(
    ("start", "expected"), [(LONG_AGO + 4.5, [5, 6]), (LONG_AGO + 99, []), (float("inf"), [])]
)
def test_what_happened_before_the_start_is_left_out(
    log: Log, start: float, expected: list[int]
) -> None:
    log.entries = {each: step_event("a", LONG_AGO + each) for each in range(1, 7)}
    reader = opened(log)
    reader.begin(start)
    assert delivered(reader) == expected


def test_a_storage_id_of_an_earlier_version_is_where_it_begins(log: Log) -> None:
    log.entries = {each: step_event("a", LONG_AGO + each) for each in range(1, 7)}
    cursor = Cursor(after_storage_id=4)
    reader = opened(log, cursor)
    reader.begin(None)
    assert delivered(reader) == [5, 6]
    assert cursor.after_storage_id == 0


@pytest.mark.parametrize(
    "types",
    [
        [DagsterEventType.STEP_START],
        [DagsterEventType.STEP_START, DagsterEventType.STEP_SKIPPED, DagsterEventType.RUN_START],
    ],
)
def test_where_one_type_can_be_asked_for_at_a_time_the_order_is_the_same(
    log: Log, monkeypatch: pytest.MonkeyPatch, types: list[DagsterEventType]
) -> None:
    monkeypatch.setattr(whole_log, "PUBLIC_PAGE", 3)
    monkeypatch.setattr(whole_log.EventTables, "of", staticmethod(lambda storage: None))
    log.entries = {
        each: step_event("a", NOW, event_type=types[each * each % 7 % len(types)])
        for each in range(1, 60)
    }
    reader = opened(log)
    assert delivered(reader) == list(range(1, 60))
    log.entries[60] = step_event("a", NOW)
    del log.entries[7]
    wait_for_a_look(log)
    assert delivered(reader) == [60]


def test_where_one_type_can_be_asked_for_at_a_time_few_questions_are_asked(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_log.EventTables, "of", staticmethod(lambda storage: None))
    assert len(FOLLOWED) == 16
    log.entries = {each: step_event("a", NOW) for each in range(1, 1001)}
    reader = opened(log)
    assert len(delivered(reader)) == 1000
    assert log.queries.count("records") == 15 + 1000 // PUBLIC_PAGE, "each page of a type once"
    for number in (1001, 1021):
        log.entries[number] = step_event("a", NOW)
        wait_for_a_look(log)
        log.queries.clear()
        assert reader.has_news()
        assert delivered(reader) == [number]
        # Each look lists what is above `low`.
        assert log.queries.count("records") == 16 + 1000 // PUBLIC_PAGE
        log.entries[number + 10] = log_line("a", NOW)
        delivered(reader)
        log.queries.clear()
        assert not reader.has_news()
        assert log.queries == ["maximum"]


@settings(max_examples=60)
@given(data=st.data(), by_type=st.booleans())
def test_whenever_rows_become_visible_all_are_delivered_in_order(  # noqa: C901
    data: st.DataObject, by_type: bool
) -> None:
    """Writers take up to ten minutes to commit; passes and processes come and end at any time.

    `arrived` is what the backend got. Of each run it must have every event, and the last that it
    got of a run must be the last in the log: never an older state over a newer one.
    """
    log = Log()
    waiting: dict[int, tuple[float, dg.EventLogEntry]] = {}
    arrived: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        patched_in(patched, log)
        log.page = 4
        patched.setattr(whole_log, "PUBLIC_PAGE", 4)
        if by_type:
            patched.setattr(whole_log.EventTables, "of", staticmethod(lambda storage: None))
        cursor = Cursor()
        reader = opened(log, cursor)
        queue: list[StoredEvent] = []

        def deliver_some(count: int) -> None:
            arrived.extend(event.id.storage_id for event in queue[:count])
            settle(reader, queue[:count])
            del queue[:count]

        def check_cursor() -> None:
            visible = {each for each in log.entries if each <= cursor.low}
            assert visible <= set(arrived), "low is past what was not delivered"

        for number in range(1, data.draw(st.integers(1, 40))):
            log.now += data.draw(st.floats(0.1, 90.0))
            # A machine's clock may be wrong.
            at = log.now - data.draw(st.sampled_from([0.0, 0.0, CLOCKS_DIFFER_SECONDS]))
            kind = (DagsterEventType.STEP_START, DagsterEventType.STEP_SUCCESS)[number % 5 > 2]
            waiting[number] = (log.now, step_event(str(number % 3), at, event_type=kind))
            for each in list(waiting):
                since, what = waiting[each]
                if log.now - since > 510 or data.draw(st.booleans()):
                    log.entries[each] = what
                    del waiting[each]
            action = data.draw(st.sampled_from(["pass", "pass", "stopped", "killed", "nothing"]))
            if action == "pass":
                queue.extend(read(reader))
                deliver_some(data.draw(st.integers(0, len(queue))))
            elif action == "stopped":
                batch = next(iter(reader.read()), ())
                queue.extend(batch)
                deliver_some(data.draw(st.integers(0, len(queue))))
            elif action == "killed":
                cursor = again(cursor)
                reader, queue = opened(log, cursor), []
            check_cursor()
        for each, (_, what) in waiting.items():
            log.entries[each] = what
        for _ in range(4):
            log.now += 61.0
            queue.extend(read(reader))
            deliver_some(len(queue))
            check_cursor()
        for _ in range(45):
            log.now += 61.0
            queue.extend(read(reader))
            deliver_some(len(queue))
    assert set(arrived) == set(log.entries)
    assert cursor.low == max(log.entries, default=0)
    assert not cursor.recent
    for run_id in "012":
        of_run = [each for each in log.entries if log.entries[each].run_id == run_id]
        order = [each for each in arrived if each in of_run]
        last_places = [len(order) - order[::-1].index(each) for each in sorted(of_run)]
        assert last_places == sorted(last_places), "in order in the end"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = one_file(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made


def test_a_real_log_of_all_runs_is_read_in_few_queries(instance: dg.DagsterInstance) -> None:
    entries = [step_event(str(number % 3), LONG_AGO + number) for number in range(600)]
    instance.event_log_storage.store_event_batch(entries)
    reader = opened(instance)
    events = read(reader)
    assert [event.entry() for event in events] == entries
    assert [event.timestamp for event in events] == [entry.timestamp for entry in entries]
    settle(reader, events)
    assert read(reader) == []
    assert reader.cursor.low == events[-1].id.storage_id


@pytest.mark.parametrize("broken", [1, 5, 10])
def test_an_event_that_dagster_cannot_read_hides_no_other(
    instance: dg.DagsterInstance, tmp_path: Path, broken: int
) -> None:
    for number in range(10):
        instance.event_log_storage.store_event(step_event(str(number % 3), time.time()))
    with sqlite3.connect(tmp_path / "log" / "event_log.db") as connection:
        connection.execute("UPDATE event_logs SET event = 'x' WHERE id = ?", (broken,))
    connection.close()
    assert delivered(opened(instance)) == list(range(1, 11))


def test_a_beginning_that_fails_is_found_at_the_next_attempt(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        instance.event_log_storage.store_event(step_event(str(number), time.time()))
    reader = WholeLog(instance, Cursor(after_storage_id=3))
    with monkeypatch.context() as patched:
        patched.setattr(type(instance), "get_run_records", raises_connection_error)
        with pytest.raises(ConnectionError):
            reader.begin(None)
    assert reader.cursor.after_storage_id == 3
    reader.begin(None)
    assert [event.id.storage_id for event in read(reader)] == [4, 5]


def raises_connection_error(*_: object, **__: object) -> None:
    raise ConnectionError
