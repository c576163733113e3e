"""Reading the one log of all runs: what is settled, what is late, what costs nothing."""

import random
import sqlite3
import time
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import EventLogRecord
from dagster._core.events import DagsterEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from bare_storages import one_file
from openlineage_dagster_core.ordering import RUNLESS
from openlineage_dagster_sensor import whole_log
from openlineage_dagster_sensor.cursor import Cursor, HeldRun
from openlineage_dagster_sensor.reading import (
    CLOCKS_DIFFER_SECONDS,
    HELD_PAGE,
    SETTLED_SECONDS,
    DoneEvent,
)
from openlineage_dagster_sensor.whole_log import WholeLog

LONG_AGO = 1_700_000_000.0


def entry(run_id: str, at: float, kind: str = "STEP_START") -> dg.EventLogEntry:
    event = DagsterEvent(event_type_value=kind, job_name="j", step_key="s") if kind else None
    return dg.EventLogEntry(None, 20, "a line", run_id, at, dagster_event=event)


class Instance:
    """An instance whose log shows what it is told to, and counts how often it is asked.

    It is a mock, because a real database cannot be told when a transaction becomes visible.
    """

    def __init__(self) -> None:
        self.entries: dict[int, dg.EventLogEntry] = {}
        self.questions = 0
        self.only_one_type = False

    @property
    def event_log_storage(self) -> "Instance":
        return self

    def get_maximum_record_id(self) -> int | None:
        self.questions += 1
        return max(self.entries, default=None)

    def get_logs_for_all_runs_by_log_id(
        self, after_cursor: int, dagster_event_type: Any, limit: int
    ) -> dict[int, dg.EventLogEntry]:
        if self.only_one_type:
            raise NotImplementedError
        self.questions += 1
        ids = [
            each
            for each in sorted(self.entries)
            if each > after_cursor
            and self.entries[each].dagster_event
            and self.entries[each].dagster_event_type in dagster_event_type
        ]
        return {each: self.entries[each] for each in ids[:limit]}

    def get_event_records(
        self, filters: dg.EventRecordsFilter, limit: int, ascending: bool
    ) -> list[EventLogRecord]:
        assert ascending
        self.questions += 1
        return [
            EventLogRecord(each, found)
            for each, found in sorted(self.entries.items())
            if found.dagster_event
            and found.dagster_event_type == filters.event_type
            and each > (filters.after_cursor or 0)
            and found.timestamp > (filters.after_timestamp or 0)
        ][:limit]

    def get_records_for_run(
        self, run_id: str, cursor: str | None = None, *, of_type: Any, limit: int
    ) -> Any:
        from dagster._core.event_api import EventLogCursor

        self.questions += 1
        after = EventLogCursor.parse(cursor).storage_id() if cursor else 0
        records = [
            EventLogRecord(each, found)
            for each, found in sorted(self.entries.items())
            if found.run_id == run_id and each > after
        ]
        return SimpleNamespace(
            records=records[:limit], has_more=len(records) > limit, cursor=cursor
        )


@pytest.fixture
def instance() -> Instance:
    return Instance()


LATER = 2 * SETTLED_SECONDS
"""When everything has settled, in seconds from now."""


def begun(instance: Any, cursor: Cursor, after: float = 0.0) -> WholeLog:
    """Begin a tick, some seconds after now."""
    log = WholeLog(instance, cursor)
    log._began_at += after
    return log


def read(
    instance: Any, cursor: Cursor, after: float = 0.0, *, only: range | None = None
) -> list[int]:
    """Do a tick: read, deal with some or all, settle; the ids that were given out."""
    log = begun(instance, cursor, after)
    if log.is_idle():
        return []
    records = [record for page in log.pages() for record in page]
    done = [record for record in records if only is None or record.storage_id in only]
    log.settle(map(DoneEvent.of, done))
    # As Dagster keeps it.
    kept = Cursor.from_text(cursor.to_text())
    cursor.__dict__.update(kept.__dict__)
    return [record.storage_id for record in records]


def test_what_is_new_is_read_once(instance: Instance) -> None:
    cursor = Cursor()
    instance.entries = {each: entry("a", LONG_AGO + each) for each in (1, 2, 5)}
    assert read(instance, cursor) == [1, 2, 5]
    assert read(instance, cursor) == []
    instance.entries[9] = entry("a", time.time())
    assert read(instance, cursor) == [9]
    assert read(instance, cursor) == []


