"""The cursor reads back as it was written, reads what earlier versions wrote, and stays short."""

import json
import random
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.event_log.cursor import (
    PARKED_IN_SHORT,
    PARKED_KEPT,
    PARTLY_KEPT,
    REASON_CHARACTERS,
    Cursor,
    ParkedEvent,
)
from openlineage_dagster_core.event_log.stored_event import EventId
from openlineage_dagster_core.key_values import LONGEST_VALUE

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=50)
"""Lone surrogates and NUL included."""

RUN_IDS = st.text(max_size=36)
IDS = st.integers(1, 2**60)
TIMES = st.floats(0, 1e10).map(lambda seconds: round(seconds, 3))

parked_events = st.builds(ParkedEvent, RUN_IDS, IDS, ANY_TEXT, ANY_TEXT, TIMES)
cursors = st.builds(
    Cursor,
    low=IDS,
    seen=IDS,
    recent=st.just(set()),
    marks=st.lists(st.tuples(IDS, TIMES), max_size=25),
    runs=st.dictionaries(RUN_IDS, st.tuples(st.integers(-1, 2**60), TIMES)),
    updated_after=TIMES,
    complete_after=TIMES,
    sent_until=TIMES,
    must_find_runs=st.booleans(),
    begins_at=TIMES,
    after_storage_id=IDS,
    partly=st.dictionaries(st.builds(EventId, RUN_IDS, IDS), st.integers(1, 10_000), max_size=9),
    waiting=st.dictionaries(RUN_IDS, IDS, max_size=9),
    parked=st.integers(0, 10**9),
    last_parked=st.lists(parked_events, max_size=9),
    read=st.integers(0, 10**12),
    sent=st.integers(0, 10**12),
    behind=st.integers(0, 10**9),
    behind_since=TIMES,
    is_new=st.booleans(),
)


@given(cursor=cursors, above=st.sets(st.integers(1, 10**6)))
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor, above: set[int]) -> None:
    cursor.recent = {cursor.low + each for each in above}
    assert Cursor.from_text(cursor.to_text(10**9)) == cursor


def test_every_field_is_among_those_that_read_back() -> None:
    """A field that the strategy above does not vary would go untested."""
    drawn = {"low", "seen", "recent", "runs", "updated_after", "complete_after", "sent_until"}
    drawn |= {"must_find_runs", "begins_at", "after_storage_id", "partly", "parked", "waiting"}
    drawn |= {"marks", "last_parked", "read", "sent", "behind", "behind_since", "is_new"}
    assert drawn == set(Cursor.__dataclass_fields__)


def busy_cursor() -> Cursor:
    """Keep more than there ever is of everything that grows; nothing of it can be compressed."""
    chance = random.Random(1)
    low = 10**12
    cursor = Cursor(low, low + 10**6)
    cursor.recent = {low + each for each in chance.sample(range(1, 10**6), 10**5)}
    cursor.marks = [(low + number * 1000, 1.8e9 + 0.1) for number in range(25)]
    cursor.runs = {str(uuid.uuid4()): (10**6, 1.8e9 + 0.123456) for _ in range(1000)}
    cursor.updated_after = cursor.complete_after = cursor.sent_until = 1.8e9 + 0.123456
    for number in range(200):
        reason = "".join(chance.choices(string.printable + "é\ud800", k=1000))
        cursor.park(ParkedEvent(str(uuid.uuid4()), low + number, "RUN_START", reason, 1.8e9))
        cursor.partly[EventId(str(uuid.uuid4()), low + number)] = 10_000
        cursor.waiting[str(uuid.uuid4())] = low + number
    return cursor


@pytest.mark.parametrize("longest", [1000, 16_000, LONGEST_VALUE])
def test_whatever_it_holds_the_text_is_as_short_as_it_has_to_be(longest: int) -> None:
    cursor = busy_cursor()
    text = cursor.to_text(longest)
    assert len(text) <= longest
    assert Cursor.from_text(text).low == cursor.low


@given(cursor=cursors, above=st.sets(st.integers(1, 10**6)), longest=st.integers(700, 3000))
def test_a_text_that_is_cut_short_delivers_again_and_skips_nothing(
    cursor: Cursor, above: set[int], longest: int
) -> None:
    cursor.recent = {cursor.low + each for each in above}
    text = cursor.to_text(longest)
    read = Cursor.from_text(text)
    assert len(text) <= longest
    assert read.low == cursor.low
    assert read.parked == cursor.parked
    assert set(read.recent) <= set(cursor.recent)
    if set(read.recent) != set(cursor.recent):
        assert read.seen == read.low, "what is above `low` is read again"
        assert not read.partly
    if read.runs != cursor.runs:
        assert read.must_find_runs
        assert read.updated_after <= cursor.complete_after


