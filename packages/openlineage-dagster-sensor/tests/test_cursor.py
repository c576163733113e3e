"""What is written is read again, cursors of earlier versions are carried on, and it is small."""

import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_sensor.cursor import PARKED_NAMED, Cursor, HeldRun

RUN_IDS = st.text(min_size=1, max_size=36)
IDS = st.integers(1, 2**60)

cursors = st.builds(
    Cursor,
    low=IDS,
    at=st.floats(0, 1e10),
    recent=st.just(set()),
    mark=st.tuples(IDS, st.floats(0, 1e10)),
    runs=st.dictionaries(RUN_IDS, st.tuples(IDS, st.floats(0, 1e10))),
    updated_after=st.floats(0, 1e10),
    begins_at=st.floats(0, 1e10),
    after_storage_id=IDS,
    held=st.dictionaries(RUN_IDS, st.builds(HeldRun, IDS, st.integers(0, 20))),
    partly=st.dictionaries(st.tuples(RUN_IDS, IDS), st.integers(1, 10_000)),
    parked=st.integers(0, 10**9),
    last_parked=st.lists(st.tuples(RUN_IDS, IDS, st.text()), max_size=PARKED_NAMED),
)


@given(cursor=cursors, above=st.sets(st.integers(1, 10**6)))
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor, above: set[int]) -> None:
    cursor.recent = {cursor.low + each for each in above}
    assert Cursor.from_text(cursor.to_text()) == cursor


def test_a_new_cursor_is_small() -> None:
    assert len(Cursor().to_text()) < 20


def test_a_thousand_runs_under_way_take_no_more_than_four_kilobytes() -> None:
    """A busy minute of a thousand runs: their last events among many others."""
    chance = random.Random(1)
    low = 10**9
    cursor = Cursor(low=low, at=1.8e9, mark=(low + 10_000, 1.8e9))
    cursor.recent = {low + each for each in chance.sample(range(1, 10_000), 2_000)}
    assert len(cursor.to_text()) <= 4096


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
