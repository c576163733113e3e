"""The log of one run, read page by page, with and without tables."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from bare_storages import one_file
from log_entries import log_line, step_event
from openlineage_dagster_core.event_log import run_log
from openlineage_dagster_core.event_log.run_log import events_of_run

AT = 1_700_000_000.0


@pytest.fixture(params=["one file", "a file a run", "no tables"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    overrides = one_file(tmp_path) if request.param == "one file" else None
    if request.param == "no tables":
        monkeypatch.setattr(run_log.EventTables, "of", staticmethod(lambda storage: None))
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made


def test_the_followed_events_of_a_run_are_read_in_order(instance: dg.DagsterInstance) -> None:
    for number in range(20):
        instance.event_log_storage.store_event(step_event("other", AT))
        instance.event_log_storage.store_event(log_line("run", AT))
        instance.event_log_storage.store_event(step_event("run", AT + number, str(number)))
    events = list(events_of_run(instance, "run", page=2))
    assert [event.entry().step_key for event in events] == [str(each) for each in range(20)]
    assert [event.timestamp for event in events] == [AT + each for each in range(20)]
    ids = [event.id.storage_id for event in events]
    assert ids == sorted(ids)

    def some(**options: int) -> list[int]:
        return [event.id.storage_id for event in events_of_run(instance, "run", page=4, **options)]

    assert some(after=ids[4]) == ids[5:]
    assert some(until=ids[4]) == ids[:5]
    assert some(after=ids[4], until=ids[9]) == ids[5:10]
    assert some(after=ids[-1]) == []


def test_events_from_outside_any_run_are_read_by_an_empty_run_id(
    instance: dg.DagsterInstance,
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("orders"))
    instance.event_log_storage.store_event(step_event("run", AT))
    [event] = events_of_run(instance, "")
    assert event.id.run_id == ""
    assert event.entry().get_dagster_event().asset_key == dg.AssetKey("orders")


def test_a_run_without_events_gives_none(instance: dg.DagsterInstance) -> None:
    assert list(events_of_run(instance, "unknown")) == []
