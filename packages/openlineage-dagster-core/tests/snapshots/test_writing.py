"""A run that starts keeps its definitions, with little work where they are known already."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster import AssetKey

from log_entries import counted_queries
from openlineage_dagster_core.facts.model import AssetFacts, Definitions, JobFacts, StepFacts
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.snapshots import writing
from openlineage_dagster_core.snapshots.definitions_codec import decode_asset
from openlineage_dagster_core.snapshots.history import EPOCH_ROW, History, asset_row
from openlineage_dagster_core.snapshots.process_facts import ProcessFacts, found, run_row
from openlineage_dagster_core.snapshots.writing import keep_definitions, keep_process_facts

ORDERS = AssetFacts(AssetKey("orders"), upstream=(AssetKey("raw"),), description="first")
STOCK = AssetFacts(AssetKey("stock"), description="first")
JOB = JobFacts(description="first", steps={"s": StepFacts("text")})


def definitions(*assets: AssetFacts, job: JobFacts | None = JOB) -> Definitions:
    jobs = {"nightly": job} if job is not None else {}
    return Definitions({asset.key: asset for asset in assets}, jobs)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


def asset_at(instance: dg.DagsterInstance, asset: AssetFacts, at: float) -> AssetFacts | None:
    row = asset_row(asset.key.path)
    history = History.from_text(KeyValues(instance).get_long([row]).get(row))
    digest = history.at(at)
    return decode_asset(history.text(digest)) if digest is not None else None


def epoch(instance: dg.DagsterInstance) -> str | None:
    return KeyValues(instance).get([EPOCH_ROW]).get(EPOCH_ROW)


def test_each_version_of_an_asset_is_kept_with_the_time_of_the_run(
    instance: dg.DagsterInstance,
) -> None:
    changed = replace(ORDERS, description="second")
    for at, asset in ((1.0, ORDERS), (2.0, ORDERS), (3.0, changed), (4.0, ORDERS)):
        keep_definitions(KeyValues(instance), "nightly", definitions(asset, STOCK), at)
    found = [asset_at(instance, ORDERS, at) for at in (1.0, 2.5, 3.5, 4.5)]
    assert found == [ORDERS, ORDERS, changed, ORDERS]
    assert asset_at(instance, STOCK, 9.0) == STOCK


def test_what_has_not_changed_is_one_query(instance: dg.DagsterInstance) -> None:
    known = definitions(ORDERS, STOCK)
    keep_definitions(KeyValues(instance), "nightly", known, 1.0)
    for selected in (known, definitions(ORDERS), known, definitions(ORDERS)):
        keep_definitions(KeyValues(instance), "nightly", selected, 2.0)
    before = epoch(instance)
    with counted_queries() as queries:
        keep_definitions(KeyValues(instance), "nightly", known, 3.0)
        keep_definitions(KeyValues(instance), "nightly", definitions(ORDERS), 4.0)
    assert len(queries) == 2
    assert epoch(instance) == before


def test_readers_learn_of_each_change(instance: dg.DagsterInstance) -> None:
    seen = [epoch(instance)]
    for at, known in enumerate(
        [
            definitions(ORDERS),
            definitions(replace(ORDERS, description="second")),
            definitions(replace(ORDERS, description="second"), STOCK),
            definitions(STOCK, job=replace(JOB, description="second")),
            definitions(job=replace(JOB, description="third")),
        ]
    ):
        keep_definitions(KeyValues(instance), "nightly", known, float(at))
        seen.append(epoch(instance))
    assert len(set(seen)) == len(seen)
    keep_definitions(KeyValues(instance), "another", Definitions(jobs={"another": JOB}), 9.0)
    assert epoch(instance) not in seen, "of a job without assets, too"


def test_a_version_that_another_job_has_replaced_is_kept_again(
    instance: dg.DagsterInstance,
) -> None:
    """Two code locations with different versions of one asset take turns."""
    changed = replace(ORDERS, description="second")
    for at, job, asset in (
        (1.0, "nightly", ORDERS),
        (2.0, "hourly", changed),
        (3.0, "nightly", ORDERS),
        (4.0, "hourly", changed),
    ):
        keep_definitions(KeyValues(instance), job, Definitions({asset.key: asset}), at)
    found = [asset_at(instance, ORDERS, at) for at in (1.5, 2.5, 3.5, 4.5)]
    assert found == [ORDERS, changed, ORDERS, changed]


def test_a_run_without_definitions_changes_nothing_that_is_kept(
    instance: dg.DagsterInstance,
) -> None:
    keep_definitions(KeyValues(instance), "nightly", definitions(ORDERS), 1.0)
    keep_definitions(KeyValues(instance), "nightly", Definitions(), 2.0)
    assert asset_at(instance, ORDERS, 3.0) == ORDERS


def test_selections_that_are_known_are_few(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SELECTIONS_KEPT", 2)
    many = [AssetFacts(AssetKey(str(number))) for number in range(5)]
    keep_definitions(KeyValues(instance), "nightly", definitions(*many), 1.0)
    for asset in many:
        keep_definitions(KeyValues(instance), "nightly", definitions(asset), 2.0)
    for asset, is_known in ((many[0], False), (many[4], True)):
        with counted_queries() as queries:
            keep_definitions(KeyValues(instance), "nightly", definitions(asset), 3.0)
        assert (len(queries) == 1) == is_known


def test_many_wide_assets_are_kept(instance: dg.DagsterInstance) -> None:
    columns = [dg.TableColumn(f"column_{number}", description="x" * 50) for number in range(300)]
    wide = [
        AssetFacts(AssetKey(str(number)), columns=dg.TableSchema(columns)) for number in range(70)
    ]
    keep_definitions(KeyValues(instance), "nightly", definitions(*wide), 1.0)
    assert asset_at(instance, wide[69], 2.0) == wide[69]


def test_what_a_process_adds_is_kept_by_its_run(instance: dg.DagsterInstance) -> None:
    facts = ProcessFacts(environment={"STAGE": "prod"})
    keep_process_facts(KeyValues(instance), "run", facts)
    keep_process_facts(KeyValues(instance), "silent", ProcessFacts())
    rows = KeyValues(instance).get([run_row("run"), run_row("silent")])
    assert found(rows.get(run_row("run")), "run") == facts
    assert run_row("silent") not in rows


def test_a_code_location_that_only_names_an_asset_does_not_replace_its_definition(
    instance: dg.DagsterInstance,
) -> None:
    named = AssetFacts(AssetKey("orders"), is_materializable=False, is_external=True)
    for at, asset in ((1.0, named), (2.0, ORDERS), (3.0, named)):
        keep_definitions(KeyValues(instance), f"job {at}", definitions(asset), at)
    assert [asset_at(instance, ORDERS, at) for at in (1.5, 2.5, 3.5)] == [named, ORDERS, ORDERS]
