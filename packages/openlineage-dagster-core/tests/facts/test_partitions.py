import warnings
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.partitions import (
    Partitions,
    PartitionsTable,
    dimensions_in_tags,
)

UTC = timezone.utc
BERLIN = "Europe/Berlin"
STATIC = dg.StaticPartitionsDefinition(["2026-01-05", "b"])

DEFINITIONS: dict[str, dg.PartitionsDefinition] = {
    "daily": dg.DailyPartitionsDefinition("2026-01-01"),
    "berlin": dg.DailyPartitionsDefinition("2026-01-01", timezone=BERLIN),
    "hourly": dg.HourlyPartitionsDefinition("2026-01-01-00:00", timezone=BERLIN),
    "weekly": dg.WeeklyPartitionsDefinition("2026-01-01", day_offset=1),
    "monthly": dg.MonthlyPartitionsDefinition("2026/01/01", fmt="%Y/%m/%d"),
    "shifts": dg.TimeWindowPartitionsDefinition(
        start="2026-01-01-06", cron_schedule="0 6,14,22 * * *", fmt="%Y-%m-%d-%H"
    ),
    "multi": dg.MultiPartitionsDefinition(
        {"when": dg.DailyPartitionsDefinition("2026-01-01"), "region": STATIC}
    ),
}


def at(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("is_written_down", [False, True])
@pytest.mark.parametrize(
    ("name", "partition", "start", "end"),
    [
        ("daily", "2026-01-05", at(2026, 1, 5), at(2026, 1, 6)),
        ("berlin", "2026-01-05", at(2026, 1, 4, 23), at(2026, 1, 5, 23)),
        # The clocks go forward: a day of 23 hours.
        ("berlin", "2026-03-29", at(2026, 3, 28, 23), at(2026, 3, 29, 22)),
        # And back: one of 25.
        ("berlin", "2026-10-25", at(2026, 10, 24, 22), at(2026, 10, 25, 23)),
        ("hourly", "2026-01-05-12:00", at(2026, 1, 5, 11), at(2026, 1, 5, 12)),
        ("weekly", "2026-01-05", at(2026, 1, 5), at(2026, 1, 12)),
        ("monthly", "2026/02/01", at(2026, 2, 1), at(2026, 3, 1)),
        ("shifts", "2026-01-05-22", at(2026, 1, 5, 22), at(2026, 1, 6, 6)),
        ("multi", "b|2026-01-05", at(2026, 1, 5), at(2026, 1, 6)),
    ],
)
def test_the_window_is_the_definitions(
    name: str, partition: str, start: datetime, end: datetime, is_written_down: bool
) -> None:
    partitions = Partitions(DEFINITIONS[name])
    if is_written_down:
        table = PartitionsTable()
        position = table.encode(partitions)
        partitions = PartitionsTable(table.texts).decode(position)
    assert partitions.window(partition) == (start, end)


@pytest.mark.parametrize(
    "definition",
    [
        None,
        STATIC,
        dg.DynamicPartitionsDefinition(name="days"),
        dg.MultiPartitionsDefinition(
            {"a": STATIC, "b": dg.StaticPartitionsDefinition(["2026-01-05"])}
        ),
    ],
)
def test_where_no_key_is_a_time_there_is_none(definition: dg.PartitionsDefinition | None) -> None:
    assert Partitions(definition).window("2026-01-05") is None
    assert Partitions(definition).window("2026-01-05|2026-01-05") is None


@pytest.mark.parametrize("partition", ["yesterday", "", "2026-01-05|b", "2026-13-01", "9999-12-31"])
def test_a_key_of_another_definition_has_no_window(partition: str) -> None:
    assert Partitions(DEFINITIONS["daily"]).window(partition) is None


@pytest.mark.parametrize("partition", ["2026-01-05", "b|2026-01-05|c", "2026-01-05|b"])
def test_a_key_without_the_dimension_has_no_window(partition: str) -> None:
    assert Partitions(DEFINITIONS["multi"]).window(partition) is None


def test_every_window_follows_the_one_before() -> None:
    partitions = Partitions(DEFINITIONS["berlin"])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    before = None
    for _ in range(365):
        window = partitions.window(f"{day:%Y-%m-%d}")
        assert window is not None
        assert before is None or window[0] == before[1]
        before = window
        day += timedelta(days=1)


def test_a_multi_partition_key_has_a_part_for_each_dimension() -> None:
    assert Partitions(DEFINITIONS["multi"]).dimensions("b|2026-01-05") == {
        "region": "b",
        "when": "2026-01-05",
    }
    assert Partitions(DEFINITIONS["daily"]).dimensions("2026-01-05") == {"partition": "2026-01-05"}
    assert Partitions(None).dimensions("a|b") == {"partition": "a|b"}


def test_without_a_definition_the_run_tags_tell_the_dimensions() -> None:
    tags = {
        "dagster/partition": "b|2026-01-05",
        "dagster/partition/when": "2026-01-05",
        "dagster/partition/region": "b",
    }
    assert dimensions_in_tags("b|2026-01-05", tags) == {"region": "b", "when": "2026-01-05"}
    assert dimensions_in_tags("c|2026-01-05", tags) == {"partition": "c|2026-01-05"}


def test_a_definition_that_many_share_is_written_once() -> None:
    table = PartitionsTable()
    positions = {table.encode(Partitions(DEFINITIONS["daily"])) for _ in range(3)}
    positions.add(table.encode(Partitions(dg.DailyPartitionsDefinition("2026-01-01"))))
    assert positions == {0}
    assert len(table.texts) == 1


def test_a_definition_that_is_a_function_is_not_written() -> None:
    with warnings.catch_warnings():
        # Dagster wants them to have a name.
        warnings.simplefilter("ignore")
        dynamic = dg.DynamicPartitionsDefinition(partition_fn=lambda _: ["a"])
    table = PartitionsTable()
    assert table.encode(Partitions(dynamic)) is None
    assert table.decode(None) == Partitions(None)


DAYS = dg.DailyPartitionsDefinition("2026-01-01")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])
YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
NAMED = dg.DynamicPartitionsDefinition(name="customers")


