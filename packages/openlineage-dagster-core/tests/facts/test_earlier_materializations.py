"""What each asset's last materialization before a run said: asked together, followed after that."""

import itertools
import random
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bare_storages import one_file
from log_entries import counted_queries, materialization
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.facts import earlier_materializations
from openlineage_dagster_core.facts.earlier_materializations import (
    CLOCKS_DIFFER_SECONDS,
    EarlierMaterializations,
    Made,
    made_by,
)
from openlineage_dagster_core.facts.materialized import NOTHING, packed_materialization

BEGAN = 1_700_000_000.0
ORDERS, STOCK = AssetKey("orders"), AssetKey("stock")
A, B = (AssetKey("a"),), (AssetKey("b"),)


@pytest.fixture(params=["one file", "a file a run", "no tables"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    if request.param == "no tables":
        monkeypatch.setattr(EventTables, "of", lambda _: None)
    overrides = one_file(tmp_path) if request.param == "one file" else None
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made


with_tables = pytest.mark.parametrize("instance", ["one file", "a file a run"], indirect=True)


def said(table: str) -> bytes:
    made = dg.AssetMaterialization(ORDERS, metadata={"dagster/table_name": table})
    return packed_materialization(made)


def by_hand(seconds: float, key: str, table: str | None) -> dg.EventLogEntry:
    entry = materialization("r", BEGAN + seconds, key)
    data: Any = entry.get_dagster_event().event_specific_data
    metadata = {} if table is None else {"dagster/table_name": dg.MetadataValue.text(table)}
    made = dg.AssetMaterialization(key, metadata=metadata)
    event = entry.get_dagster_event()._replace(
        event_specific_data=data._replace(materialization=made)
    )
    return entry._replace(dagster_event=event)


def store(instance: dg.DagsterInstance, seconds: float, key: str, table: str | None) -> None:
    instance.event_log_storage.store_event(by_hand(seconds, key, table))


def of(instance: dg.DagsterInstance, *, follows_all: bool = True) -> EarlierMaterializations:
    return EarlierMaterializations(lambda: instance, follows_all=follows_all)


def upstream_of(
    instance: dg.DagsterInstance, keys: list[AssetKey], before: float
) -> Mapping[AssetKey, tuple[AssetKey, ...]]:
    return of(instance).upstream_of(keys, before, now=before)


def observe(found: EarlierMaterializations, entry: dg.EventLogEntry) -> None:
    made = made_by(entry)
    assert made is not None
    found.observe(made, entry.timestamp)


def store_all(instance: dg.DagsterInstance, *entries: dg.EventLogEntry) -> None:
    for entry in entries:
        instance.event_log_storage.store_event(entry)


def test_the_last_one_before_the_run_counts(instance: dg.DagsterInstance) -> None:
    store(instance, 1, "orders", "a")
    store(instance, 2, "orders", "b")
    store(instance, 3, "stock", None)
    store(instance, 9, "orders", "c")
    found = of(instance).of([ORDERS, STOCK, AssetKey("never")], BEGAN + 5, now=BEGAN + 5)
    assert found == {ORDERS: said("b"), STOCK: NOTHING}


def test_assets_are_read_together(instance: dg.DagsterInstance) -> None:
    keys = [AssetKey(f"asset_{each}") for each in range(40)]
    for key in keys:
        store(instance, 1, key.path[0], "a")
    with counted_queries() as queries:
        found = of(instance).of(keys, BEGAN + 5, now=BEGAN + 5)
    assert found == dict.fromkeys(keys, said("a"))
    if EventTables.of(instance.event_log_storage) is not None:
        assert len(queries) <= 4


def test_what_is_followed_is_not_asked_for(instance: dg.DagsterInstance) -> None:
    found = of(instance)
    store(instance, 1, "orders", "a")
    found.of([ORDERS], BEGAN + 5, now=BEGAN + 5)
    late = BEGAN + 20 + CLOCKS_DIFFER_SECONDS
    for seconds, key, table in ((0, STOCK, "s"), (1, ORDERS, "b"), (5, ORDERS, "c")):
        found.observe(Made(key, said(table), None), late + seconds)
    with counted_queries() as queries:
        at = {
            seconds: found.of([ORDERS], late + seconds, now=late)[ORDERS] for seconds in (0, 3, 9)
        }
        # Never asked for before: every one since was followed.
        stock = found.of([STOCK], late + CLOCKS_DIFFER_SECONDS + 1, now=late)
    assert at == {0: said("a"), 3: said("b"), 9: said("c")}
    assert stock == {STOCK: said("s")}
    assert queries == []


def test_what_came_before_the_first_that_is_followed_is_asked_for(
    instance: dg.DagsterInstance,
) -> None:
    """A run began before this process did, and others have materialized the asset since."""
    store(instance, 1, "orders", "a")
    store(instance, 10, "orders", "b")
    found = of(instance)
    found.observe(Made(STOCK, said("s"), None), BEGAN + 20)
    assert found.of([ORDERS], BEGAN + 5, now=BEGAN + 20) == {ORDERS: said("a")}
    with counted_queries() as queries:
        assert found.of([ORDERS], BEGAN + 15, now=BEGAN + 20) == {ORDERS: said("b")}
    assert queries == []


def test_what_was_followed_is_kept_where_something_older_is_asked_for(
    instance: dg.DagsterInstance,
) -> None:
    """A run that began before this process did."""
    store(instance, 1, "orders", "a")
    found = of(instance)
    late = BEGAN + 20 + CLOCKS_DIFFER_SECONDS
    found.observe(Made(STOCK, said("s"), None), BEGAN + 20)
    found.observe(Made(ORDERS, said("b"), None), late + 1)
    assert found.of([ORDERS], BEGAN + 5, now=late) == {ORDERS: said("a")}
    assert found.of([ORDERS], late + 3, now=late) == {ORDERS: said("b")}


def test_where_only_some_runs_are_followed_each_asks_anew(instance: dg.DagsterInstance) -> None:
    found = of(instance, follows_all=False)
    for seconds, table in ((1, "a"), (3, "b"), (5, "c")):
        store(instance, seconds, "orders", table)
    answers = {
        seconds: found.of([ORDERS], BEGAN + seconds, now=BEGAN + seconds).get(ORDERS)
        for seconds in (0.5, 4.0, 2.0, 9.0)
    }
    assert answers == {0.5: None, 4.0: said("b"), 2.0: said("a"), 9.0: said("c")}


def test_what_was_forgotten_is_asked_for_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_materializations, "ASSETS_REMEMBERED", 2)
    found = of(instance)
    for number in range(5):
        key = f"asset_{number}"
        store(instance, number, key, "a")
        found.observe(Made(AssetKey(key), said("a"), None), BEGAN + number)
    store(instance, 6, "asset_0", "b")
    for number, table in ((0, "b"), (1, "a"), (4, "a")):
        key = AssetKey(f"asset_{number}")
        assert found.of([key], BEGAN + 8, now=BEGAN + 8) == {key: said(table)}
    assert len(found._assets) == 2


def test_only_changes_are_remembered_and_not_too_many(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_materializations, "CHANGES_REMEMBERED", 3)
    found = of(instance)
    found.of([ORDERS], BEGAN, now=BEGAN)
    for number in range(100):
        found.observe(Made(ORDERS, said(f"table {number // 10}"), None), BEGAN + number)
        store(instance, number, "orders", f"table {number // 10}")
    assert len(found._assets[ORDERS].changes) == 3
    with counted_queries() as queries:
        assert found.of([ORDERS], BEGAN + 99, now=BEGAN) == {ORDERS: said("table 9")}
    assert queries == []
    assert found.of([ORDERS], BEGAN + 15, now=BEGAN) == {ORDERS: said("table 1")}


def test_much_that_is_said_is_not_all_remembered(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_materializations, "BYTES_REMEMBERED", 10_000)
    chance = random.Random(7)
    found = of(instance)
    for number in range(50):
        # Nothing that compression makes short.
        table = "".join(chance.choices(string.ascii_letters, k=1000))
        found.observe(Made(AssetKey(f"asset_{number}"), said(table), None), BEGAN + number)
    assert 5_000 < found._bytes_kept <= 10_000
    assert found._bytes_kept == sum(history.bytes_kept for history in found._assets.values())


def test_the_last_materialization_that_names_its_upstream_counts(
    instance: dg.DagsterInstance,
) -> None:
    store_all(
        instance,
        materialization("r1", BEGAN + 1, "orders", ["a"]),
        materialization("r1", BEGAN + 2, "stock", ["b"]),
        materialization("r2", BEGAN + 3, "orders"),
        materialization("r3", BEGAN + 9, "orders", ["b"]),
    )
    found = upstream_of(instance, [ORDERS, STOCK], BEGAN + 5)
    assert found == {ORDERS: A, STOCK: B}


def test_an_asset_without_inputs_and_one_that_no_step_made_have_none(
    instance: dg.DagsterInstance,
) -> None:
    store_all(
        instance,
        materialization("r1", BEGAN + 1, "orders", ["a"]),
        materialization("r1", BEGAN + 2, "orders", []),
        materialization("", BEGAN + 3, "stock"),
    )
    found = upstream_of(instance, [ORDERS, STOCK], BEGAN + 5)
    assert found == {ORDERS: (), STOCK: ()}


def test_a_data_version_that_a_user_reported_hides_no_upstream(
    instance: dg.DagsterInstance,
) -> None:
    store_all(instance, materialization("r1", BEGAN + 1, "orders", ["a"]))
    for version in "12345":
        instance.report_runless_asset_event(
            dg.AssetMaterialization(ORDERS, tags={"dagster/data_version": version})
        )
        instance.report_runless_asset_event(
            dg.AssetObservation(ORDERS, tags={"dagster/data_version": version})
        )
    assert upstream_of(instance, [ORDERS], 4e9) == {ORDERS: A}


def test_materializations_that_are_read_later_are_followed_without_a_query(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of(instance)
    assert found.upstream_of([ORDERS], BEGAN, now=BEGAN) == {ORDERS: ()}
    monkeypatch.setattr(found, "_instance", lambda: pytest.fail("it asks again"))
    observe(found, materialization("r1", BEGAN + 10, "orders", ["a"]))
    observe(found, materialization("r2", BEGAN + 20, "orders", ["b"]))
    observe(found, materialization("r3", BEGAN + 30, "orders"))
    at = {5: (), 15: A, 25: B, 35: B}
    answers = {after: found.upstream_of([ORDERS], BEGAN + after, now=BEGAN)[ORDERS] for after in at}
    assert answers == at


@with_tables
def test_without_the_table_of_tags_only_the_last_materialization_says_the_upstream(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_all(
        instance,
        materialization("r1", BEGAN, "orders", ["a"]),
        materialization("r1", BEGAN, "stock", ["b"]),
        materialization("r1", BEGAN + 1, "orders"),
    )
    storage: Any = instance.event_log_storage
    has_table = storage.has_table
    monkeypatch.setattr(
        type(storage),
        "has_table",
        lambda self, name: name != "asset_event_tags" and has_table(name),
    )
    assert upstream_of(instance, [ORDERS, STOCK], BEGAN + 2) == {ORDERS: (), STOCK: B}


def test_more_assets_than_are_remembered_are_answered(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_materializations, "ASSETS_REMEMBERED", 2)
    store_all(instance, materialization("r1", BEGAN, "orders", ["a"]))
    keys = [ORDERS, *(AssetKey(str(number)) for number in range(5))]
    assert upstream_of(instance, keys, BEGAN + 1)[ORDERS] == A


@pytest.mark.parametrize("silent", [3, 12])
def test_what_no_step_made_and_says_nothing_hides_nothing(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    """However often: what a step made is found again, and so is what is not too far back."""
    monkeypatch.setattr(earlier_materializations, "PAGE", 10)
    has_tables = EventTables.of(instance.event_log_storage) is not None
    store_all(instance, materialization("r1", BEGAN, "stock", ["b"]))
    store(instance, 1, "orders", "a")
    for number in range(silent):
        store(instance, 2 + number / 100, "orders", None)
        store(instance, 2 + number / 100, "stock", None)
        store(instance, 2 + number / 100, "never", None)
    found, keys = of(instance), [ORDERS, STOCK, AssetKey("never")]
    expected = {**dict.fromkeys(keys, NOTHING), **({ORDERS: said("a")} if silent < 10 else {})}
    with counted_queries() as queries:
        assert found.of(keys, BEGAN + 5, now=BEGAN + 5) == expected
    assert len(queries) <= 10 or not has_tables
    with counted_queries() as queries:
        observe(found, by_hand(20, "orders", None))
        assert found.of(keys, BEGAN + 30, now=BEGAN + 5) == expected
    assert queries == []


ANSWERS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 1))


def test_whenever_it_is_asked_the_answer_is_that_of_the_whole_log() -> None:
    """Runs begin at different times and log by hand at any time after that."""
    example = itertools.count()
    with dg.DagsterInstance.ephemeral() as instance:

        @settings(max_examples=50)
        @given(
            made=st.dictionaries(
                st.integers(1, 60),
                st.tuples(st.integers(0, 1), st.sampled_from(["a", "b", "T1", "T2", None, None])),
            ),
            asked=st.lists(ANSWERS, max_size=10),
        )
        def check(
            made: dict[int, tuple[int, str | None]], asked: list[tuple[int, int, int]]
        ) -> None:
            number = next(example)
            keys = [f"orders_{number}", f"stock_{number}"]

            def entry_of(at: int, key: str, what: str | None) -> dg.EventLogEntry:
                if what in ("a", "b"):
                    return materialization("r", BEGAN + at, key, [what])
                return by_hand(at, key, what)

            log = [
                (at, key, entry_of(at, keys[key], what), what)
                for at, (key, what) in sorted(made.items())
            ]
            store_all(instance, *(entry for _, _, entry, _ in log))
            found, position = of(instance), 0
            for one, other, key in sorted(asked, key=lambda each: max(each[:2])):
                before, now = min(one, other), max(one, other)
                for at, _, entry, _ in log:
                    if position < at <= now:
                        observe(found, entry)
                position = now
                whats = [what for at, of, _, what in log if at < before and of == key]
                upstream = [(AssetKey(what),) for what in whats if what in ("a", "b")]
                packed = [said(what) if what[0] == "T" else NOTHING for what in whats if what]
                wanted = AssetKey(keys[key])
                answer = found.upstream_of([wanted], BEGAN + before, now=BEGAN + now)
                assert answer == {wanted: upstream[-1] if upstream else ()}
                expected = {wanted: packed[-1] if packed else NOTHING} if whats else {}
                assert found.of([wanted], BEGAN + before, now=BEGAN + now) == expected

        check()


@with_tables
def test_where_the_log_could_not_be_read_the_next_attempt_asks_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_all(
        instance,
        materialization("r1", BEGAN + 1, "orders", ["a"]),
        materialization("r2", BEGAN + 2, "orders"),
    )
    found = of(instance)
    for query in ("materializations", "versioned"):
        with monkeypatch.context() as patched:
            patched.setattr(EventTables, query, raises_connection_error)
            with pytest.raises(ConnectionError):
                found.upstream_of([ORDERS], BEGAN + 5, now=BEGAN + 5)
    assert found.upstream_of([ORDERS], BEGAN + 5, now=BEGAN + 5) == {ORDERS: A}
    assert found.of([ORDERS], BEGAN + 5, now=BEGAN + 5) == {ORDERS: NOTHING}


def raises_connection_error(*_: object) -> None:
    raise ConnectionError
