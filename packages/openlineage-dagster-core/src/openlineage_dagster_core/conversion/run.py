"""Dagster runs: their own START and end, and the end of whatever they leave unfinished."""

from __future__ import annotations

from dagster import DagsterEventType, EventLogEntry
from openlineage.client.event_v2 import RunEvent, RunState

from openlineage_dagster_core.conversion import asset, check, step
from openlineage_dagster_core.conversion.envelope import Envelope
from openlineage_dagster_core.facts.model import ErrorFacts, Facts
from openlineage_dagster_core.facts.progress import stored_error
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity

END_STATE = {
    DagsterEventType.RUN_SUCCESS: RunState.COMPLETE,
    DagsterEventType.RUN_FAILURE: RunState.FAIL,
    DagsterEventType.RUN_CANCELED: RunState.ABORT,
}


def started(entry: EventLogEntry, facts: Facts, identity: Identity) -> list[RunEvent]:
    """Convert RUN_START.

    Args:
        entry: the event.
        facts: the run and its progress.
        identity: gives names and ids.

    Returns:
        START; nothing where the run has started or ended before.
    """
    if facts.progress.has_started or facts.progress.has_ended:
        return []
    return [_envelope(facts, identity).event(RunState.START, entry.timestamp)]


def ended(
    entry: EventLogEntry, facts: Facts, identity: Identity, event_type: DagsterEventType
) -> list[RunEvent]:
    """Convert RUN_SUCCESS, RUN_FAILURE or RUN_CANCELED.

    What has not ended by now ends here: after a success it was skipped (ABORT), after a failure it
    failed, after a cancellation it was aborted.

    Args:
        entry: the event.
        facts: the run, its progress, the definitions.
        identity: gives names and ids.
        event_type: which of the three.

    Returns:
        The ends of assets, steps and checks, then that of the run. Nothing where the run has ended
        before: Dagster may store several ends.
    """
    progress = facts.progress
    if progress.has_ended:
        return []
    state = END_STATE[event_type]
    reason = ErrorFacts(message=entry.message) if state is not RunState.COMPLETE else None
    error = reason and (_error(entry, facts) or reason)
    unfinished_state = RunState.ABORT if state is RunState.COMPLETE else state
    events: list[RunEvent] = []
    for step_key in sorted((progress.planned.keys() | progress.started.keys()) - progress.ended):
        # A step that never started did not fail by itself: the run's message names those that did.
        why = progress.errors.get(step_key, error) if step_key in progress.started else reason
        events += asset.unfinished(entry, facts, identity, step_key, unfinished_state, why)
        if step_key in progress.started:
            events += step.changed(entry, facts, identity, step_key, unfinished_state, why)
    events += check.unfinished(entry, facts, identity, unfinished_state, reason)
    envelope = _envelope(facts, identity)
    if not progress.has_started:
        events.append(envelope.event(RunState.START, entry.timestamp))
    return [*events, envelope.event(state, entry.timestamp, error=error)]


def _error(entry: EventLogEntry, facts: Facts) -> ErrorFacts | None:
    """Tell why a run failed: which steps did, with the first one's stack.

    Later versions of Dagster store the first step's error with RUN_FAILURE, earlier ones do not.
    """
    first = next(iter(facts.progress.errors.values()), None)
    if first is not None:
        return ErrorFacts(message=entry.message, stack=first.stack)
    return stored_error(entry.get_dagster_event())


def _envelope(facts: Facts, identity: Identity) -> Envelope:
    return Envelope(
        run=facts.run,
        run_id=identity.job_run_id(facts.run),
        namespace=identity.job_namespace(facts.run),
        name=facts.run.job_name,
        family=Family.RUN,
    )
