"""Conversion is lazy and resumable: an event is built when it is asked for, and may be left out."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from golden import to_json
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Envelope
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.materialized import NOTHING
from openlineage_dagster_core.facts.model import Facts, RunFacts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings
from recorded_run import CREATED_AT, RUN_ID, execute, log_of

DAYS = dg.StaticPartitionsDefinition(["mon", "tue", "wed"])
COLUMNS = {"dagster/column_schema": dg.TableSchema([dg.TableColumn("id", "int")])}
KEY = dg.AssetKey("table")


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata=COLUMNS,
)
def table() -> None: ...


@dg.asset(
    deps=[table],
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[
        dg.AssetCheckSpec("one", asset="broken"),
        dg.AssetCheckSpec("two", asset="broken"),
    ],
)
def broken(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log_event(dg.AssetMaterialization("broken", partition="tue"))
    context.log_event(dg.AssetCheckEvaluation(asset_key="broken", check_name="one", passed=True))
    context.log_event(dg.AssetObservation("table", partition="mon"))
    raise ValueError("boom")


DEFINITIONS = dg.Definitions(
    assets=[table, broken], jobs=[dg.define_asset_job("both", selection=[table, broken])]
)
RANGE = {
    "dagster/asset_partition_range_start": "mon",
    "dagster/asset_partition_range_end": "wed",
}


class Built:
    """Counts the events that conversion builds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        build = Envelope.event

        def counted(envelope: Envelope, *args: Any, **options: Any) -> Any:
            self.count += 1
            return build(envelope, *args, **options)

        monkeypatch.setattr(Envelope, "event", counted)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Built:
    return Built(monkeypatch)


def converted_entries(settings: Settings) -> Iterator[tuple[dg.EventLogEntry, Facts, Identity]]:
    """Run the job; give each entry with its facts, which are valid until the next one."""
    repository = DEFINITIONS.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "both", instance, run_id=RUN_ID, tags=RANGE)
        run = run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT)
        entries = log_of(instance, RUN_ID)
    log = ProgressLog()
    assets, job = DefinedAssets(repository.asset_graph), DefinedJobs(repository).get("both")
    for entry in entries:
        facts = Facts(run, log.progress, assets, job, made_before={KEY: NOTHING})
        yield entry, facts, Identity(settings)
        log.observe(entry)


@pytest.mark.parametrize(
    "options",
    [{}, {"observation_events": "run", "asset_run_parent": "step", "disabled_facets": ["schema"]}],
)
def test_what_follows_the_events_left_out_is_the_same(options: dict[str, Any]) -> None:
    lengths = []
    for entry, facts, identity in converted_entries(Settings.from_options(options)):
        whole = to_json(convert(entry, facts, identity))
        lengths.append(len(whole))
        for skip in range(len(whole) + 2):
            rest = to_json(convert(entry, facts, identity, skip))
            assert rest == whole[skip:], entry.dagster_event_type
    assert max(lengths) > 3


def test_an_event_is_built_when_it_is_asked_for(built: Built) -> None:
    # Runs of observations: conversion builds a DatasetEvent without an envelope.
    settings = Settings.from_options({"observation_events": "run"})
    for entry, facts, identity in converted_entries(settings):
        before = built.count
        events = convert(entry, facts, identity)
        assert built.count == before
        for position, _ in enumerate(events, start=1):
            assert built.count == before + position


def many_planned(count: int) -> tuple[dg.EventLogEntry, Facts, Identity]:
    """Give the STEP_START of a step that is to materialize many partitions of one asset."""
    log = ProgressLog()
    keys = [f"{number:05}" for number in range(count)]
    log.progress.planned["table"] = {KEY: set(keys)}
    graph = DEFINITIONS.get_repository_def().asset_graph
    run = RunFacts(RUN_ID, "both", CREATED_AT)
    event = dg.DagsterEvent(dg.DagsterEventType.STEP_START.value, "both", step_key="table")
    entry = dg.EventLogEntry(
        None, "debug", "", RUN_ID, 1.0, step_key="table", job_name="both", dagster_event=event
    )
    facts = Facts(run, log.progress, DefinedAssets(graph), made_before={KEY: NOTHING})
    return entry, facts, Identity(Settings())


def test_events_left_out_are_not_built(built: Built) -> None:
    entry, facts, identity = many_planned(40_000)
    events = convert(entry, facts, identity, skip=39_999)
    # The step's START comes first.
    assert [event.run.facets["dagster_run"].partition for event in events] == ["39998", "39999"]
    assert built.count == 2


def test_partitions_without_a_key_and_with_an_empty_one_have_a_fixed_order() -> None:
    entry, facts, identity = many_planned(1)
    orders = []
    for planned in ([None, "", "a"], ["a", "", None]):
        facts.progress.planned["table"][KEY] = dict.fromkeys(planned).keys()
        events = list(convert(entry, facts, identity))[1:]
        orders.append([event.run.facets["dagster_run"].partition for event in events])
    assert orders == [[None, "", "a"], [None, "", "a"]]