@dg.asset(partitions_def=DAYS, deps=[dg.AssetDep("balance", partition_mapping=YESTERDAY)])
def balance() -> None: ...


@dg.asset(partitions_def=dg.WeeklyPartitionsDefinition("2026-01-01"), deps=[balance])
def weekly() -> None: ...


@dg.asset(partitions_def=dg.MultiPartitionsDefinition({"day": DAYS, "region": REGIONS}))
def both() -> None: ...


@dg.asset(partitions_def=DAYS, deps=[both])
def one_of_both() -> None: ...


@dg.asset(partitions_def=NAMED)
def customers() -> None: ...


@dg.asset(partitions_def=NAMED, deps=[customers])
def scores() -> None: ...


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["us", "asia"]))
def regions() -> None: ...


@dg.asset(partitions_def=REGIONS, deps=[regions])
def shifted() -> None: ...


@dg.asset(deps=[both])
def whole() -> None: ...


@dg.asset(deps=[dg.AssetDep(balance, partition_mapping=dg.LastPartitionMapping())])
def latest() -> None: ...


ASSETS = DefinedAssets(
    dg.Definitions(
        [
            balance,
            weekly,
            both,
            one_of_both,
            customers,
            scores,
            regions,
            shifted,
            whole,
            latest,
        ]
    )
    .get_repository_def()
    .asset_graph
)


@pytest.mark.parametrize("is_written_down", [False, True])
@pytest.mark.parametrize(
    ("name", "upstream", "partition", "expected"),
    [
        ("balance", "balance", "2026-01-05", ("2026-01-04",)),
        # Read before it is over.
        ("balance", "balance", "2026-02-03", ("2026-02-02",)),
        # Nothing comes before the first.
        ("balance", "balance", "2026-01-01", ()),
        ("weekly", "balance", "2026-01-04", tuple(f"2026-01-{day:02}" for day in range(4, 11))),
        ("one_of_both", "both", "2026-01-05", ("2026-01-05|eu", "2026-01-05|us")),
        ("scores", "customers", "ada", ("ada",)),
        ("shifted", "regions", "eu", ()),
        ("shifted", "regions", "us", ("us",)),
        ("whole", "both", None, None),
        ("latest", "balance", None, ("2026-01-31",)),
    ],
)
def test_what_is_upstream_of_a_partition_is_what_its_mapping_says(
    name: str,
    upstream: str,
    partition: str | None,
    expected: tuple[str, ...] | None,
    is_written_down: bool,
) -> None:
    asset = ASSETS[dg.AssetKey(name)]
    found = asset.upstream_partitions[dg.AssetKey(upstream)]
    if is_written_down:
        table = PartitionsTable()
        position = table.encode_mapping(found.mapping)
        assert position is not None
        mapping = PartitionsTable(table.texts).decode_mapping(position)
        found = type(found)(mapping, found.upstream)
    # The last that there is, is the last at this time, whenever it is asked.
    assert found.keys(asset.partitions, partition, at(2026, 2, 1), {}) == expected


def test_a_mapping_that_many_share_is_written_once() -> None:
    table = PartitionsTable()
    swapped = dg.StaticPartitionMapping({"eu": "us", "us": "eu"})
    for mapping in (YESTERDAY, swapped):
        positions = {table.encode_mapping(mapping) for _ in range(3)}
        assert len(positions) == 1
    assert len(table.texts) == 2
