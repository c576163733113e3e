"""Each run has the definitions that held when it started, and nothing unreadable stops it."""

import json
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster import AssetKey

from log_entries import counted_queries
from openlineage_dagster_core.facts.model import AssetFacts, Definitions, JobFacts, StepFacts
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.snapshots import reading
from openlineage_dagster_core.snapshots.history import History, asset_row, job_row
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from openlineage_dagster_core.snapshots.writing import keep_definitions, keep_process_facts

RAW = AssetFacts(AssetKey("raw"), description="raw")
ORDERS = AssetFacts(AssetKey("orders"), upstream=(RAW.key,), description="first")
CHANGED = replace(ORDERS, description="second")
JOB = JobFacts(description="first", steps={"s": StepFacts("text")})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


def keep(instance: dg.DagsterInstance, at: float, *assets: AssetFacts, job: JobFacts = JOB) -> None:
    known = Definitions({asset.key: asset for asset in assets}, {"nightly": job})
    keep_definitions(KeyValues(instance), "nightly", known, at)


def kept_in(instance: dg.DagsterInstance, otherwise: Definitions | None = None) -> KeptDefinitions:
    return KeptDefinitions(lambda: instance, otherwise)


def test_a_run_has_the_definitions_of_its_start(instance: dg.DagsterInstance) -> None:
    keep(instance, 10.0, ORDERS, RAW)
    keep(instance, 20.0, CHANGED, RAW, job=replace(JOB, description="second"))
    kept = kept_in(instance)
    for at, asset, description in (
        (10.0, ORDERS, "first"),
        (19.0, ORDERS, "first"),
        (20.0, CHANGED, "second"),
        (99.0, CHANGED, "second"),
    ):
        kept.prepare(["run"], [ORDERS.key])
        found = kept.of_run("run", "nightly", at)
        assert found.assets[ORDERS.key] == asset
        assert found.assets.get(AssetKey("unknown")) is None
        assert found.jobs["nightly"].description == description
        assert kept.at(at).assets[ORDERS.key] == asset


def test_what_is_kept_later_does_not_change_what_was_said_before(
    instance: dg.DagsterInstance,
) -> None:
    """So that a replay sends what was sent."""
    keep(instance, 10.0, RAW)
    keep(instance, 20.0, RAW, ORDERS)
    kept = kept_in(instance)
    kept.prepare(["run"], [ORDERS.key, RAW.key])
    assert ORDERS.key not in kept.of_run("run", "nightly", 15.0).assets
    assert ORDERS.key not in kept.at(15.0).assets
    assert RAW.key not in kept.at(5.0).assets
    # A run from before anything was kept of its job has never been sent.
    early = kept.of_run("early", "nightly", 5.0)
    assert (early.assets[RAW.key], early.assets[ORDERS.key]) == (RAW, ORDERS)
    assert early.jobs["nightly"] == JOB


def test_definitions_that_are_kept_later_are_found(instance: dg.DagsterInstance) -> None:
    kept = kept_in(instance)
    kept.prepare(["early"], [ORDERS.key])
    assert ORDERS.key not in kept.of_run("early", "nightly", 5.0).assets
    assert kept.of_run("early", "nightly", 5.0).jobs == {}
    keep(instance, 10.0, ORDERS)
    kept.prepare(["run"], [ORDERS.key])
    assert kept.of_run("run", "nightly", 10.0).assets[ORDERS.key] == ORDERS
    keep(instance, 20.0, ORDERS, job=replace(JOB, description="second"))
    kept.prepare(["next"], [ORDERS.key])
    assert kept.of_run("next", "nightly", 20.0).jobs["nightly"].description == "second"


def test_of_a_job_without_assets_the_definition_is_found(instance: dg.DagsterInstance) -> None:
    keep(instance, 1.0, ORDERS)
    kept = kept_in(instance)
    kept.prepare(["launch fails"], [])
    assert kept.of_run("launch fails", "ops", 2.0).jobs == {}
    keep_definitions(KeyValues(instance), "ops", Definitions(jobs={"ops": JOB}), 3.0)
    kept.prepare(["run"], [])
    assert kept.of_run("run", "ops", 3.0).jobs == {"ops": JOB}


