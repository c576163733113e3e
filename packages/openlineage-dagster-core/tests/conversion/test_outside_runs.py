"""What is reported from outside any run, and what is wiped."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import AssetWipedData, DagsterEvent

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.settings import Settings
from recorded_run import CREATED_AT, check_runs, converted_instance, execute, names

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]


@dg.asset
def upstream() -> None: ...


@dg.asset(deps=[upstream])
def reported() -> None:
    """Made by a run, or reported from outside."""


DEFINITIONS = dg.Definitions([upstream, reported], jobs=[dg.define_asset_job("all")])
ASSETS = Definitions(DefinedAssets(DEFINITIONS.get_repository_def().asset_graph))


def entries(instance: dg.DagsterInstance) -> list[dg.EventLogEntry]:
    """All that belongs to no run, at times that do not change."""
    records = instance.get_records_for_run("").records
    return [
        record.event_log_entry._replace(timestamp=CREATED_AT.timestamp() + second)
        for second, record in enumerate(records, start=1)
    ]


def report_all(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            "reported", partition="2026-01-05", metadata={"dagster/row_count": 3}
        )
    )
    instance.report_runless_asset_event(dg.AssetObservation("reported", partition="2026-01-05"))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=dg.AssetKey("reported"), check_name="ok", passed=True)
    )
    # Open-source Dagster cannot wipe partitions; this is how the event is stored where it can.
    wiped = AssetWipedData(asset_key=dg.AssetKey("reported"), partition_keys=["2026-01-05"])
    instance.report_dagster_event(
        DagsterEvent("ASSET_WIPED", job_name="", event_specific_data=wiped), run_id=""
    )


@pytest.mark.parametrize("form", ["dataset", "run"])
def test_what_is_reported_from_outside_is_told_as_well(form: str, golden: Golden) -> None:
    settings = Settings.from_options({"observation_events": form}, {})
    with dg.DagsterInstance.ephemeral() as instance:
        report_all(instance)
        events = converted_instance(instance, entries(instance), settings=settings)
    golden(f"runless_{form}", events)
    check_runs(events)
    assert all("dagster_run" not in event["run"]["facets"] for event in events if "run" in event)
    if form == "dataset":
        wiped = [event["dataset"] for event in events if "dataset" in event][-1]
        assert wiped["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "TRUNCATE"


def test_the_whole_asset_can_be_wiped() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("reported"))
        instance.wipe_assets([dg.AssetKey("reported")])
        [event] = converted_instance(instance, entries(instance)[-1:])
    assert event["dataset"]["name"] == "reported"
    assert "lifecycleStateChange" in event["dataset"]["facets"]


@pytest.mark.parametrize("knows_definitions", [True, False])
def test_a_reported_materialization_keeps_the_edges_of_the_asset(knows_definitions: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "all", instance)
        instance.report_runless_asset_event(dg.AssetMaterialization("reported"))
        [entry] = [record.event_log_entry for record in instance.get_records_for_run("").records]
        events = converted_instance(
            instance, [entry], ASSETS if knows_definitions else Definitions()
        )
    check_runs(events)
    for event in events:
        assert names(event["inputs"]) == ["upstream"]
        assert names(event["outputs"]) == ["reported"]


def reported_again_and_again(key: str, times: int) -> list[Json]:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "all", instance)
        for _ in range(times):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        found = [record.event_log_entry for record in instance.get_records_for_run("").records]
        return converted_instance(instance, found)


def test_every_further_report_keeps_them_too() -> None:
    events = reported_again_and_again("reported", 3)
    check_runs(events)
    assert [names(event["inputs"]) for event in events] == [["upstream"]] * 6


def test_an_asset_without_upstream_is_reported_without() -> None:
    events = reported_again_and_again("upstream", 2)
    assert [names(event["inputs"]) for event in events] == [[]] * 4
