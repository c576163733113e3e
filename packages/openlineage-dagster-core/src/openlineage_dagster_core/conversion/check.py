"""Runs of an asset's checks: one run for all of them, which ends with the last that is planned."""

from __future__ import annotations

from dagster import AssetCheckEvaluation, AssetKey, EventLogEntry
from openlineage.client.event_v2 import RunEvent, RunState

from openlineage_dagster_core.conversion.dataset import input_dataset
from openlineage_dagster_core.conversion.envelope import Envelope, Lineage
from openlineage_dagster_core.facets.assertions import assertions_facet
from openlineage_dagster_core.facts.model import ErrorFacts, Facts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, checks_job_name


def evaluated(
    entry: EventLogEntry, facts: Facts, identity: Identity, evaluation: AssetCheckEvaluation
) -> list[RunEvent]:
    """Convert ASSET_CHECK_EVALUATION.

    Args:
        entry: the event.
        facts: the run, its progress, the definitions.
        identity: gives names and ids.
        evaluation: what the event holds.

    Returns:
        START at the first evaluation, COMPLETE at the last one planned and RUNNING between them;
        OTHER for one that nobody planned after the end. Each carries all assertions known so far,
        because backends replace the earlier ones.
    """
    if facts.progress.has_ended:
        return []
    key = evaluation.asset_key
    before = facts.progress.evaluations.get(key, {})
    known = {**before, evaluation.check_name: evaluation}
    envelope = _envelope(facts, identity, key, entry.step_key)
    lineage = _lineage(facts, identity, key, known)
    planned = facts.progress.planned_checks.get(key, frozenset())
    if before and planned <= before.keys():
        return [envelope.event(RunState.OTHER, entry.timestamp, lineage)]
    events = []
    if not before:
        began = facts.progress.started.get(entry.step_key or "", entry.timestamp)
        events.append(envelope.event(RunState.START, began, lineage))
    if planned <= known.keys():
        events.append(envelope.event(RunState.COMPLETE, entry.timestamp, lineage))
    elif before:
        events.append(envelope.event(RunState.RUNNING, entry.timestamp, lineage))
    return events


def unfinished(
    entry: EventLogEntry,
    facts: Facts,
    identity: Identity,
    state: RunState,
    error: ErrorFacts | None,
) -> list[RunEvent]:
    """End the runs of checks some of which were never evaluated.

    Args:
        entry: the event that ends the run.
        facts: the run, its progress, the definitions.
        identity: gives names and ids.
        state: FAIL or ABORT.
        error: why.

    Returns:
        The end of each run that has begun and not ended, with the assertions known.
    """
    return [
        _envelope(facts, identity, key, None).event(
            state, entry.timestamp, _lineage(facts, identity, key, dict(evaluations)), error
        )
        for key, evaluations in sorted(facts.progress.evaluations.items())
        if not facts.progress.planned_checks.get(key, frozenset()) <= evaluations.keys()
    ]


def _envelope(facts: Facts, identity: Identity, key: AssetKey, step_key: str | None) -> Envelope:
    return Envelope(
        run=facts.run,
        run_id=identity.checks_run_id(facts.run, key),
        namespace=identity.job_namespace(facts.run),
        name=checks_job_name(key),
        family=Family.CHECK,
        step_key=step_key,
    )


def _lineage(
    facts: Facts, identity: Identity, key: AssetKey, known: dict[str, AssetCheckEvaluation]
) -> Lineage:
    facet = assertions_facet(known.values(), strict=identity.settings.strict_assertion_mapping)
    return Lineage(
        inputs=(input_dataset(facts, identity, key, input_facets={"dataQualityAssertions": facet}),)
    )
