"""Runs of steps: children of the Dagster run, without datasets of their own."""

from __future__ import annotations

from dagster import EventLogEntry
from openlineage.client.event_v2 import RunEvent, RunState

from openlineage_dagster_core.conversion.envelope import END_STATES, Envelope
from openlineage_dagster_core.facets.run import parent_facet
from openlineage_dagster_core.facts.model import ErrorFacts, Facts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, step_job_name


def changed(
    entry: EventLogEntry,
    facts: Facts,
    identity: Identity,
    step_key: str,
    state: RunState,
    error: ErrorFacts | None = None,
) -> list[RunEvent]:
    """Convert an event in a step's life.

    Args:
        entry: the event.
        facts: the run and its progress.
        identity: gives names and ids.
        step_key: the full step key.
        state: START, RUNNING (a retry), COMPLETE, FAIL or ABORT.
        error: why it failed or was aborted.

    Returns:
        The event; START before it where an end comes to a step that never started; nothing for a
        second START or a second end.
    """
    has_started = step_key in facts.progress.started
    has_ended = step_key in facts.progress.ended
    if has_ended or (state is RunState.START and has_started):
        return []
    namespace = identity.job_namespace(facts.run)
    envelope = Envelope(
        run=facts.run,
        run_id=identity.step_run_id(facts.run, step_key),
        namespace=namespace,
        name=step_job_name(facts.run.job_name, step_key),
        family=Family.STEP,
        step_key=step_key,
        run_facets=[
            (
                "parent",
                parent_facet(identity.job_run_id(facts.run), namespace, facts.run.job_name),
            )
        ],
    )
    events = []
    if state in END_STATES and not has_started:
        events.append(envelope.event(RunState.START, entry.timestamp))
    return [*events, envelope.event(state, entry.timestamp, error=error)]
