"""Times as people give them."""

import time

import pytest
from click import BadParameter

from openlineage_dagster_core.cli.times import Time


def at(text: str) -> float:
    return Time().convert(text, None, None).at


def test_a_time_with_an_offset() -> None:
    assert at("1970-01-01T01:00:00+01:00") == 0.0
    assert at("1970-01-01T00:01:00Z") == 60.0


def test_a_time_without_an_offset_is_local() -> None:
    assert at("2026-01-31") == time.mktime((2026, 1, 31, 0, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5_400), ("24h", 86_400), ("7d", 604_800), ("1w", 604_800)]
)
def test_how_long_ago(text: str, seconds: int) -> None:
    assert at(text) == pytest.approx(time.time() - seconds, abs=60)


@pytest.mark.parametrize("text", ["", "yesterday", "7", "d", "-3h", "2026-13-01", "99999999999w"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(BadParameter, match="90m, 24h or 7d"):
        at(text)


def test_the_words_are_kept() -> None:
    assert Time().convert("24h", None, None).words == "24h"
