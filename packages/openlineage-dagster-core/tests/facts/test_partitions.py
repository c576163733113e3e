from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from openlineage_dagster_core.facts.partitions import (
    TimePartitions,
    decode_time_partitions,
    encode_time_partitions,
    time_partitions,
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
    partitions = time_partitions(DEFINITIONS[name])
    assert partitions is not None
    if is_written_down:
        partitions = decode_time_partitions(encode_time_partitions(partitions))
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
    assert time_partitions(definition) is None


@pytest.mark.parametrize("partition", ["yesterday", "", "2026-01-05|b", "2026-13-01"])
def test_a_key_of_another_definition_has_no_window(partition: str) -> None:
    assert TimePartitions(dg.DailyPartitionsDefinition("2026-01-01")).window(partition) is None


def test_a_key_without_the_dimension_has_no_window() -> None:
    definition = dg.DailyPartitionsDefinition("2026-01-01")
    assert TimePartitions(definition, 1).window("2026-01-05") is None


def test_every_window_follows_the_one_before() -> None:
    partitions = time_partitions(DEFINITIONS["berlin"])
    assert partitions is not None
    day = datetime(2026, 1, 1, tzinfo=UTC)
    before = None
    for _ in range(365):
        window = partitions.window(f"{day:%Y-%m-%d}")
        assert window is not None
        assert before is None or window[0] == before[1]
        before = window
        day += timedelta(days=1)
