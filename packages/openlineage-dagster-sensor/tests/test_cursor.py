"""What is written is read again, cursors of earlier versions are carried on, and it is small."""

import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_sensor import cursor as sensor_cursor
from openlineage_dagster_sensor.cursor import (
    HELD_AT_MOST,
    LONGEST_TEXT,
    PARKED_NAMED,
    Cursor,
    HeldRun,
)

RUN_IDS = st.text(min_size=1, max_size=36)
IDS = st.integers(1, 2**60)

cursors = st.builds(
    Cursor,
    low=IDS,
    seen=IDS,
    at=st.floats(0, 1e10),
    recent=st.just(set()),
    marks=st.lists(st.tuples(IDS, st.floats(0, 1e10)), max_size=8),
    runs=st.dictionaries(RUN_IDS, st.tuples(IDS, st.floats(0, 1e10))),
    updated_after=st.floats(0, 1e10),
    complete_after=st.floats(0, 1e10),
    sent_until=st.floats(0, 1e10),
    begins_at=st.floats(0, 1e10),
    after_storage_id=IDS,
    held=st.dictionaries(RUN_IDS, st.builds(HeldRun, IDS, st.integers(0, 20))),
    partly=st.dictionaries(st.tuples(RUN_IDS, IDS), st.integers(1, 10_000)),
    parked=st.integers(0, 10**9),
    last_parked=st.lists(st.tuples(RUN_IDS, IDS, st.text()), max_size=PARKED_NAMED),
    read=st.integers(0, 10**12),
    sent=st.integers(0, 10**12),
    behind=st.integers(0, 10**9),
    behind_seconds=st.integers(0, 10**8).map(lambda tenths: tenths / 10),
)


@given(cursor=cursors, above=st.sets(st.integers(1, 10**6)))
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor, above: set[int]) -> None:
    cursor.recent = {cursor.low + each for each in above}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sensor_cursor, "LONGEST_TEXT", 10**9)
        assert Cursor.from_text(cursor.to_text()) == cursor


def busy_cursor() -> Cursor:
    """Keep more than there ever is of everything that grows."""
    chance = random.Random(1)
    low = 10**12
    marks = [(low + number * 1000, 1.8e9 + 0.123456) for number in range(8)]
    cursor = Cursor(low, low + 10**6, 1.8e9 + 0.123456, marks=marks)
    cursor.recent = {low + each for each in chance.sample(range(10**6), 10**5)}
    cursor.runs = {str(uuid.uuid4()): (10**6, 1.8e9 + 0.123456) for _ in range(1000)}
    cursor.updated_after = cursor.complete_after = cursor.sent_until = 1.8e9 + 0.123456
    for number in range(100):
        cursor.hold(str(uuid.uuid4()), HeldRun(low + number, 9))
        cursor.park(str(uuid.uuid4()), low + number, "not converted: " + "x" * 1000)
    for number in range(100):
        cursor.partly[str(uuid.uuid4()), low + number] = 10_000
    return cursor


def test_whatever_happens_the_text_is_short() -> None:
    assert len(busy_cursor().to_text()) <= LONGEST_TEXT


def test_ids_that_are_far_apart_do_not_fill_the_memory() -> None:
    cursor = Cursor(low=1, recent={2, 2**62})
    assert Cursor.from_text(cursor.to_text()).recent == set()


def test_what_the_text_has_no_room_for_can_be_found_again() -> None:
    cursor = busy_cursor()
    cursor.updated_after += 3600
    read = Cursor.from_text(cursor.to_text())
    assert read.must_find_runs
    assert (read.seen, read.recent, read.marks) == (cursor.low, set(), [])
    assert read.updated_after == cursor.complete_after
    # What waits above `low` is sent again from there; how much of what was sent of it is no use.
    assert (read.low, read.partly) == (cursor.low, {})
    assert read.held == {
        run: held for run, held in cursor.held.items() if held.storage_id <= cursor.low
    }


def test_more_runs_than_can_be_kept_do_not_wait_apart_from_the_others() -> None:
    cursor = Cursor()
    for number in range(HELD_AT_MOST + 1):
        cursor.hold(f"run {number}", HeldRun(number))
    assert len(cursor.held) == HELD_AT_MOST
    cursor.hold("run 0", HeldRun(0, 5))
    assert cursor.held["run 0"].failures == 5


def test_a_new_cursor_is_small() -> None:
    assert len(Cursor().to_text()) < 20


def test_a_thousand_runs_under_way_take_no_more_than_four_kilobytes() -> None:
    """A busy minute of a thousand runs: ten thousand of their events among as many others."""
    chance = random.Random(1)
    low = 10**9
    cursor = Cursor(low, low + 20_000, 1.8e9, marks=[(low + 20_000, 1.8e9)])
    cursor.recent = {low + each for each in chance.sample(range(1, 20_000), 10_000)}
    text = cursor.to_text()
    assert len(text) <= 4096
    assert Cursor.from_text(text) == cursor, "all of it is there"


def test_the_last_parked_events_are_named_and_all_are_counted() -> None:
    cursor = Cursor()
    for number in range(20):
        cursor.park(str(uuid.uuid4()), number, "refused with 422")
    assert cursor.parked == 20
    assert [storage_id for _, storage_id, _ in cursor.last_parked] == [15, 16, 17, 18, 19]


@pytest.mark.parametrize(
    "text",
    [
        '{"last_storage_id": 42, "running_pipelines": {}}',
        '{"last_storage_id": 42, "running_pipelines": {"run": {"running_steps": {}}}}',
        '{"last_storage_id": 42}',
    ],
)
def test_a_cursor_of_an_earlier_version_begins_after_its_storage_id(text: str) -> None:
    cursor = Cursor.from_text(text, after_storage_id=7)
    assert cursor.after_storage_id == 42
    assert not cursor.is_new


def test_that_it_is_still_to_be_found_where_to_begin_is_not_forgotten() -> None:
    cursor = Cursor.from_text(None)
    assert Cursor.from_text(cursor.to_text()).is_new


def test_at_the_first_tick_the_option_says_where_to_begin() -> None:
    cursor = Cursor.from_text(None, after_storage_id=7)
    assert cursor.after_storage_id == 7
    assert cursor.is_new


@pytest.mark.parametrize(
    "text", ["[]", "nonsense", '{"a": 1}', json.dumps({"version": 2, "low": []})]
)
def test_a_text_that_is_no_cursor_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- json's own is one
        Cursor.from_text(text)
