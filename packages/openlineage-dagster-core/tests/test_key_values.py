"""Values in the instance's key-value table: written, read back, and few queries."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlineage_dagster_core import key_values
from openlineage_dagster_core.key_values import (
    LONGEST_KEY,
    LONGEST_VALUE,
    PREFIX,
    KeyValues,
    parsed,
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as made:
        yield made


@pytest.fixture
def keys(request: pytest.FixtureRequest) -> list[str]:
    """Keys of a test's own: the table has no delete."""
    name = request.node.name[-30:]
    return [f"{name}/{number}" for number in range(5)]


class Counting:
    """Stands before the run storage and counts its calls."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.run_storage: Any = self
        self._storage = instance.run_storage
        self.calls: list[str] = []

    def get_cursor_values(self, keys: set[str]) -> Any:
        self.calls.append("get")
        return self._storage.get_cursor_values(keys)

    def set_cursor_values(self, pairs: dict[str, str]) -> None:
        self.calls.append("set")
        self._storage.set_cursor_values(pairs)


def test_values_are_read_back_by_another_process(
    instance: dg.DagsterInstance, keys: list[str]
) -> None:
    values = {key: f"value {key}" for key in keys[:3]}
    KeyValues(instance).put(values)
    assert KeyValues(instance).get(keys) == values
    assert KeyValues(instance).get([]) == {}


def test_keys_that_exist_and_new_ones_are_written_together(
    instance: dg.DagsterInstance, keys: list[str]
) -> None:
    KeyValues(instance).put({keys[1]: "old"})
    fresh = KeyValues(instance)
    fresh.put(dict.fromkeys(keys, "new"))
    assert KeyValues(instance).get(keys) == dict.fromkeys(keys, "new")


def test_a_key_that_another_process_wrote_first_loses_no_other(
    instance: dg.DagsterInstance, keys: list[str]
) -> None:
    mine = KeyValues(instance)
    mine.get(keys)
    KeyValues(instance).put({keys[2]: "theirs"})
    mine.put(dict.fromkeys(keys, "mine"))
    assert KeyValues(instance).get(keys) == dict.fromkeys(keys, "mine")


def test_keys_that_exist_take_one_query(instance: dg.DagsterInstance, keys: list[str]) -> None:
    counting: Any = Counting(instance)
    table = KeyValues(counting)
    table.put(dict.fromkeys(keys, "first"))
    counting.calls.clear()
    table.put(dict.fromkeys(keys, "second"))
    assert counting.calls == ["set"]
    assert table.get(keys) == dict.fromkeys(keys, "second")
    assert counting.calls == ["set", "get"]


def test_the_keys_have_a_prefix(instance: dg.DagsterInstance, keys: list[str]) -> None:
    KeyValues(instance).put({keys[0]: "value"})
    stored = instance.run_storage.get_cursor_values({PREFIX + keys[0]})
    assert stored == {PREFIX + keys[0]: "value"}


@pytest.mark.parametrize(
    ("key", "value"), [("k" * LONGEST_KEY, "v"), ("k", "v" * (LONGEST_VALUE + 1))]
)
def test_what_mysql_would_cut_off_is_an_error(
    instance: dg.DagsterInstance, key: str, value: str
) -> None:
    with pytest.raises(ValueError, match="too long"):
        KeyValues(instance).put({key: value})


@pytest.mark.parametrize(
    "length", [0, 1, LONGEST_VALUE - 10, LONGEST_VALUE - 9, LONGEST_VALUE, 5 * LONGEST_VALUE + 3]
)
def test_a_value_of_any_length_is_read_back(instance: dg.DagsterInstance, length: int) -> None:
    value = "0|1234567"[: length % 9] + "x" * (length - length % 9)
    KeyValues(instance).put_long({f"long/{length}": value})
    assert KeyValues(instance).get_long([f"long/{length}"]) == {f"long/{length}": value}


def test_more_rows_than_one_statement_takes_are_all_written(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    monkeypatch.setattr(key_values, "ROWS_A_QUERY", 2)
    values = {key: key * 3 for key in keys}
    KeyValues(instance).put_long(values)
    assert KeyValues(instance).get_long(keys) == values


def test_long_values_that_grow_and_shrink_among_others_read_back(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some keys exist and some do not, some processes know of them and some do not."""
    monkeypatch.setattr(key_values, "LONGEST_VALUE", 30)
    monkeypatch.setattr(key_values, "ROWS_A_QUERY", 3)
    example = itertools.count()
    text = st.text(st.characters(max_codepoint=127), max_size=120)

    @settings(max_examples=40)
    @given(
        writes=st.lists(
            st.tuples(st.booleans(), st.dictionaries(st.sampled_from("abcd"), text, min_size=1)),
            max_size=6,
        )
    )
    def check(writes: list[tuple[bool, dict[str, str]]]) -> None:
        name, expected, table = f"grow/{next(example)}", dict[str, str](), KeyValues(instance)
        for is_new_process, values in writes:
            if is_new_process:
                table = KeyValues(instance)
            written = {f"{name}/{key}": value for key, value in values.items()}
            table.put_long(written)
            expected.update(written)
            assert KeyValues(instance).get_long([f"{name}/{key}" for key in "abcd"]) == expected

    check()


@pytest.mark.parametrize("text", [None, "", "nonsense", "[1]", "7", "null"])
def test_a_text_that_is_no_object_is_read_as_an_empty_one(text: str | None) -> None:
    assert parsed(text) == {}


def test_an_object_is_read() -> None:
    assert parsed('{"a": [1]}') == {"a": [1]}


def test_another_home_has_other_values(tmp_path: Path, keys: list[str]) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as other:
        assert KeyValues(other).get(keys) == {}
