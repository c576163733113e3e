"""One event log through both mechanisms: the same events, ids and times included."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_sensor.cursor import Cursor
from openlineage_dagster_sensor.tick import Tick
from receiver import Receiver
from shop.definitions import defs as shop


@dg.op
def reports(context: dg.OpExecutionContext) -> None:
    """Log a materialization of an asset that this job does not make, and of one nobody defined."""
    context.log_event(dg.AssetMaterialization(["raw", "products"]))
    context.log_event(dg.AssetMaterialization("nobody"))


@dg.job
def ad_hoc() -> None:
    reports()


DEFINITIONS = dg.Definitions.merge(shop, dg.Definitions(jobs=[ad_hoc]))


@pytest.fixture
def instance(tmp_path: Path, receiver: Receiver) -> dg.DagsterInstance:
    wrapped = {
        "module": "dagster._core.storage.event_log",
        "class": "SqliteEventLogStorage",
        "config": {"base_dir": str(tmp_path / "history")},
    }
    storage = {
        "module": "dagster_openlineage",
        "class": "OpenLineageEventLogStorage",
        "config": {"wrapped": wrapped},
    }
    text = yaml.safe_dump({"telemetry": {"enabled": False}, "event_log_storage": storage})
    (tmp_path / "dagster.yaml").write_text(text)
    return dg.DagsterInstance.from_config(str(tmp_path))


def test_one_log_gives_the_same_events(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    repository = DEFINITIONS.get_repository_def()
    for job, options in (
        ("nightly", {"partition_key": "2026-01-05"}),
        ("newsletter", {}),
        ("watch_suppliers", {}),
        ("ad_hoc", {}),
    ):
        repository.get_job(job).execute_in_process(
            instance=instance, raise_on_error=False, **options
        )
    instance.dispose()
    by_storage = list(receiver.events)
    receiver.events.clear()

    tick = Tick(
        instance,
        Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository)),
        Identity(Settings()),
        [LineageClient(5), LineageClient(5)],
        EventLogFacts(lambda: instance, rereads_ended=False),
        limit=10_000,
        budget=45,
    )
    outcome = tick.run(Cursor())
    by_sensor = list(receiver.events)

    assert outcome.parked == 0
    assert len(by_storage) > 50
    logged_by_hand = [
        _taken_out(events, "ad_hoc", "raw/products") for events in (by_storage, by_sensor)
    ]
    assert _by_run(by_sensor) == _by_run(by_storage)
    # What a job logs of an asset that it does not make: only the sensor has that one's definition
    # at hand. The runs and their edges are the same.
    in_storage, in_sensor = ([_edges(event) for event in events] for events in logged_by_hand)
    assert in_storage == in_sensor
    assert len(in_storage) == 2


def _taken_out(events: list[dict[str, Any]], job: str, asset: str) -> list[dict[str, Any]]:
    taken = [
        event
        for event in events
        if "run" in event
        and event["job"]["name"] == asset
        and event["run"]["facets"]["dagster_run"]["jobName"] == job
    ]
    events[:] = [event for event in events if event not in taken]
    return taken


def _edges(event: dict[str, Any]) -> tuple[object, ...]:
    sides = [[(d["namespace"], d["name"]) for d in event[side]] for side in ("inputs", "outputs")]
    return event["eventType"], event["eventTime"], event["run"]["runId"], *sides


def _by_run(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    by_run: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        key = event["run"]["runId"] if "run" in event else event["dataset"]["name"]
        by_run.setdefault(key, []).append(event)
    return by_run
