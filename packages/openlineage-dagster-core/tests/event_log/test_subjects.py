"""Which asset an event is about."""

import dagster as dg
from dagster import AssetKey

from log_entries import log_line, materialization, step_event
from openlineage_dagster_core.event_log.subjects import asset_of
from openlineage_dagster_core.families import CONVERTED


def test_events_of_runs_and_steps_and_lines_are_about_no_asset() -> None:
    assert asset_of(step_event("run", 1.0)) is None
    assert asset_of(log_line("run", 1.0)) is None


def test_a_materialization_is_about_its_asset() -> None:
    assert asset_of(materialization("run", 1.0, "orders")) == AssetKey("orders")


def test_whatever_is_reported_from_outside_is_about_its_asset() -> None:
    key = AssetKey(["a", "b"])
    with dg.DagsterInstance.ephemeral() as instance:
        for reported in (
            dg.AssetMaterialization(key),
            dg.AssetObservation(key),
            dg.AssetCheckEvaluation(asset_key=key, check_name="c", passed=True),
        ):
            instance.report_runless_asset_event(reported)
        entries = [
            record.event_log_entry
            for record in instance.get_records_for_run("").records
            if record.event_log_entry.dagster_event_type in CONVERTED
        ]
    assert [asset_of(entry) for entry in entries] == [key] * 3