def test_what_there_is_no_room_for_can_be_found_again() -> None:
    cursor = busy_cursor()
    cursor.updated_after += 3600
    read = Cursor.from_text(cursor.to_text(LONGEST_VALUE))
    assert read.must_find_runs
    assert (read.seen, read.recent, read.partly) == (cursor.low, set(), {})
    assert read.updated_after == cursor.complete_after
    assert len(read.last_parked) == PARKED_IN_SHORT


def test_ids_that_are_far_apart_do_not_fill_the_memory() -> None:
    cursor = Cursor(low=1, seen=2**62, recent={2, 2**62})
    read = Cursor.from_text(cursor.to_text(LONGEST_VALUE))
    assert (read.low, read.seen, read.recent) == (1, 1, set())


def test_a_new_cursor_is_small() -> None:
    assert len(Cursor().to_text(LONGEST_VALUE)) < 20


def test_a_thousand_runs_under_way_take_no_more_than_four_kilobytes() -> None:
    """A busy minute of a thousand runs: ten thousand of their events among as many others."""
    chance = random.Random(1)
    low = 10**9
    cursor = Cursor(low, low + 20_000)
    cursor.recent = {low + each for each in chance.sample(range(1, 20_000), 10_000)}
    text = cursor.to_text(4096)
    assert len(text) <= 4096
    assert Cursor.from_text(text) == cursor, "all of it is there"


def test_the_last_parked_events_are_kept_by_name_and_all_are_counted() -> None:
    cursor = Cursor()
    for number in range(PARKED_KEPT + 5):
        cursor.park(ParkedEvent("run", number, "STEP_START", "refused with 422"))
    assert cursor.parked == PARKED_KEPT + 5
    assert [each.storage_id for each in cursor.last_parked] == list(range(5, PARKED_KEPT + 5))


def test_an_event_that_is_parked_again_is_counted_once_and_has_the_last_reason() -> None:
    cursor = Cursor()
    for reason in ("refused with 422", "refused with 400"):
        cursor.park(ParkedEvent("run", 1, "STEP_START", reason))
    cursor.park(ParkedEvent("other", 1, "STEP_START", "refused"))
    assert cursor.parked == 2
    assert [each.reason for each in cursor.last_parked] == ["refused with 400", "refused"]


def test_a_parked_event_that_was_delivered_after_all_is_forgotten() -> None:
    cursor = Cursor()
    for number in (1, 2):
        cursor.park(ParkedEvent("run", number, "STEP_START", "refused"))
    cursor.unpark(EventId("run", 1))
    cursor.unpark(EventId("run", 99))
    assert [each.id for each in cursor.last_parked] == [EventId("run", 2)]


def test_of_a_long_reason_the_beginning_is_kept() -> None:
    cursor = Cursor()
    cursor.park(ParkedEvent("run", 1, "STEP_START", "x" * 5000))
    assert cursor.last_parked[0].reason == "x" * REASON_CHARACTERS


def test_parked_events_are_named_by_run_and_storage_id() -> None:
    assert ParkedEvent("run", 7, "", "").name == "run:7"
    assert ParkedEvent("", 7, "", "").name == ":7"


def test_events_that_are_delivered_in_part_are_kept_up_to_a_limit() -> None:
    cursor = Cursor(partly={EventId("run", number): 3 for number in range(2 * PARTLY_KEPT)})
    read = Cursor.from_text(cursor.to_text(LONGEST_VALUE))
    assert read.partly == {EventId("run", number): 3 for number in range(PARTLY_KEPT)}


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


def test_a_cursor_that_has_not_begun_is_still_new_when_it_is_read() -> None:
    assert Cursor.from_text(Cursor.from_text(None).to_text(1000)).is_new


def test_at_the_very_first_time_the_option_says_where_to_begin() -> None:
    cursor = Cursor.from_text(None, after_storage_id=7)
    assert cursor.after_storage_id == 7
    assert cursor.is_new


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "nonsense",
        "7",
        '{"a": 1}',
        json.dumps({"version": 2, "low": []}),
        json.dumps({"version": 2, "recent": "no base85 \u007f"}),
        json.dumps({"version": 2, "recent": "abc"}),
        json.dumps({"version": 2, "runs": [1]}),
        json.dumps({"version": 2, "partly": [["run"]]}),
        json.dumps({"version": 2, "last_parked": [["run", 1]]}),
    ],
)
def test_a_text_that_is_no_cursor_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- json's own is one
        Cursor.from_text(text)
