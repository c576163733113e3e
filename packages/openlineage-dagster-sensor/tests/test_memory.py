"""What is remembered from tick to tick is used only where the next tick goes on from there."""

from typing import Any

import pytest

from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_sensor.memory import Memory

INSTANCE: Any = object()


def test_the_next_tick_goes_on_with_the_same_facts() -> None:
    memory = Memory()
    first = memory.facts_for(INSTANCE, None)
    memory.keep("cursor 1")
    assert memory.facts_for(INSTANCE, "cursor 1") is first


@pytest.mark.parametrize("cursor", [None, "cursor 0", "moved by hand"])
def test_a_cursor_that_was_moved_begins_anew(cursor: str | None) -> None:
    memory = Memory()
    first = memory.facts_for(INSTANCE, None)
    memory.keep("cursor 1")
    assert memory.facts_for(INSTANCE, cursor) is not first


def test_a_tick_that_did_not_end_is_not_gone_on_with() -> None:
    memory = Memory()
    first = memory.facts_for(INSTANCE, None)
    memory.keep("cursor 1")
    memory.facts_for(INSTANCE, "cursor 1")
    assert memory.facts_for(INSTANCE, "cursor 1") is not first


def test_after_a_tick_the_instance_is_let_go_of() -> None:
    memory = Memory()
    memory.facts_for(INSTANCE, None)
    memory.keep("cursor 1")
    with pytest.raises(FactsUnavailableError):
        memory._living()
