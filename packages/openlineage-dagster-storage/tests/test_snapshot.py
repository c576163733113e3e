"""What only the process of a run knows is kept when the run starts."""

import dataclasses
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import AssetKey

from log_entries import run_event
from openlineage_dagster_core.facts.model import Definitions, KnownRun, OutsideParent
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from openlineage_dagster_storage import snapshot
from openlineage_dagster_storage.snapshot import keep_snapshot
from recorded_run import check_runs, converted_instance, names, one

RUN_ID = "0199a1b2-0000-7000-8000-000000000001"
PARENT_ID = "01890000-0000-7000-8000-000000000002"
START = 1.8e9


@dg.asset
def raw() -> None: ...


@dg.asset(deps=[raw], description="Orders")
def orders() -> None: ...


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


def start() -> dg.EventLogEntry:
    return run_event(RUN_ID, START, dg.DagsterEventType.RUN_START)


def kept_of(instance: dg.DagsterInstance) -> Definitions:
    return KeptDefinitions(lambda: instance).of_run(RUN_ID, "j", START)


def test_the_parent_and_the_variables_of_the_process_are_kept(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"ns/job/{PARENT_ID}")
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.setenv("PASSWORD_OF_OURS", "a-secret")
    settings = dataclasses.replace(Settings(), environment_variables=("STAGE",))
    keep_snapshot(instance, start(), settings)
    found = kept_of(instance)
    assert found.parent == OutsideParent(KnownRun("ns", "job", PARENT_ID))
    assert found.environment == {"STAGE": "prod"}
    assert not found.is_disabled


def test_of_a_process_that_is_disabled_nothing_else_is_kept(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"ns/job/{PARENT_ID}")
    monkeypatch.setattr(
        snapshot, "executing_definitions", lambda *_: pytest.fail("it looks for definitions")
    )
    keep_snapshot(instance, start(), Settings())
    found = kept_of(instance)
    assert found.is_disabled
    assert found.parent is None


def test_outside_an_executing_process_there_are_no_definitions(
    instance: dg.DagsterInstance,
) -> None:
    keep_snapshot(instance, start(), Settings())
    assert kept_of(instance).jobs == {}
    assert AssetKey("orders") not in kept_of(instance).assets


@pytest.fixture
def keeping_instance(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> dg.DagsterInstance:
    """Keep snapshots as the storage does: in `store_event`, in the process that runs the job."""
    storage = instance.event_log_storage
    store_event = storage.store_event

    def storing(event: dg.EventLogEntry) -> None:
        if event.dagster_event_type is dg.DagsterEventType.RUN_START:
            keep_snapshot(instance, event, Settings(source_code_bytes=1000))
        store_event(event)

    monkeypatch.setattr(storage, "store_event", storing)
    return instance


def test_the_definitions_of_the_executing_job_are_kept(
    keeping_instance: dg.DagsterInstance,
) -> None:
    job = dg.define_asset_job("nightly", description="At night")
    definitions = dg.Definitions([raw, orders], jobs=[job])
    result = (
        definitions.get_repository_def()
        .get_job("nightly")
        .execute_in_process(instance=keeping_instance, run_id=RUN_ID)
    )
    assert result.success
    [record] = keeping_instance.get_run_records()
    assert record.start_time is not None
    found = KeptDefinitions(lambda: keeping_instance).of_run(RUN_ID, "nightly", record.start_time)
    assert found.assets[AssetKey("orders")].upstream == (AssetKey("raw"),)
    assert found.assets[AssetKey("orders")].description == "Orders"
    text = found.assets[AssetKey("orders")].source_text
    assert text == '@dg.asset(deps=[raw], description="Orders")\ndef orders() -> None: ...\n'
    assert found.jobs["nightly"].description == "At night"


def test_the_assets_of_a_run_that_never_started_are_those_of_earlier_runs(
    keeping_instance: dg.DagsterInstance,
) -> None:
    jobs = [dg.define_asset_job(name) for name in ("nightly", "by_hand")]
    repository = dg.Definitions([raw, orders], jobs=jobs).get_repository_def()
    repository.get_job("nightly").execute_in_process(instance=keeping_instance)
    run = keeping_instance.create_run_for_job(repository.get_job("by_hand"), run_id=RUN_ID)
    keeping_instance.report_run_failed(run, "Could not launch")
    records = keeping_instance.get_records_for_run(RUN_ID).records

    events = converted_instance(
        keeping_instance,
        [record.event_log_entry for record in records],
        KeptDefinitions(lambda: keeping_instance),
    )

    check_runs(events)
    failed = one(events, "orders", "FAIL")
    assert names(failed["inputs"]) == ["raw"]
    assert "Could not launch" in failed["run"]["facets"]["errorMessage"]["message"]
