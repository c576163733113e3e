"""Queries of Dagster's tables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey

from bare_storages import one_file
from log_entries import log_line, materialization, step_event
from openlineage_dagster_core.event_log import tables as tables_module
from openlineage_dagster_core.event_log.tables import EventTables

AT = 1_700_000_000.25


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=one_file(tmp_path)) as made:
        yield made


def tables_of(instance: dg.DagsterInstance) -> EventTables:
    tables = EventTables.of(instance.event_log_storage)
    assert tables is not None
    return tables


def test_rows_are_read_in_order_and_as_they_were_stored(instance: dg.DagsterInstance) -> None:
    entries = [
        step_event("a", AT),
        log_line("a", AT + 1),
        step_event("b", AT + 2),
        materialization("", AT + 3, "orders"),
        step_event("a", AT + 4),
    ]
    for entry in entries:
        instance.event_log_storage.store_event(entry)
    tables = tables_of(instance)
    found = tables.rows(0, 10).events
    assert [event.id.run_id for event in found] == ["a", "b", "", "a"]
    assert [event.timestamp for event in found] == [AT, AT + 2, AT + 3, AT + 4]
    assert [event.entry() for event in found] == [entries[place] for place in (0, 2, 3, 4)]
    ids = [event.id.storage_id for event in found]
    assert tables.rows(0, 2).events == found[:2]
    assert tables.rows(ids[1], 10).events == found[2:]
    assert tables.rows(0, 10, until=ids[1]).events == found[:2]
    assert tables.rows(0, 10, run_id="a").events == [found[0], found[3]]
    assert tables.rows(0, 10, run_id="").events == [found[2]]
    assert sorted(tables.ids(ids[0], ids[2])) == ids[1:3]
    assert tables.first_ids(["a", "b", "unknown"]) == {"a": ids[0], "b": ids[1]}


def test_a_page_of_long_rows_is_short(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        instance.event_log_storage.store_event(step_event("a", AT + number, "x" * 10_000))
    tables = tables_of(instance)
    everything = tables.rows(0)
    assert (len(everything.events), everything.is_last) == (6, True)
    length = len(str(everything.events[0].text))
    monkeypatch.setattr(tables_module, "PAGE_BYTES", 2 * length + 1)
    page = tables.rows(0)
    assert (page.events, page.is_last) == (everything.events[:3], False)
    page = tables.rows(page.events[-1].id.storage_id)
    assert (page.events, page.is_last) == (everything.events[3:], False)
    assert tables.rows(page.events[-1].id.storage_id) == ([], True, 0)
    monkeypatch.setattr(tables_module, "PAGE_BYTES", 1)
    assert tables.rows(0).events == everything.events[:1], "one event at least"


def test_where_lengths_cannot_be_added_up_a_page_has_few_rows(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        instance.event_log_storage.store_event(step_event("a", AT + number))
    monkeypatch.setattr(tables_module, "_has_window_functions", lambda _: False)
    monkeypatch.setattr(tables_module, "PAGE_WITHOUT_WINDOWS", 2)
    tables = tables_of(instance)
    page = tables.rows(0)
    assert (len(page.events), page.is_last) == (2, False)
    assert len(tables.rows(page.events[-1].id.storage_id).events) == 1


def test_of_events_with_a_data_version_the_last_before_a_time_is_read(
    instance: dg.DagsterInstance,
) -> None:
    for after, key, upstream in (
        (1, "orders", ["a"]),
        (2, "orders", ["b"]),
        (3, "stock", ["c"]),
        (4, "orders", None),
        (5, "orders", ["d"]),
        (9, "orders", ["e"]),
        (5, "other", ["f"]),
    ):
        entry = materialization("r", AT + after, key, upstream)
        instance.event_log_storage.store_event(entry)
    tables = tables_of(instance)
    assert tables.has_versions
    keys = [AssetKey("orders"), AssetKey("stock"), AssetKey("unknown")]
    found = tables.versioned(keys, AT + 4.5)
    assert sorted(event.timestamp - AT for event in found) == [2, 3]
    [orders] = [event for event in found if event.timestamp == AT + 2]
    before = tables.last_versioned({AssetKey("orders"): orders.id.storage_id})
    assert [event.timestamp - AT for event in before] == [1]
    first = before[0].id.storage_id
    assert tables.last_versioned({AssetKey("orders"): first}) == []


def test_keys_with_any_text_can_be_asked_for(instance: dg.DagsterInstance) -> None:
    keys = [AssetKey(["a\0b", "\ud800"]), AssetKey("%_\\'\"é")]
    assert tables_of(instance).versioned(keys, AT) == []


def test_more_keys_than_a_query_takes_are_asked_for_in_several(
    instance: dg.DagsterInstance,
) -> None:
    instance.event_log_storage.store_event(materialization("r", AT, "700", []))
    keys = [AssetKey(str(number)) for number in range(1000)]
    assert len(tables_of(instance).versioned(keys, AT + 1)) == 1


def test_where_each_run_has_a_file_it_is_read_from_there() -> None:
    with dg.DagsterInstance.local_temp() as instance:
        for run in ("a", "b", "a"):
            instance.event_log_storage.store_event(step_event(run, AT))
        tables = tables_of(instance)
        assert [event.id.storage_id for event in tables.rows(0, 10, run_id="a").events] == [1, 2]
        assert [event.id.storage_id for event in tables.rows(0, 10, run_id="b").events] == [1]


def test_a_storage_that_is_no_database_has_no_tables() -> None:
    storage: Any = object()
    assert EventTables.of(storage) is None
