"""What is remembered from tick to tick is used only where the next tick goes on from there."""

from typing import Any

import pytest

from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_sensor.cursor import Cursor
from openlineage_dagster_sensor.memory import Memory

INSTANCE: Any = object()


def test_the_next_tick_goes_on_with_the_same_facts() -> None:
    memory = Memory()
    cursor, facts = memory.resume(INSTANCE, None, 0)
    cursor.recent = set(range(1, 100_000, 3))
    text = cursor.to_text()
    memory.keep(text)
    resumed, same_facts = memory.resume(INSTANCE, text, 0)
    assert same_facts is facts
    assert len(resumed.recent) > 0, "also what the text has no room for"


@pytest.mark.parametrize("text", [None, Cursor(low=7).to_text(), '{"last_storage_id": 7}'])
def test_a_cursor_that_was_moved_begins_anew(text: str | None) -> None:
    memory = Memory()
    cursor, facts = memory.resume(INSTANCE, None, 0)
    cursor.low = 99
    memory.keep(cursor.to_text())
    moved, new_facts = memory.resume(INSTANCE, text, 0)
    assert new_facts is not facts
    assert moved == Cursor.from_text(text)


def test_a_tick_that_did_not_end_is_not_gone_on_with() -> None:
    memory = Memory()
    text = Cursor(low=7).to_text()
    memory.resume(INSTANCE, None, 0)
    memory.keep(text)
    _, facts = memory.resume(INSTANCE, text, 0)
    assert memory.resume(INSTANCE, text, 0)[1] is not facts


def test_after_a_tick_the_instance_is_let_go_of() -> None:
    memory = Memory()
    cursor, _ = memory.resume(INSTANCE, None, 0)
    memory.keep(cursor.to_text())
    with pytest.raises(FactsUnavailableError):
        memory._living()