def test_what_becomes_visible_late_is_read_when_it_has_settled(instance: Instance) -> None:
    cursor, now = Cursor(), time.time()
    instance.entries = {3: entry("a", now), 5: entry("b", now)}
    assert read(instance, cursor) == [3, 5]
    instance.entries[4] = entry("c", now)
    assert read(instance, cursor) == []
    assert read(instance, cursor, LATER) == [4]
    assert cursor.low == 5
    assert read(instance, cursor, 2 * LATER) == []


def test_what_a_run_stores_after_an_event_that_appears_late_is_not_sent_before_it(
    instance: Instance,
) -> None:
    cursor, now = Cursor(), time.time()
    instance.entries = {1: entry("a", now), 3: entry("b", now)}
    assert read(instance, cursor) == [1, 3]
    instance.entries |= {2: entry("late", now), 4: entry("late", now), 5: entry("late", now)}
    assert read(instance, cursor) == [2, 4, 5]


def test_what_is_stored_while_a_tick_reads_waits_for_the_next(instance: Instance) -> None:
    """Of its run something may have appeared behind the place that the tick has come to."""
    cursor, now = Cursor(), time.time()
    instance.entries = {2: entry("a", now)}
    log = begun(instance, cursor)
    log.is_idle()
    instance.entries |= {1: entry("late", now), 3: entry("late", now)}
    assert [record.storage_id for page in log.pages() for record in page] == [1, 2]


def test_what_was_given_out_is_not_given_again_and_idle_ticks_stay_cheap(
    instance: Instance,
) -> None:
    cursor, now = Cursor(), time.time()
    instance.entries = {each: entry("a", now) for each in range(1, 3500)}
    read(instance, cursor)
    instance.entries[4000] = entry("a", now)
    assert read(instance, cursor) == [4000]
    instance.questions = 0
    assert read(instance, cursor) == []
    assert instance.questions == 1
    assert read(instance, cursor, LATER) == [], "once more, when it has settled"
    assert (cursor.low, cursor.recent) == (4000, set())


def test_what_is_not_done_is_read_again_and_nothing_else(instance: Instance) -> None:
    cursor = Cursor()
    instance.entries = {each: entry(str(each), LONG_AGO + each) for each in range(1, 11)}
    read(instance, cursor, only=range(1, 5))
    assert cursor.low == 4
    assert read(instance, cursor, only=range(7, 9)) == [5, 6, 7, 8, 9, 10]
    assert read(instance, cursor) == [5, 6, 9, 10]


def test_what_is_old_is_passed_also_where_lines_follow_it(instance: Instance) -> None:
    cursor = Cursor()
    instance.entries = {1: entry("a", LONG_AGO), 2: entry("a", LONG_AGO, kind="")}
    read(instance, cursor)
    instance.entries |= {3: entry("b", LONG_AGO), 4: entry("b", LONG_AGO, kind="")}
    assert read(instance, cursor) == [3]
    assert (cursor.low, cursor.recent) == (3, set())


def test_a_log_where_nothing_happens_is_asked_one_question(instance: Instance) -> None:
    cursor = Cursor()
    instance.entries = {1: entry("a", LONG_AGO), 2: entry("a", LONG_AGO, kind="")}
    read(instance, cursor)
    read(instance, cursor, LATER)
    instance.questions = 0
    assert read(instance, cursor) == []
    assert instance.questions == 1


def test_a_log_of_lines_only_is_not_read_again_and_again(instance: Instance) -> None:
    cursor = Cursor()
    instance.entries = {each: entry("a", LONG_AGO, kind="") for each in range(1, 50)}
    read(instance, cursor)
    assert [storage_id for storage_id, _ in cursor.marks] == [49]
    read(instance, cursor, LATER)
    assert (cursor.low, cursor.marks) == (49, [])


def test_a_held_run_is_read_from_where_it_waits_and_the_others_go_on(instance: Instance) -> None:
    cursor = Cursor()
    instance.entries = {
        each: entry("held" if each % 2 else "other", LONG_AGO + each) for each in range(1, 9)
    }
    log = begun(instance, cursor)
    log.is_idle()
    records = [record for page in log.pages() for record in page]
    cursor.held = {"held": HeldRun(3, 1)}
    done = [each for each in records if each.run_id == "other" or each.storage_id < 3]
    log.settle(map(DoneEvent.of, done))
    assert cursor.low == 8
    instance.entries[9] = entry("held", LONG_AGO + 9)
    assert read(instance, cursor) == [3, 5, 7, 9]


