"""One event log by both mechanisms and by replay: the same events, ids and times included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from bare_storages import one_file
from dagster_home import SQLITE
from delivery import deliver, has_delivered_all
from openlineage_dagster_core.delivery.client import connect
from openlineage_dagster_core.engine import Engine
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import open_log
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.replay.replay import Replay
from openlineage_dagster_core.replay.selection import Selection
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
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


@pytest.fixture(params=["a log a run", "one log"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver
) -> Iterator[dg.DagsterInstance]:
    wrapped = one_file(tmp_path)["event_log_storage"]
    if request.param == "a log a run":
        wrapped = {**SQLITE, "config": {"base_dir": str(tmp_path / "history" / "runs")}}
    storage = {
        "module": "dagster_openlineage",
        "class": "OpenLineageEventLogStorage",
        "config": {"wrapped": wrapped, "deliver": "external", "flush_timeout": 0.0},
    }
    text = yaml.safe_dump({"telemetry": {"enabled": False}, "event_log_storage": storage})
    (tmp_path / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


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
    instance.report_runless_asset_event(dg.AssetMaterialization(["raw", "products"]))
    deliver(instance)
    assert has_delivered_all(instance)
    by_storage = list(receiver.events)
    assert len(by_storage) > 50

    receiver.events.clear()
    deliver_as_the_sensor(instance, repository)
    by_sensor = list(receiver.events)

    receiver.events.clear()
    replay = Replay(
        instance,
        Settings(),
        KeptDefinitions(lambda: instance),
        connect(5, 1_000_000),
        patience=30,
    )
    selection = Selection()
    assert replay.run(selection.runs(instance), selection.holds) is None
    assert replay.progress.refusals == []
    by_replay = list(receiver.events)

    assert _by_run(by_sensor) == _by_run(by_storage)
    assert _by_run(by_replay) == _by_run(by_storage)


def deliver_as_the_sensor(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> None:
    """Drive the engine with the definitions of the code location."""
    definitions = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    engine = Engine(
        open_log(instance, Cursor()),
        EventLogFacts(lambda: instance, GivenDefinitions(definitions)),
        Identity(Settings()),
        connect(5, 1_000_000),
    )
    outcome = engine.deliver(45, patience=5, waits_for_held=True)
    assert (outcome.parked, outcome.stopped_by, outcome.waiting) == (0, None, 0)


def _by_run(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    by_run: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        key = event["run"]["runId"] if "run" in event else event["dataset"]["name"]
        by_run.setdefault(key, []).append(event)
    return by_run
