"""The argument `start_from`."""

from datetime import datetime, timezone

import pytest

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_sensor.sensor import start_time

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("value", [None, "beginning"])
def test_by_default_it_is_the_beginning(value: str | None) -> None:
    assert start_time(value) is None


def test_now_is_when_the_first_tick_comes() -> None:
    assert start_time("now") == float("inf")


@pytest.mark.parametrize(
    "value",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.timestamp(),
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31 12:00",
    ],
)
def test_a_time_is_a_time(value: str | float | datetime) -> None:
    assert start_time(value) == NOON.timestamp()


@pytest.mark.parametrize("value", ["soon", True, -1, [], ""])
def test_anything_else_is_an_error(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"start_from.*'now'"):
        start_time(value)  # type: ignore[arg-type]
