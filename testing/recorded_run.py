"""Runs a Dagster job for real and converts its log, with ids and times that do not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import dagster as dg

from golden import to_json
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.earlier_materializations import made_by
from openlineage_dagster_core.facts.event_log import (
    DefinitionsSource,
    EventLogFacts,
    GivenDefinitions,
    run_facts,
)
from openlineage_dagster_core.facts.materialized import NOTHING
from openlineage_dagster_core.facts.model import Definitions, Facts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings

RUN_ID = "0199a1b2-0000-7000-8000-000000000001"
CREATED_AT = datetime(2026, 1, 5, 3, 0, tzinfo=timezone.utc)

Json = dict[str, Any]


def execute(
    definitions: dg.Definitions,
    job_name: str,
    instance: dg.DagsterInstance,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    """Run a job in this process; it may fail.

    Args:
        definitions: hold the job.
        job_name: the job.
        instance: keeps the log.
        options: of `execute_in_process`.

    Returns:
        Dagster's result.
    """
    job = definitions.get_repository_def().get_job(job_name)
    return job.execute_in_process(instance=instance, raise_on_error=False, **options)


def log_of(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogEntry]:
    """Read a run's log.

    Args:
        instance: keeps it.
        run_id: the run.

    Returns:
        The entries, one second apart: the times of day are no part of what is tested.
    """
    records = instance.get_records_for_run(run_id).records
    return [
        record.event_log_entry._replace(timestamp=CREATED_AT.timestamp() + second)
        for second, record in enumerate(records, start=1)
    ]


def converted(
    definitions: dg.Definitions,
    job_name: str,
    *,
    settings: Settings | None = None,
    knows_definitions: bool = True,
    was_made_before: bool = True,
    dynamic: Mapping[str, list[str]] | None = None,
    **options: Any,
) -> list[Json]:
    """Run a job and convert its log.

    Args:
        definitions: hold the job.
        job_name: the job.
        settings: of the conversion.
        knows_definitions: False converts as if no definition were at hand.
        was_made_before: whether each asset was materialized before, without a word on it.
        dynamic: by name, the keys of dynamic partitions to add first.
        options: of `execute_in_process`.

    Returns:
        The events as they go over the wire, validated.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        for name, keys in (dynamic or {}).items():
            instance.add_dynamic_partitions(name, keys)
        execute(definitions, job_name, instance, run_id=RUN_ID, **options)
        run = run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT)
        entries = log_of(instance, RUN_ID)
    facts = Facts(run, ProgressLog().progress)
    if knows_definitions:
        repository = definitions.get_repository_def()
        bytes_shown = settings.source_code_bytes if settings is not None else 0
        assets = DefinedAssets(repository.asset_graph, bytes_shown)
        facts = replace(
            facts,
            assets=assets,
            job=DefinedJobs(repository).get(job_name),
            is_job_like_asset=dg.AssetKey([job_name]) in assets,
            made_before=dict.fromkeys(assets, NOTHING) if was_made_before else {},
        )
    return converted_log(entries, facts, settings)


def converted_log(
    entries: list[dg.EventLogEntry], facts: Facts, settings: Settings | None = None
) -> list[Json]:
    """Convert a log.

    Args:
        entries: in order.
        facts: run and definitions.
        settings: of the conversion.

    Returns:
        The events as they go over the wire, validated.
    """
    identity = Identity(settings or Settings())
    log = ProgressLog()
    events: list[Event] = []
    made = dict(facts.made)
    for entry in entries:
        materialized = made_by(entry)
        if materialized is not None and materialized.packed is not None:
            made[materialized.key] = materialized.packed
        events += convert(entry, replace(facts, progress=log.progress, made=made), identity)
        log.observe(entry)
    return to_json(events)


def states_by_run(events: list[Json]) -> Mapping[tuple[str, str], list[str]]:
    """Group events by run.

    Args:
        events: in order; those that are of no run are passed over.

    Returns:
        By job name and run id, the event types in order.
    """
    states: dict[tuple[str, str], list[str]] = {}
    for event in events:
        if "run" not in event:
            continue
        states.setdefault((event["job"]["name"], event["run"]["runId"]), []).append(
            event["eventType"]
        )
    return states


def converted_instance(
    instance: dg.DagsterInstance,
    entries: list[dg.EventLogEntry],
    definitions: Definitions | DefinitionsSource | None = None,
    settings: Settings | None = None,
) -> list[Json]:
    """Convert events with the facts that the instance gives, as the engine does.

    Args:
        instance: keeps runs and logs.
        entries: of each run, all from its first on; in order.
        definitions: of the code location, or what gives those of each run; without them, what the
            event log says.
        settings: of the conversion.

    Returns:
        The events as they go over the wire, validated.
    """
    identity = Identity(settings or Settings())
    if definitions is None or isinstance(definitions, Definitions):
        definitions = GivenDefinitions(definitions or Definitions())
    # The events of other runs may be left out.
    found = EventLogFacts(lambda: instance, definitions, follows_all=False)
    events: list[Event] = []
    for position, entry in enumerate(entries, start=1):
        stored = StoredEvent(EventId(entry.run_id, position), decoded=entry)
        found.prepare([entry], lambda runs: [run.dagster_run.run_id for run in runs])
        if entry.dagster_event_type in CONVERTED:
            facts = found.facts_of(stored, entry)
            if facts is not None:
                events += convert(entry, facts, identity)
        found.advance(entry)
    return to_json(events)


def one(events: list[Json], name: str, state: str) -> Json:
    """Find the one event of a job in a state.

    Args:
        events: of any kind.
        name: the job's.
        state: the event's type.

    Returns:
        The event; the test fails where there is none or several.
    """
    [event] = [
        event
        for event in events
        if "run" in event and event["job"]["name"] == name and event["eventType"] == state
    ]
    return event


def names(datasets: list[Json]) -> list[str]:
    """List the names of datasets.

    Args:
        datasets: of one side.

    Returns:
        The names, in order.
    """
    return [dataset["name"] for dataset in datasets]


ENDS = frozenset({"COMPLETE", "FAIL", "ABORT"})


def check_runs(events: list[Json]) -> None:
    """Fail the test unless every run starts once, ends once, and has the same sides throughout.

    Args:
        events: of whole Dagster runs, in order.
    """
    for (name, _), states in states_by_run(events).items():
        assert states[0] == "START", name
        assert states.count("START") == 1, name
        assert states[-1] in ENDS, name
        assert sum(state in ENDS for state in states) == 1, name
    sides: dict[str, tuple[list[str], list[str]]] = {}
    jobs: dict[str, str] = {}
    for event in events:
        if "run" in event:
            both = (names(event["inputs"]), names(event["outputs"]))
            run_id, name = event["run"]["runId"], event["job"]["name"]
            assert sides.setdefault(run_id, both) == both, name
            assert jobs.setdefault(run_id, name) == name