def test_a_held_run_that_is_not_sent_to_its_end_in_a_tick_keeps_its_place(
    instance: Instance,
) -> None:
    cursor = Cursor(low=100, seen=100, held={"held": HeldRun(3, 1)})
    instance.entries = {each: entry("held", LONG_AGO + each) for each in range(1, 9)}
    instance.entries[101] = entry("other", LONG_AGO + 101)
    log = begun(instance, cursor)
    log.is_idle()
    records = [record for page in log.pages() for record in page]
    # As the tick does it: something of the run went, so it does not fail any more.
    cursor.held = {}
    log.settle(DoneEvent.of(each) for each in records if each.storage_id in (3, 4, 101))
    assert cursor.held == {"held": HeldRun(5)}
    assert read(instance, cursor) == [5, 6, 7, 8]


def test_what_of_a_held_run_becomes_visible_late_is_read(instance: Instance) -> None:
    cursor, now = Cursor(), time.time()
    instance.entries = {each: entry("held", now) for each in (2, 3, 5)}
    read(instance, cursor, only=range(2, 4))
    cursor.held = {"held": HeldRun(5, 1)}
    instance.entries[4] = entry("held", now)
    assert sorted(read(instance, cursor, LATER, only=range(0))) == [4, 5]
    assert cursor.low < 4
    assert sorted(read(instance, cursor, LATER)) == [4, 5]


def test_a_run_that_waits_leaves_room_for_the_others_however_long_it_is(
    instance: Instance,
) -> None:
    cursor, now = Cursor(held={"held": HeldRun(1, 1)}), time.time()
    instance.entries = {each: entry("held", now) for each in range(1, 3 * HELD_PAGE)}
    instance.entries[3 * HELD_PAGE] = entry("other", now)
    log = begun(instance, cursor)
    log.is_idle()
    given = [record for page in log.pages() for record in page]
    assert [record.storage_id for record in given] == [*range(1, HELD_PAGE + 1), 3 * HELD_PAGE]
    # It waits no more: all of it was sent, as far as it was given out.
    cursor.held = {}
    log.settle(map(DoneEvent.of, given))
    assert cursor.held == {"held": HeldRun(HELD_PAGE + 1)}
    for _ in range(2):
        log = begun(instance, cursor)
        log.is_idle()
        given = [record for page in log.pages() for record in page]
        assert {record.run_id for record in given} == {"held"}
        cursor.held = {}
        log.settle(map(DoneEvent.of, given))
    assert cursor.held == {}
    assert read(instance, cursor) == []


def test_a_run_that_waits_and_was_deleted_is_forgotten(instance: Instance) -> None:
    cursor = Cursor(held={"gone": HeldRun(1, 1)}, partly={("gone", 1): 3})
    instance.entries = {2: entry("other", time.time())}
    assert read(instance, cursor) == [2]
    assert (cursor.held, cursor.partly) == ({}, {})


