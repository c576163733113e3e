"""Runs a Dagster job for real and converts its log, with ids and times that do not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import dagster as dg

from golden import to_json
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.progress import ProgressLog
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
    **options: Any,
) -> list[Json]:
    """Run a job and convert its log.

    Args:
        definitions: hold the job.
        job_name: the job.
        settings: of the conversion.
        knows_definitions: False converts as if no definition were at hand.
        options: of `execute_in_process`.

    Returns:
        The events as they go over the wire, validated.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        execute(definitions, job_name, instance, run_id=RUN_ID, **options)
        run = run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT)
        entries = log_of(instance, RUN_ID)
    graph = definitions.get_repository_def().asset_graph
    return converted_log(
        entries,
        Facts(run, ProgressLog().progress, DefinedAssets(graph) if knows_definitions else {}),
        settings,
    )


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
    events = []
    for entry in entries:
        events += convert(entry, replace(facts, progress=log.progress), identity)
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
