"""An event of the log: decoded when its entry is needed, its weight, the asset it is about."""

import dagster as dg
import pytest
from dagster import AssetKey, serialize_value

from log_entries import log_line, materialization, step_event
from openlineage_dagster_core.event_log.stored_event import (
    UNKNOWN_WEIGHT,
    EventId,
    StoredEvent,
    asset_of,
)
from openlineage_dagster_core.families import CONVERTED

ID = EventId("run", 1)


def test_a_text_is_decoded_to_what_was_stored() -> None:
    entry = step_event("run", 5.0)
    text = serialize_value(entry)
    event = StoredEvent(ID, text)
    assert event.entry() == entry
    assert event.weight > len(text)


def test_what_dagster_has_decoded_already_is_not_decoded_again() -> None:
    entry = step_event("run", 5.0)
    event = StoredEvent(ID, decoded=entry)
    assert event.entry() is entry
    assert event.weight == UNKNOWN_WEIGHT


@pytest.mark.parametrize("text", ["", "no JSON", '{"__class__": "Unknown"}', "null"])
def test_a_text_that_is_no_event_is_an_error(text: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 -- whatever Dagster raises
        StoredEvent(ID, text).entry()


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
