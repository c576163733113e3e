"""Partitioned assets: what time a run is for, which part of a dataset it reads and makes."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.storage.event_log.schema import DynamicPartitionsTable

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.model import Definitions, Facts
from openlineage_dagster_core.facts.progress import ProgressLog
from recorded_run import (
    CREATED_AT,
    RUN_ID,
    check_runs,
    converted,
    converted_instance,
    names,
    one,
)

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
BERLIN = dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us", "2026-01-05"])
DAY_AND_REGION = dg.MultiPartitionsDefinition({"day": DAYS, "region": REGIONS})
CUSTOMERS = dg.DynamicPartitionsDefinition(name="customers")
YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


@dg.asset(
    partitions_def=DAYS,
    deps=[dg.AssetDep("balance", partition_mapping=YESTERDAY)],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def balance() -> None: ...


@dg.asset(partitions_def=DAYS, deps=[balance], backfill_policy=dg.BackfillPolicy.single_run())
def report() -> None: ...


@dg.asset(partitions_def=BERLIN)
def berlin() -> None: ...


@dg.asset(partitions_def=DAY_AND_REGION)
def sales() -> None: ...


@dg.asset(partitions_def=REGIONS)
def region() -> None: ...


@dg.asset(partitions_def=CUSTOMERS)
def customer() -> None: ...


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def stops_halfway(context: dg.AssetExecutionContext):
    for key in context.partition_keys[:2]:
        context.log_event(dg.AssetMaterialization("stops_halfway", partition=key))
    raise ValueError("halfway")


@dg.op
def writes_day(context: dg.OpExecutionContext) -> None: ...


@dg.job(
    config=dg.PartitionedConfig(
        partitions_def=BERLIN, run_config_for_partition_key_fn=lambda key: {}
    )
)
def by_day() -> None:
    writes_day()


DEFINITIONS = dg.Definitions(
    assets=[balance, report, berlin, sales, region, customer, stops_halfway],
    jobs=[
        by_day,
        dg.define_asset_job("balances", selection=[balance, report]),
        dg.define_asset_job("in_berlin", selection=[berlin]),
        dg.define_asset_job("selling", selection=[sales]),
        dg.define_asset_job("regional", selection=[region]),
        dg.define_asset_job("customers", selection=[customer]),
        dg.define_asset_job("halfway", selection=[stops_halfway]),
    ],
)

RANGE = {
    "dagster/asset_partition_range_start": "2026-01-05",
    "dagster/asset_partition_range_end": "2026-01-07",
}


def partitions(dataset: Json, side: str) -> list[str]:
    facets = dataset[f"{side}Facets"]
    condition = facets["subset"][f"{side}Condition"] if "subset" in facets else {"partitions": []}
    return [partition["identifier"] for partition in condition["partitions"]]


def nominal(event: Json) -> tuple[str, str | None] | None:
    facet = event["run"]["facets"].get("nominalTime")
    return (facet["nominalStartTime"], facet.get("nominalEndTime")) if facet else None


def test_an_asset_that_depends_on_its_own_past_reads_that_part_of_itself(golden: Golden) -> None:
    events = converted(DEFINITIONS, "balances", partition_key="2026-01-05")
    golden("self_dependency", events)
    check_runs(events)
    for state in ("START", "COMPLETE"):
        event = one(events, "balance", state)
        assert names(event["inputs"]) == names(event["outputs"]) == ["balance"]
        assert partitions(event["inputs"][0], "input") == ["2026-01-04"]
        assert partitions(event["outputs"][0], "output") == ["2026-01-05"]
        assert partitions(one(events, "report", state)["inputs"][0], "input") == ["2026-01-05"]


def test_a_range_of_partitions_in_one_run_is_a_run_for_each(golden: Golden) -> None:
    events = converted(DEFINITIONS, "balances", tags=RANGE)
    golden("range", events)
    check_runs(events)
    ends = [
        event
        for event in events
        if event["job"]["name"] == "report" and event["eventType"] == "COMPLETE"
    ]
    assert [partitions(event["outputs"][0], "output") for event in ends] == [
        ["2026-01-05"],
        ["2026-01-06"],
        ["2026-01-07"],
    ]
    assert nominal(ends[1]) == ("2026-01-06T00:00:00+00:00", "2026-01-07T00:00:00+00:00")
    for name in ("balances", "balances.report"):
        whole = one(events, name, "COMPLETE")
        assert nominal(whole) == ("2026-01-05T00:00:00+00:00", "2026-01-08T00:00:00+00:00")


def test_a_range_that_stops_halfway_fails_for_what_is_missing() -> None:
    events = converted(DEFINITIONS, "halfway", tags=RANGE)
    check_runs(events)
    of_asset = [event for event in events if event["job"]["name"] == "stops_halfway"]
    states = {
        (event["run"]["facets"]["dagster_run"]["partition"], event["eventType"])
        for event in of_asset
        if event["eventType"] != "START"
    }
    assert states == {
        ("2026-01-05", "COMPLETE"),
        ("2026-01-06", "COMPLETE"),
        ("2026-01-07", "FAIL"),
    }


def test_across_a_clock_change_a_day_is_as_long_as_it_was() -> None:
    events = converted(DEFINITIONS, "in_berlin", partition_key="2026-03-29")
    for name in ("berlin", "in_berlin", "in_berlin.berlin"):
        for state in ("START", "COMPLETE"):
            assert nominal(one(events, name, state)) == (
                "2026-03-28T23:00:00+00:00",
                "2026-03-29T22:00:00+00:00",
            )


def test_the_time_of_a_multi_partition_is_that_of_its_time_dimension(golden: Golden) -> None:
    key = dg.MultiPartitionKey({"day": "2026-01-05", "region": "eu"})
    events = converted(DEFINITIONS, "selling", partition_key=key)
    golden("multi_partition", events)
    event = one(events, "sales", "START")
    assert nominal(event) == ("2026-01-05T00:00:00+00:00", "2026-01-06T00:00:00+00:00")
    [part] = event["outputs"][0]["outputFacets"]["subset"]["outputCondition"]["partitions"]
    assert part == {
        "identifier": "2026-01-05|eu",
        "dimensions": {"day": "2026-01-05", "region": "eu"},
    }


def test_without_definitions_the_dimensions_come_from_the_runs_tags() -> None:
    key = dg.MultiPartitionKey({"day": "2026-01-05", "region": "eu"})
    events = converted(DEFINITIONS, "selling", knows_definitions=False, partition_key=key)
    event = one(events, "sales", "COMPLETE")
    [part] = event["outputs"][0]["outputFacets"]["subset"]["outputCondition"]["partitions"]
    assert part["dimensions"] == {"day": "2026-01-05", "region": "eu"}


def test_a_static_partition_that_looks_like_a_date_is_no_time() -> None:
    events = converted(DEFINITIONS, "regional", partition_key="2026-01-05")
    for name in ("region", "regional"):
        assert nominal(one(events, name, "COMPLETE")) is None


def test_where_no_definition_is_at_hand_a_date_is_a_day() -> None:
    events = converted(DEFINITIONS, "regional", knows_definitions=False, partition_key="2026-01-05")
    for name in ("region", "regional"):
        assert nominal(one(events, name, "COMPLETE")) == (
            "2026-01-05T00:00:00+00:00",
            "2026-01-06T00:00:00+00:00",
        )


def test_a_dynamic_partition_is_a_part_like_any_other() -> None:
    events = converted(
        DEFINITIONS, "customers", dynamic={"customers": ["ada"]}, partition_key="ada"
    )
    event = one(events, "customer", "COMPLETE")
    assert partitions(event["outputs"][0], "output") == ["ada"]
    assert nominal(event) is None


def test_the_last_dynamic_partition_is_the_one_that_was_last_when_the_run_was_stored(
    tmp_path: Path,
) -> None:
    @dg.asset(partitions_def=CUSTOMERS)
    def each_customer() -> None: ...

    last = dg.LastPartitionMapping()

    @dg.asset(deps=[dg.AssetDep(each_customer, partition_mapping=last)])
    def newest_customer() -> None: ...

    definitions = dg.Definitions([each_customer, newest_customer])
    graph = definitions.get_repository_def().asset_graph
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("customers", ["ada", "bob"])
        result = dg.materialize(
            [newest_customer, each_customer.to_source_asset()], instance=instance
        )
        [run] = instance.get_run_records()
        with instance.event_log_storage.index_connection() as connection:
            later = run.create_timestamp + timedelta(minutes=1)
            connection.execute(
                DynamicPartitionsTable.insert().values(
                    partitions_def_name="customers", partition="eve", create_timestamp=later
                )
            )
        entries = instance.all_logs(result.run_id)
        events = converted_instance(instance, entries, Definitions(DefinedAssets(graph)))
    [read] = one(events, "newest_customer", "COMPLETE")["inputs"]
    assert partitions(read, "input") == ["bob"]


def test_a_partitioned_job_of_ops_is_for_the_time_of_its_partition() -> None:
    events = converted(DEFINITIONS, "by_day", partition_key="2026-01-05")
    for name in ("by_day", "by_day.writes_day"):
        assert nominal(one(events, name, "COMPLETE")) == (
            "2026-01-04T23:00:00+00:00",
            "2026-01-05T23:00:00+00:00",
        )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            {".dagster/scheduled_execution_time": "2026-01-05T03:00:00+01:00"},
            ("2026-01-05T02:00:00+00:00", None),
        ),
        ({".dagster/scheduled_execution_time": "soon"}, None),
        ({}, None),
    ],
)
def test_a_scheduled_run_without_a_partition_is_for_the_time_it_was_due(
    tags: dict[str, str], expected: tuple[str, str | None] | None
) -> None:
    events = converted(DEFINITIONS, "by_day", tags=tags, run_config={})
    assert nominal(one(events, "by_day", "START")) == expected


def test_a_backfill_of_many_partitions_stays_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: how often anything looks through all the partitions of a step."""
    from openlineage_dagster_core.conversion import asset
    from openlineage_dagster_core.conversion.envelope import Source
    from openlineage_dagster_core.facts.model import RunFacts
    from openlineage_dagster_core.identity import Identity
    from openlineage_dagster_core.settings import Settings

    keys = [f"{number:05}" for number in range(10_000)]
    looked = 0

    class Counted(set[str | None]):
        def __iter__(self) -> Any:
            nonlocal looked
            looked += 1
            return super().__iter__()

    graph = DEFINITIONS.get_repository_def().asset_graph
    key = dg.AssetKey("region")
    log = ProgressLog()
    log.progress.planned["region"] = {key: Counted(keys)}
    log.progress.started["region"] = 0.0
    run = RunFacts(RUN_ID, "regional", CREATED_AT)
    facts = Facts(run, log.progress, DefinedAssets(graph))
    for partition in keys:
        materialization = dg.AssetMaterialization(key, partition=partition)
        entry = dg.EventLogEntry(
            None,
            "debug",
            "",
            run_id=RUN_ID,
            timestamp=1.0,
            step_key="region",
            job_name="regional",
            dagster_event=DagsterEvent(
                "ASSET_MATERIALIZATION",
                "regional",
                step_key="region",
                event_specific_data=StepMaterializationData(materialization),
            ),
        )
        source = Source(entry, facts, Identity(Settings()))
        [_, draft] = asset.materialized(source)
        log.progress.materialized.setdefault(key, {})[partition] = 0
        event = draft()
        assert event.eventType.name == "COMPLETE"
    assert looked == 0
    assert list(asset.unfinished(source, "region", event.eventType, None)) == []
    assert looked == 1
