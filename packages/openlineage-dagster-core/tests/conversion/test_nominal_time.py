from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.conversion.nominal_time import guessed_window, nominal_time_facet


def window(partition: str) -> tuple[str, str | None] | None:
    found = guessed_window(partition)
    if found is None:
        return None
    facet = nominal_time_facet(*found)
    return facet.nominalStartTime, facet.nominalEndTime


@pytest.mark.parametrize(
    ("partition", "start", "end"),
    [
        ("2026-01-05", "2026-01-05T00:00:00+00:00", "2026-01-06T00:00:00+00:00"),
        ("2026-01-05-12:00", "2026-01-05T12:00:00+00:00", "2026-01-05T13:00:00+00:00"),
        ("2026-01-05T12:30:00", "2026-01-05T12:30:00+00:00", "2026-01-05T13:30:00+00:00"),
    ],
)
def test_an_iso_date_is_a_day_and_one_with_a_time_an_hour(
    partition: str, start: str, end: str
) -> None:
    assert window(partition) == (start, end)


@pytest.mark.parametrize(
    "partition", ["", "eu", "2026-02-31", "2026-01-05-25:00", "2026-1-5", "9999-12-31"]
)
def test_nothing_else_is_a_time(partition: str) -> None:
    assert window(partition) is None


def test_times_are_told_in_utc() -> None:
    start = datetime(2026, 1, 5, 3, tzinfo=timezone(timedelta(hours=1)))
    facet = nominal_time_facet(start, None)
    assert facet.nominalStartTime == "2026-01-05T02:00:00+00:00"
    assert facet.nominalEndTime is None
    assert nominal_time_facet(datetime(2026, 1, 5), None).nominalStartTime == (  # noqa: DTZ001
        "2026-01-05T00:00:00+00:00"
    )


@given(st.text())
def test_no_partition_key_breaks_it(partition: str) -> None:
    window(partition)