def test_the_definitions_of_many_runs_are_read_together(instance: dg.DagsterInstance) -> None:
    assets = [AssetFacts(AssetKey(str(number)), upstream=(RAW.key,)) for number in range(100)]
    keep(instance, 1.0, RAW, *assets)
    kept = kept_in(instance)
    run_ids = [f"run {number}" for number in range(100)]
    with counted_queries() as queries:
        kept.prepare(run_ids, [asset.key for asset in assets])
        for run_id in run_ids:
            found = kept.of_run(run_id, "nightly", 2.0)
            assert all(asset.key in found.assets for asset in assets)
            assert RAW.key in found.assets
    assert len(queries) <= 4
    with counted_queries() as queries:
        kept.prepare(["another"], [asset.key for asset in assets])
        kept.of_run("another", "nightly", 2.0)
    assert len(queries) == 1


def test_what_a_process_added_is_given_to_its_run(instance: dg.DagsterInstance) -> None:
    keep_process_facts(KeyValues(instance), "a", Definitions(environment={"STAGE": "prod"}))
    keep_process_facts(KeyValues(instance), "b", Definitions(is_disabled=True))
    for is_prepared in (True, False):
        kept = kept_in(instance)
        if is_prepared:
            kept.prepare(["a", "b", "c"], [])
        assert kept.of_run("a", "nightly", 1.0).environment == {"STAGE": "prod"}
        assert kept.of_run("b", "nightly", 1.0).is_disabled
        assert kept.of_run("c", "nightly", 1.0) == Definitions(
            assets=kept.of_run("c", "nightly", 1.0).assets
        )


def test_what_was_not_kept_comes_from_the_code_location(instance: dg.DagsterInstance) -> None:
    otherwise = Definitions({RAW.key: RAW, ORDERS.key: CHANGED}, {"nightly": JOB, "other": JOB})
    kept = kept_in(instance, otherwise)
    assert kept.of_run("run", "nightly", 1.0).assets[RAW.key] == RAW
    assert kept.of_run("run", "other", 1.0).jobs["other"] == JOB
    keep(instance, 1.0, ORDERS)
    kept.prepare(["next"], [])
    found = kept.of_run("next", "nightly", 1.0)
    assert (found.assets[RAW.key], found.assets[ORDERS.key]) == (RAW, ORDERS)
    assert kept.at(1.0).assets[RAW.key] == RAW


@pytest.mark.parametrize(
    "version", ["no base85 \x7f", "abc", "c", "", "{}", '{"invented": "later"}']
)
def test_a_version_that_cannot_be_read_is_as_if_it_were_not_kept(
    instance: dg.DagsterInstance, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes wrote it at the same time, or a later version of ours did."""
    keep(instance, 1.0, ORDERS, RAW)
    key_values = KeyValues(instance)
    if version.startswith("{"):
        broken = History()
        broken.add(1.0, version)
        stored = dict(vars(broken))
    else:
        stored = {"changes": [(1.0, "digest")], "versions": {"digest": version}}
    key_values.put_long(
        {asset_row(ORDERS.key.path): json.dumps(stored), job_row("nightly"): json.dumps(stored)}
    )
    kept = kept_in(instance, Definitions({ORDERS.key: CHANGED}))
    kept.prepare(["run"], [ORDERS.key])
    for _ in range(2):
        found = kept.of_run("run", "nightly", 2.0)
        assert found.assets[ORDERS.key] == CHANGED
        assert found.assets[RAW.key] == RAW
        assert found.jobs == {}
    assert len(caplog.messages) <= 2, "it is said once"


def test_versions_that_take_much_room_are_decoded_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "DECODED_BYTES", 1000)
    assets = [AssetFacts(AssetKey(str(number)), description="x" * 300) for number in range(9)]
    keep(instance, 1.0, *assets)
    kept = kept_in(instance)
    kept.prepare(["run"], [asset.key for asset in assets])
    for asset in assets * 2:
        assert kept.asset(asset.key, 1.0) == asset
    assert len(kept._decoded) <= 3
    assert kept._decoded_bytes == sum(size for _, size in kept._decoded.values())


def test_more_assets_than_are_remembered_are_found(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ASSETS_REMEMBERED", 3)
    assets = [AssetFacts(AssetKey(str(number))) for number in range(9)]
    keep(instance, 1.0, *assets)
    kept = kept_in(instance)
    kept.prepare(["run"], [asset.key for asset in assets])
    found = kept.of_run("run", "nightly", 1.0).assets
    for asset in assets:
        assert found[asset.key] == asset
