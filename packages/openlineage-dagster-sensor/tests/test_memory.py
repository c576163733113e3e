"""What is remembered from tick to tick is used only where the next tick goes on from there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import EventLogReader
from openlineage_dagster_sensor.memory import LONGEST_TEXT, Memory


class Engine:
    """Stands in for an engine: a memory keeps it and passes it on."""

    def __init__(self, reader: EventLogReader) -> None:
        self.reader = reader


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def resume(memory: Memory, instance: dg.DagsterInstance, text: str | None) -> Any:
    return memory.resume(instance, text, 0, Engine)  # type: ignore[arg-type, return-value]


def test_the_next_tick_goes_on_with_the_same_engine(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    memory = Memory()
    engine = resume(memory, instance, None)
    text = engine.reader.cursor.to_text(LONGEST_TEXT)
    memory.keep(text)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as another:
        assert resume(memory, another, text) is engine
        assert memory.instance() is another


@pytest.mark.parametrize("text", [None, Cursor(low=7).to_text(1000), '{"last_storage_id": 7}'])
def test_a_tick_whose_cursor_was_moved_begins_from_the_text(
    instance: dg.DagsterInstance, text: str | None
) -> None:
    memory = Memory()
    engine = resume(memory, instance, None)
    engine.reader.cursor.low = 99
    memory.keep(engine.reader.cursor.to_text(LONGEST_TEXT))
    moved = resume(memory, instance, text)
    assert moved is not engine
    assert moved.reader.cursor == Cursor.from_text(text)


def test_a_tick_after_one_that_did_not_end_begins_from_the_text(
    instance: dg.DagsterInstance,
) -> None:
    memory = Memory()
    text = Cursor(low=7).to_text(LONGEST_TEXT)
    resume(memory, instance, None)
    memory.keep(text)
    engine = resume(memory, instance, text)
    # Nothing was kept since.
    assert resume(memory, instance, text) is not engine


def test_a_tick_after_one_that_was_forgotten_begins_from_the_text(
    instance: dg.DagsterInstance,
) -> None:
    memory = Memory()
    text = Cursor(low=7).to_text(LONGEST_TEXT)
    engine = resume(memory, instance, None)
    memory.keep(text)
    memory.forget()
    assert resume(memory, instance, text) is not engine


def test_a_text_that_is_no_cursor_is_an_error(instance: dg.DagsterInstance) -> None:
    with pytest.raises(ValueError, match="cursor"):
        resume(Memory(), instance, "[]")


def test_between_two_ticks_there_is_no_instance(instance: dg.DagsterInstance) -> None:
    memory = Memory()
    engine = resume(memory, instance, None)
    memory.keep(engine.reader.cursor.to_text(LONGEST_TEXT))
    with pytest.raises(FactsUnavailableError):
        memory.instance()
