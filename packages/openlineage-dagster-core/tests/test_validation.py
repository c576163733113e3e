import pytest

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.options import declared
from openlineage_dagster_core.validation import (
    reject_unknown,
    seconds,
    text_by_text,
    whole_number,
)


def test_zero_seconds_are_allowed_where_they_mean_something() -> None:
    assert seconds("flush_timeout", 0, zero=True) == 0.0


def test_an_unknown_option_names_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError) as raised:
        reject_unknown(["namespaces"], declared())
    assert "'namespaces'" in str(raised.value)
    assert "did you mean 'namespace'" in str(raised.value)
    assert "wrapped" in str(raised.value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None])
def test_a_number_of_things_is_a_whole_one(value: object) -> None:
    with pytest.raises(ConfigurationError, match=">= 1"):
        whole_number("record_filter_limit", value, least=1)
    assert whole_number("record_filter_limit", 7, least=1) == 7


@pytest.mark.parametrize("value", [[], "a", {"a": 1}, {1: "a"}, {"a": ""}, {"": "a"}])
def test_a_mapping_of_texts_has_nothing_else(value: object) -> None:
    with pytest.raises(ConfigurationError, match="mapping of texts"):
        text_by_text("dataset_namespaces", value)
    assert list(text_by_text("dataset_namespaces", {"b": "1", "a": "2"})) == ["b", "a"]
