import dagster as dg
import pytest
from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facets.nominal_time import nominal_time_facet
from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.facts.partitions import TimePartitions

DAILY = AssetFacts(
    AssetKey("daily"),
    is_partitioned=True,
    time_partitions=TimePartitions(dg.DailyPartitionsDefinition("2026-01-01")),
)
STATIC = AssetFacts(AssetKey("static"), is_partitioned=True)


def window(asset: AssetFacts | None, partition: str) -> tuple[str, str | None] | None:
    facet = nominal_time_facet(asset, partition)
    return (facet.nominalStartTime, facet.nominalEndTime) if facet else None


def test_the_definition_says_what_time_a_partition_is() -> None:
    assert window(DAILY, "2026-01-05") == (
        "2026-01-05T00:00:00+00:00",
        "2026-01-06T00:00:00+00:00",
    )


def test_a_static_partition_that_looks_like_a_date_is_no_time() -> None:
    assert window(STATIC, "2026-01-05") is None


@pytest.mark.parametrize(
    ("partition", "start", "end"),
    [
        ("2026-01-05", "2026-01-05T00:00:00+00:00", "2026-01-06T00:00:00+00:00"),
        ("2026-01-05-12:00", "2026-01-05T12:00:00+00:00", "2026-01-05T13:00:00+00:00"),
        ("2026-01-05T12:30:00", "2026-01-05T12:30:00+00:00", "2026-01-05T13:30:00+00:00"),
    ],
)
def test_without_a_definition_an_iso_date_or_hour_is_one(
    partition: str, start: str, end: str
) -> None:
    assert window(None, partition) == (start, end)


@pytest.mark.parametrize(
    "partition", ["", "eu", "2026-02-31", "2026-01-05-25:00", "2026-1-5", "9999-12-31"]
)
def test_without_a_definition_nothing_else_is(partition: str) -> None:
    assert window(None, partition) is None


@given(st.text())
def test_no_partition_key_breaks_it(partition: str) -> None:
    window(None, partition)
    window(DAILY, partition)
