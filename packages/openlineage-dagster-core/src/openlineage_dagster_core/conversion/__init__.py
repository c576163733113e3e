"""Convert a Dagster event and its facts to OpenLineage events: pure, without I/O.

There is one module for each family; this one chooses the module that converts a Dagster event. The
modules plan drafts, and `convert` builds the events from them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from dagster import DagsterEventType, EventLogEntry
from openlineage.client.event_v2 import RunState

from openlineage_dagster_core.conversion import asset, check, observation, policy, run, step
from openlineage_dagster_core.conversion.envelope import Draft, Event, Source
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.progress import stored_error
from openlineage_dagster_core.families import RUN_ENDS, STEP_FAMILY
from openlineage_dagster_core.identity import Identity

_STEP_END_STATE = {
    DagsterEventType.STEP_SUCCESS: RunState.COMPLETE,
    DagsterEventType.STEP_FAILURE: RunState.FAIL,
    DagsterEventType.STEP_SKIPPED: RunState.ABORT,
}


def convert(
    entry: EventLogEntry, facts: Facts, identity: Identity, skip: int = 0
) -> Iterator[Event]:
    """Convert one event of the log, lazily.

    The same entry with the same facts always gives the same events in the same order, so the
    position of an event names it: a caller that delivered the first events goes on with `skip`.

    Args:
        entry: the event; `facts.progress` must not change before the last event is built.
        facts: the run, how far it was before this event, and the definitions.
        identity: gives names and ids.
        skip: how many events to leave out at the beginning; they are not built.

    Yields:
        The OpenLineage events in the order to send them, each built when it is asked for. They
        share facets with other events: do not change facets in place.
    """
    settings = identity.settings
    if not entry.is_dagster_event or not policy.allows_job(settings, facts.run):
        return
    for draft in islice(_drafts(Source(entry, facts, identity)), skip, None):
        yield policy.without_disabled_facets(settings, draft())


def _drafts(source: Source) -> Iterable[Draft]:
    event = source.entry.get_dagster_event()
    event_type = event.event_type
    if event_type is DagsterEventType.RUN_START:
        return run.started(source)
    if event_type in RUN_ENDS:
        return run.ended(source, event_type)
    if event_type in STEP_FAMILY and event.step_key:
        return _step_drafts(source, event_type, event.step_key)
    return _asset_drafts(source, event_type)


def _asset_drafts(source: Source, event_type: DagsterEventType) -> Iterable[Draft]:
    event = source.entry.get_dagster_event()
    if event_type is DagsterEventType.ASSET_MATERIALIZATION:
        return asset.materialized(source, event.step_materialization_data.materialization)
    if event_type is DagsterEventType.ASSET_FAILED_TO_MATERIALIZE:
        return asset.failed(source)
    if event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return check.evaluated(source, event.asset_check_evaluation_data)
    if event_type is DagsterEventType.ASSET_OBSERVATION:
        return observation.observed(source, event.asset_observation_data.asset_observation)
    if event_type is DagsterEventType.ASSET_WIPED:
        return observation.wiped(source)
    return ()


def _step_drafts(source: Source, event_type: DagsterEventType, step_key: str) -> Iterable[Draft]:
    if source.facts.progress.has_ended:
        # A worker may go on after its run was cancelled; the run's end has ended all its steps.
        return ()
    if event_type is DagsterEventType.STEP_START:
        return chain(
            step.changed(source, step_key, RunState.START), asset.started(source, step_key)
        )
    error = stored_error(source.entry.get_dagster_event())
    if event_type is DagsterEventType.STEP_UP_FOR_RETRY:
        return step.changed(source, step_key, RunState.RUNNING, error)
    if step_key in source.facts.progress.ended:
        return ()
    state = _STEP_END_STATE[event_type]
    # A step that succeeds without materializing an asset skipped it: an optional output.
    asset_state = RunState.FAIL if state is RunState.FAIL else RunState.ABORT
    return chain(
        asset.unfinished(source, step_key, asset_state, error),
        step.changed(source, step_key, state, error),
    )
