import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_sensor.cursor import Cursor, RunCursor

run_cursors = st.builds(
    RunCursor,
    low=st.integers(0),
    done=st.dictionaries(st.integers(1), st.integers(0)),
    has_ended=st.booleans(),
    partly=st.tuples(st.integers(0), st.integers(0)),
)
cursors = st.builds(
    Cursor,
    updated_after=st.floats(0, 1e11),
    after_storage_id=st.integers(0),
    begins_at=st.floats(0, 1e11),
    runs=st.dictionaries(st.text(), run_cursors),
)


@given(cursors)
def test_what_is_written_is_read_back(cursor: Cursor) -> None:
    assert Cursor.from_text(cursor.to_text()) == cursor


def test_the_first_tick_begins_where_it_is_told() -> None:
    assert Cursor.from_text(None) == Cursor()
    assert Cursor.from_text("", 42) == Cursor(after_storage_id=42)


@pytest.mark.parametrize(
    "text",
    [
        '{"last_storage_id": 42, "running_pipelines": {}}',
        '{"last_storage_id": 42, "running_pipelines": {"r": {"planned_asset_paths": [["a"]]}}}',
    ],
)
def test_the_cursors_of_0_1_and_0_2_are_carried_on(text: str) -> None:
    assert Cursor.from_text(text) == Cursor(after_storage_id=42)
    assert Cursor.from_text(text, 7) == Cursor(after_storage_id=42)


@pytest.mark.parametrize("text", ["42", "[]", '"x"'])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.from_text(text)


def test_it_is_json_that_a_person_can_read() -> None:
    cursor = Cursor(1.5, 0, 0.0, {"run": RunCursor(3, {5: 100}, True, (6, 2))})
    assert json.loads(cursor.to_text())["runs"] == {"run": [3, [[5, 100]], True, [6, 2]]}
