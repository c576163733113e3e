"""What an asset was made from before: asked once, followed after that, the same at any time."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bare_storages import one_file
from log_entries import materialization
from openlineage_dagster_core.facts import earlier_upstream
from openlineage_dagster_core.facts.earlier_upstream import EarlierUpstream

BEGAN = 1_700_000_000.0
ORDERS, STOCK = AssetKey("orders"), AssetKey("stock")
A, B = (AssetKey("a"),), (AssetKey("b"),)


@pytest.fixture
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    storage = getattr(request, "param", "memory")
    if storage == "memory":
        with dg.DagsterInstance.ephemeral() as made:
            yield made
        return
    overrides = one_file(tmp_path) if storage == "one file" else None
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made


def store(instance: dg.DagsterInstance, *entries: dg.EventLogEntry) -> None:
    for entry in entries:
        instance.event_log_storage.store_event(entry)


@pytest.mark.parametrize("instance", ["memory", "one file", "a file a run"], indirect=True)
def test_the_last_materialization_that_names_its_upstream_counts(
    instance: dg.DagsterInstance,
) -> None:
    store(
        instance,
        materialization("r1", BEGAN + 1, "orders", ["a"]),
        materialization("r1", BEGAN + 2, "stock", ["b"]),
        materialization("r2", BEGAN + 3, "orders"),
        materialization("r3", BEGAN + 9, "orders", ["b"]),
    )
    found = EarlierUpstream(lambda: instance).of([ORDERS, STOCK], BEGAN + 5)
    assert found == {ORDERS: A, STOCK: B}


def test_an_asset_without_inputs_and_one_that_no_step_made_have_none(
    instance: dg.DagsterInstance,
) -> None:
    store(
        instance,
        materialization("r1", BEGAN + 1, "orders", ["a"]),
        materialization("r1", BEGAN + 2, "orders", []),
        materialization("", BEGAN + 3, "stock"),
    )
    found = EarlierUpstream(lambda: instance).of([ORDERS, STOCK], BEGAN + 5)
    assert found == {ORDERS: (), STOCK: ()}


def test_a_data_version_that_a_user_reported_hides_no_upstream(
    instance: dg.DagsterInstance,
) -> None:
    store(instance, materialization("r1", BEGAN + 1, "orders", ["a"]))
    for version in "12345":
        instance.report_runless_asset_event(
            dg.AssetMaterialization(ORDERS, tags={"dagster/data_version": version})
        )
        instance.report_runless_asset_event(
            dg.AssetObservation(ORDERS, tags={"dagster/data_version": version})
        )
    assert EarlierUpstream(lambda: instance).of([ORDERS], 4e9) == {ORDERS: A}


def test_materializations_that_are_read_later_are_followed_without_a_query(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = EarlierUpstream(lambda: instance)
    assert found.of([ORDERS], BEGAN) == {ORDERS: ()}
    monkeypatch.setattr(found, "_instance", lambda: pytest.fail("it asks again"))
    found.observe(materialization("r1", BEGAN + 10, "orders", ["a"]))
    found.observe(materialization("r2", BEGAN + 20, "orders", ["b"]))
    found.observe(materialization("r3", BEGAN + 30, "orders"))
    at = {5: (), 15: A, 25: B, 35: B}
    assert {after: found.of([ORDERS], BEGAN + after)[ORDERS] for after in at} == at


def test_a_table_without_the_tags_of_dagster_gives_no_upstream(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(instance, materialization("r1", BEGAN, "orders", ["a"]))
    storage: Any = instance.event_log_storage
    has_table = storage.has_table
    monkeypatch.setattr(
        type(storage),
        "has_table",
        lambda self, name: name != "asset_event_tags" and has_table(name),
    )
    assert EarlierUpstream(lambda: instance).of([ORDERS], BEGAN + 1) == {ORDERS: ()}


def test_more_assets_than_are_remembered_are_answered(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_upstream, "ASSETS_REMEMBERED", 2)
    store(instance, materialization("r1", BEGAN, "orders", ["a"]))
    keys = [ORDERS, *(AssetKey(str(number)) for number in range(5))]
    assert EarlierUpstream(lambda: instance).of(keys, BEGAN + 1)[ORDERS] == A


ANSWERS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 1))


def test_whenever_it_is_asked_the_answer_is_that_of_the_whole_log() -> None:
    """Runs begin at different times and log by hand at any time after that."""
    example = itertools.count()
    with dg.DagsterInstance.ephemeral() as instance:

        @settings(max_examples=50)
        @given(
            made=st.dictionaries(
                st.integers(1, 60), st.tuples(st.integers(0, 1), st.sampled_from("abc"))
            ),
            asked=st.lists(ANSWERS, max_size=10),
        )
        def check(made: dict[int, tuple[int, str]], asked: list[tuple[int, int, int]]) -> None:
            number = next(example)
            keys = [f"orders_{number}", f"stock_{number}"]
            log = [
                (at, key, materialization("r", BEGAN + at, keys[key], [upstream]), upstream)
                for at, (key, upstream) in sorted(made.items())
            ]
            store(instance, *(entry for _, _, entry, _ in log))
            found, position = EarlierUpstream(lambda: instance), 0
            for one, other, key in sorted(asked, key=lambda each: max(each[:2])):
                before, now = min(one, other), max(one, other)
                for at, _, entry, _ in log:
                    if position < at <= now:
                        found.observe(entry)
                position = now
                expected = [(AssetKey(up),) for at, of, _, up in log if at < before and of == key]
                wanted = AssetKey(keys[key])
                answer = found.of([wanted], BEGAN + before, now=BEGAN + now)
                assert answer == {wanted: expected[-1] if expected else ()}

        check()
