"""Dagster runs: their own START and end, and the ends of what they leave unfinished."""

from collections.abc import Iterator
from functools import partial

from dagster import DagsterEventType
from openlineage.client.event_v2 import RunState
from openlineage.client.generated.base import RunFacet

from openlineage_dagster_core.conversion import asset, check, custom, described, step
from openlineage_dagster_core.conversion.envelope import Draft, Envelope, Event, Source
from openlineage_dagster_core.conversion.nominal_time import run_nominal_time
from openlineage_dagster_core.facets import run as run_facets
from openlineage_dagster_core.facts.model import ErrorFacts
from openlineage_dagster_core.facts.progress import stored_error
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import run_job_name

END_STATE = {
    DagsterEventType.RUN_SUCCESS: RunState.COMPLETE,
    DagsterEventType.RUN_FAILURE: RunState.FAIL,
    DagsterEventType.RUN_CANCELED: RunState.ABORT,
}
RETRY = "RETRY"  # The type of the dependency on the run that this one retries

# What launches runs and is itself a job
LAUNCHED_BY_JOBS = frozenset({"SCHEDULE", "SENSOR", "AUTOMATION"})


def started(source: Source) -> list[Draft]:
    """Return the draft for RUN_START; empty if the run has started or ended before."""
    progress = source.facts.progress
    if progress.has_started or progress.has_ended:
        return []
    return _drafts(source, RunState.START)


def ended(source: Source) -> Iterator[Draft]:
    """Yield the drafts for RUN_SUCCESS, RUN_FAILURE or RUN_CANCELED.

    Assets, steps and checks that have not ended by now end before the run does. After a success
    they were skipped (ABORT), after a failure they failed, after a cancellation they were aborted.
    Dagster may store several ends: the first one counts.
    """
    progress = source.facts.progress
    if progress.has_ended:
        return
    state = END_STATE[source.entry.get_dagster_event().event_type]
    reason = ErrorFacts(source.entry.message) if state is not RunState.COMPLETE else None
    error = reason and (_error(source) or reason)
    unfinished_state = RunState.ABORT if state is RunState.COMPLETE else state
    for step_key in sorted({*progress.planned, *progress.started} - progress.ended.keys()):
        why = progress.errors.get(step_key, error)
        if step_key not in progress.started:
            why = reason and (_error_in_graph(source, step_key) or reason)
        yield from asset.unfinished(source, step_key, unfinished_state, why)
        if step_key in progress.started:
            yield from step.changed(source, step_key, unfinished_state, why)
    yield from check.unfinished(source, state, reason)
    if not progress.has_started:
        yield from _drafts(source, RunState.START)
    yield from _drafts(source, state, error)


def _error(source: Source) -> ErrorFacts | None:
    """Return why a run failed: the run's message with the stack of the first failed step.

    Later versions of Dagster store the first step's error with RUN_FAILURE, earlier ones do not.
    """
    first = next(iter(source.facts.progress.errors.values()), None)
    if first is not None:
        return ErrorFacts(message=source.entry.message, stack=first.stack)
    return stored_error(source.entry.get_dagster_event())


def _error_in_graph(source: Source, step_key: str) -> ErrorFacts | None:
    """Return the error of another step of the graph of a step that never started.

    Without one, the step did not fail by itself: the run's message names those that did.
    """
    graph, dot, _ = step_key.partition(".")
    errors = source.facts.progress.errors.items()
    return next((why for failed, why in errors if dot and failed.startswith(graph + dot)), None)


def _drafts(source: Source, state: RunState, error: ErrorFacts | None = None) -> list[Draft]:
    if Family.RUN not in source.identity.settings.families:
        return []
    return [partial(_event, source, state, error)]


def _event(source: Source, state: RunState, error: ErrorFacts | None) -> Event:
    facts = source.facts
    envelope = Envelope(
        source,
        run_id=source.identity.run_id(facts.run),
        name=run_job_name(facts.run, is_like_asset=facts.is_job_like_asset),
        family=Family.RUN,
        run_facets=_run_facets(source),
        job_facets=described.job_facets(facts.job) if facts.job is not None else {},
    )
    return custom.with_additions(envelope.event(state, error=error), source, None)


def _run_facets(source: Source) -> dict[str, RunFacet]:
    facts, settings = source.facts, source.identity.settings
    run, outside = facts.run, facts.run.parent
    parent = run_facets.parent_facet(outside.parent, outside.root) if outside else None
    facets: dict[str, RunFacet | None] = {
        **run_nominal_time(facts),
        "parent": parent,
        "jobDependencies": run_facets.job_dependencies_facet(_launched_by(source)),
        "executionParameters": run_facets.execution_parameters_facet(
            run.config, settings.execution_parameters
        ),
        "environmentVariables": run_facets.environment_variables_facet(facts.environment),
    }
    return {name: facet for name, facet in facets.items() if facet is not None}


def _launched_by(source: Source) -> list[run_facets.Upstream]:
    run, identity = source.facts.run, source.identity
    namespace = identity.job_namespace(run)
    found = []
    if run.parent_run_id:
        name = run_job_name(run, is_like_asset=source.facts.is_job_like_asset)
        run_id = identity.retried_run_id(run)
        found.append(run_facets.Upstream(namespace, name, run_id, RETRY))
    launch = run_facets.launch_in_tags(run.tags)
    if launch is not None and launch.type in LAUNCHED_BY_JOBS:
        found.append(run_facets.Upstream(namespace, launch.name, None, launch.type))
    return found
