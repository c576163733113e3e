"""The log of one run, read page by page, with and without tables; several logs become one."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bare_storages import one_file
from log_entries import log_line, step_event
from openlineage_dagster_core.event_log import run_log
from openlineage_dagster_core.event_log.run_log import events_of_run, in_order
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent

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


def log_of(run_id: str, times: list[int]) -> list[StoredEvent]:
    return [
        StoredEvent(EventId(run_id, number), timestamp=float(at))
        for number, at in enumerate(times, start=1)
    ]


def merged(logs: list[list[StoredEvent]], places: list[float]) -> list[StoredEvent]:
    opened = sorted(zip(places, map(iter, logs), strict=True), key=lambda each: each[0])
    return list(in_order(opened, lambda event: event.timestamp))


logs = st.lists(st.lists(st.integers(0, 20)), max_size=6)


@given(times=logs)
def test_sorted_logs_are_merged_as_sorting_would(times: list[list[int]]) -> None:
    made = [log_of(str(number), sorted(each)) for number, each in enumerate(times)]
    places = [each[0].timestamp if each else 0.0 for each in made]
    found = merged(made, places)
    everything = [event for log in made for event in log]
    assert [event.timestamp for event in found] == sorted(each.timestamp for each in everything)
    assert sorted(event.id for event in found) == sorted(event.id for event in everything)


@given(times=logs, early=st.integers(0, 5))
def test_each_log_keeps_its_own_order_whatever_its_times_are(
    times: list[list[int]], early: int
) -> None:
    made = [log_of(str(number), each) for number, each in enumerate(times)]
    places = [float(min(each, default=0) - early) for each in times]
    found = merged(made, places)
    assert len(found) == sum(map(len, made))
    for log in made:
        if log:
            assert [event for event in found if event.id.run_id == log[0].id.run_id] == log


@given(times=logs)
def test_an_event_comes_after_what_its_own_log_has_before_it_and_no_later(
    times: list[list[int]],
) -> None:
    """Sorting by the latest time so far in each log is what the merge does."""
    made = [log_of(str(number), each) for number, each in enumerate(times)]
    expected = []
    for log in made:
        latest = float("-inf")
        for event in log:
            latest = max(latest, event.timestamp)
            expected.append(latest)
    found = merged(made, [float(min(each, default=0)) for each in times])
    latest_of: dict[str, float] = {}
    order = []
    for event in found:
        run_id = event.id.run_id
        latest_of[run_id] = max(latest_of.get(run_id, float("-inf")), event.timestamp)
        order.append(latest_of[run_id])
    assert order == sorted(expected)


def test_a_log_is_opened_when_the_order_comes_to_its_place() -> None:
    opened: list[str] = []

    def lazily(name: str, times: list[int]) -> Iterator[StoredEvent]:
        opened.append(name)
        yield from log_of(name, times)

    logs = [(float(at), lazily(str(at), [at, at + 1])) for at in range(0, 1000, 10)]
    found = in_order(logs, lambda event: event.timestamp)
    assert [next(found).timestamp for _ in range(3)] == [0.0, 1.0, 10.0]
    assert len(opened) <= 3