def test_a_run_that_waits_and_cannot_be_read_holds_up_no_other(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setattr(instance, "get_records_for_run", fail)
    now = time.time()
    instance.entries = {1: entry("broken", now), 2: entry("other", now), 3: entry("broken", now)}
    cursor = Cursor(held={"broken": HeldRun(1, 1)})
    log = begun(instance, cursor)
    log.is_idle()
    given = [record for page in log.pages() for record in page]
    assert [record.storage_id for record in given] == [2]
    log.settle(map(DoneEvent.of, given))
    assert log.unreadable == 1
    assert cursor.held == {"broken": HeldRun(1, 1)}


@pytest.mark.parametrize("broken", [1, 5, 10])
def test_an_event_that_dagster_cannot_read_is_parked_once_and_hides_no_other(
    tmp_path: Path, broken: int
) -> None:
    overrides = one_file(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        for number in range(10):
            instance.event_log_storage.store_event(entry(str(number % 3), time.time()))
        with sqlite3.connect(tmp_path / "log" / "event_log.db") as connection:
            connection.execute("UPDATE event_logs SET event = 'x' WHERE id = ?", (broken,))
        connection.close()
        cursor = Cursor()
        assert read(instance, cursor) == [each for each in range(1, 11) if each != broken]
        for _ in range(2):
            assert read(instance, cursor, LATER) == []
        assert cursor.low == 10
        assert cursor.parked == 1
        assert cursor.last_parked[0][1] == broken


def test_what_waits_and_is_of_no_run_is_read_where_it_is(instance: Instance) -> None:
    cursor = Cursor(held={f"{RUNLESS}orders": HeldRun(2, 1)}, low=1, seen=1)
    instance.entries = {each: entry("", LONG_AGO + each) for each in (2, 3)}
    assert read(instance, cursor, only=range(3, 4)) == [2, 3]
    assert cursor.low == 1
    assert read(instance, cursor) == [2]


def test_a_machine_whose_clock_is_behind_hides_nothing_that_becomes_visible_late(
    instance: Instance,
) -> None:
    cursor, now = Cursor(), time.time()
    instance.entries = {5: entry("behind", now - CLOCKS_DIFFER_SECONDS / 2)}
    assert read(instance, cursor) == [5]
    instance.entries[4] = entry("late", now)
    assert read(instance, cursor, LATER) == [4]


def test_what_becomes_visible_while_a_long_tick_goes_on_is_read(instance: Instance) -> None:
    """Whether something has settled is measured from when the tick began, not when it ended."""
    now = time.time()
    instance.entries = {9: entry("a", now)}
    cursor = Cursor()
    read(instance, cursor)
    log = begun(instance, cursor, SETTLED_SECONDS - 10)
    log.is_idle()
    log.settle([DoneEvent.of(record) for page in log.pages() for record in page])
    assert cursor.low < 9


def test_a_mark_is_passed_once_it_is_settled_and_no_later_one(instance: Instance) -> None:
    now = time.time()
    instance.entries = {each: entry("a", now) for each in (3, 5, 9)}
    marks = [(3, now - 90), (5, now - SETTLED_SECONDS - 1), (9, now - 30)]
    cursor = Cursor(seen=9, marks=marks, recent={3, 5, 9})
    assert read(instance, cursor) == []
    assert cursor.low == 5
    assert [storage_id for storage_id, _ in cursor.marks] == [9]
    assert cursor.recent == {9}


def test_a_mark_is_not_passed_while_something_before_it_waits(instance: Instance) -> None:
    now = time.time()
    instance.entries = {each: entry("a", now) for each in (3, 5)}
    cursor = Cursor(seen=5, marks=[(5, now - 2 * SETTLED_SECONDS)], recent={5})
    assert read(instance, cursor, only=range(0)) == [3]
    assert cursor.low < 3
    assert read(instance, cursor) == [3]
    assert cursor.low == 5


def test_marks_are_few_however_often_it_ticks(instance: Instance) -> None:
    cursor, now = Cursor(), time.time()
    for each in range(1, 100):
        instance.entries[each] = entry("a", now)
        assert read(instance, cursor) == [each]
    assert len(cursor.marks) == whole_log.MARKS
    assert cursor.marks[-1][0] == 99
    read(instance, cursor, LATER)
    assert (cursor.low, cursor.marks) == (99, [])


def test_what_is_new_is_given_out_once_although_some_before_it_is_not_done(
    instance: Instance,
) -> None:
    cursor, now = Cursor(), time.time()
    instance.entries = {each: entry(str(each), now) for each in (1, 2, 3)}
    read(instance, cursor, only=range(2, 4))
    assert (cursor.seen, cursor.recent) == (0, {2, 3})
    assert read(instance, cursor) == [1]
    assert cursor.seen == 3


def test_late_events_count_for_the_time_up_to_which_runs_are_known(instance: Instance) -> None:
    now = time.time()
    cursor = Cursor(low=6, seen=8, at=now - 3600, recent={8}, marks=[(8, now - LATER)])
    instance.entries = {7: entry("late", now - 10), 8: entry("a", now - 3600)}
    assert read(instance, cursor) == [7]
    assert cursor.at == now - 10


def run_row(run_id: str, created: float) -> Any:
    return SimpleNamespace(
        dagster_run=SimpleNamespace(run_id=run_id),
        create_timestamp=datetime.fromtimestamp(created, timezone.utc),
    )


def test_a_run_is_known_to_be_new_by_its_first_event_where_its_time_does_not_tell(
    instance: Instance,
) -> None:
    now = time.time()
    events = ((8, "old"), (11, "old"), (12, "new"), (13, "ahead"))
    instance.entries = {each: entry(run, now) for each, run in events}
    log = begun(instance, Cursor(low=5, seen=10, at=now - 60))
    assert not log.has_all_of(run_row("old", now - 30))
    assert log.has_all_of(run_row("new", now - 30))
    instance.questions = 0
    assert log.has_all_of(run_row("newer", now + 2 * CLOCKS_DIFFER_SECONDS))
    assert instance.questions == 0
    log = begun(instance, Cursor(low=5, seen=10, at=now - 60, recent={13}))
    assert not log.has_all_of(run_row("ahead", now + 2 * CLOCKS_DIFFER_SECONDS))


@pytest.mark.parametrize(
    "kinds", [["STEP_START"], ["STEP_START", "STEP_SKIPPED", "PIPELINE_START"]]
)
def test_where_one_type_can_be_asked_for_at_a_time_the_order_is_the_same(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, kinds: list[str]
) -> None:
    monkeypatch.setattr(whole_log, "PAGE", 3)
    chance = random.Random(1)
    instance.only_one_type = True
    instance.entries = {
        each: entry(str(each % 3), LONG_AGO + each, kind=chance.choice(kinds))
        for each in range(1, 60)
    }
    assert read(instance, Cursor()) == list(range(1, 60))


@pytest.mark.parametrize("kind", ["PIPELINE_START", "STEP_START", "STEP_SKIPPED"])
@pytest.mark.parametrize(
    ("start", "expected"), [(LONG_AGO + 4.5, [5, 6]), (LONG_AGO + 99, []), (float("inf"), [])]
)
def test_what_happened_before_the_start_is_left_out(
    instance: Instance, start: float, expected: list[int], kind: str
) -> None:
    instance.entries = {each: entry("a", LONG_AGO + each, kind=kind) for each in range(1, 7)}
    cursor = Cursor()
    WholeLog(instance, cursor).begin(start)  # type: ignore[arg-type]
    assert read(instance, cursor) == expected


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_becomes_visible_when_everything_is_given_out_until_done(data: Any) -> None:
    """Writers take up to a minute to commit; ticks come and stop at any time."""
    instance, cursor, now = Instance(), Cursor(), 1.8e9
    waiting: dict[int, tuple[float, dg.EventLogEntry]] = {}
    done: set[int] = set()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(whole_log, "time", SimpleNamespace(time=lambda: now))
        for number in range(1, 40):
            now += data.draw(st.floats(0.1, 30.0))
            # A machine's clock may be wrong.
            at = now - data.draw(st.floats(0, CLOCKS_DIFFER_SECONDS))
            waiting[number] = (now, entry(str(number % 4), at))
            for each in list(waiting):
                since, what = waiting[each]
                if now - since > SETTLED_SECONDS - 31 or data.draw(st.booleans()):
                    instance.entries[each] = what
                    del waiting[each]
            log = WholeLog(instance, cursor)  # type: ignore[arg-type]
            if data.draw(st.booleans()) and not log.is_idle():
                records = [record for page in log.pages() for record in page]
                assert not done & {record.storage_id for record in records}
                count = data.draw(st.integers(0, len(records)))
                log.settle(map(DoneEvent.of, records[:count]))
                done |= {record.storage_id for record in records[:count]}
                assert all(each in done for each in instance.entries if each <= cursor.low)
        for each, (_, what) in waiting.items():
            instance.entries[each] = what
        for _ in range(2):
            now += LATER
            log = WholeLog(instance, cursor)  # type: ignore[arg-type]
            if not log.is_idle():
                records = [record for page in log.pages() for record in page]
                log.settle(map(DoneEvent.of, records))
                done |= {record.storage_id for record in records}
    assert done == set(instance.entries)


def test_a_real_log_of_all_runs(tmp_path: Path) -> None:
    overrides = one_file(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        for number in range(1500):
            instance.event_log_storage.store_event(entry(str(number % 3), LONG_AGO + number))
        cursor = Cursor()
        assert len(read(instance, cursor)) == 1500
        assert len(read(instance, cursor)) == 0
