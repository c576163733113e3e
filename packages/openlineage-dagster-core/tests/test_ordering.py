"""What events must keep the order with."""

import dagster as dg

from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_core.ordering import RUNLESS, ordering_key_of, run_id_of


def test_an_event_keeps_the_order_of_its_run() -> None:
    entry = dg.EventLogEntry(None, 20, "", "run-1", 1.0)
    assert ordering_key_of(entry) == "run-1"
    assert run_id_of("run-1") == "run-1"


def test_events_of_no_run_keep_the_order_of_their_asset() -> None:
    key = dg.AssetKey(["a", "b"])
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
    assert len(entries) == 3
    assert {ordering_key_of(each) for each in entries} == {f"{RUNLESS}a/b"}
    assert run_id_of(f"{RUNLESS}a/b") == ""
