"""The options that name jobs, datasets and runs otherwise: all events of a log agree on them."""

from typing import Any
from uuid import UUID

import dagster as dg

from eight_assets import DEFINITIONS, JOB
from openlineage_dagster_core.settings import Settings
from recorded_run import RUN_ID, converted, one

Json = dict[str, Any]


def with_options(**options: Any) -> list[Json]:
    return converted(DEFINITIONS, JOB, settings=Settings.from_options(options, {}))


def ids_in(event: Json) -> list[str]:
    """List the run ids of an event, its parent and its root."""
    parent = event["run"]["facets"].get("parent")
    of_parent = [parent["run"]["runId"], parent["root"]["run"]["runId"]] if parent else []
    return [event["run"]["runId"], *of_parent]


def test_sortable_run_ids_are_those_of_runs_parents_and_roots() -> None:
    events = with_options(run_ids="sortable", asset_run_parent="step")
    assert {UUID(each).version for event in events for each in ids_in(event)} == {7}
    assert {event["run"]["facets"]["dagster_run"]["runId"] for event in events} == {RUN_ID}
    run = one(events, JOB, "START")["run"]["runId"]
    step = one(events, f"{JOB}.marts__churn", "START")
    asset = one(events, "marts/churn", "START")
    assert ids_in(step)[1:] == [run, run]
    assert ids_in(asset)[1:] == [step["run"]["runId"], run]


def test_other_names_and_run_ids_change_nothing_else() -> None:
    usual = with_options()
    changed = with_options(
        run_ids="sortable", asset_job_name="{group}.{key}", dataset_key_separator="."
    )
    assert len(changed) == len(usual)
    for one_event, other in zip(usual, changed, strict=True):
        assert one_event["eventType"] == other["eventType"]
        assert one_event["job"]["facets"] == other["job"]["facets"]
        if one_event["job"]["name"] != JOB:
            assert one_event["run"]["runId"] == other["run"]["runId"]
        for side in ("inputs", "outputs"):
            names = [each["name"].replace("/", ".") for each in one_event[side]]
            assert names == [each["name"] for each in other[side]]


def test_jobs_of_assets_and_checks_are_named_after_their_groups() -> None:
    jobs = {event["job"]["name"] for event in with_options(asset_job_name="{group}.{key}")}
    assert {"default.raw/orders", "default.raw/orders__checks", "default.marts/report"} <= jobs
    assert f"{JOB}.raw__orders" in jobs


def test_the_names_of_an_observation_follow_the_template() -> None:
    @dg.observable_source_asset(key=["raw", "prices"], group_name="sources")
    def prices() -> dg.DataVersion:
        return dg.DataVersion("1")

    job = dg.define_asset_job("observe", selection=[dg.AssetKey(["raw", "prices"])])
    options = {"asset_job_name": "{group}.{key}", "observation_events": "run"}
    defs = dg.Definitions(assets=[prices], jobs=[job])
    events = converted(defs, "observe", settings=Settings.from_options(options, {}))
    assert one(events, "sources.raw/prices__observations", "COMPLETE")
