"""Convert a Dagster event and its facts to OpenLineage events: pure, without I/O.

There is one module for each family; this one chooses the module that converts a Dagster event. The
modules plan drafts, and `convert` builds the events from them one by one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

from dagster import DagsterEventType, EventLogEntry
from openlineage.client.event_v2 import RunState

from openlineage_dagster_core.conversion import asset, check, observation, policy, run, step
from openlineage_dagster_core.conversion.envelope import Draft, Event, Source
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.progress import stored_error
from openlineage_dagster_core.families import RUN_ENDS, STEP_FAMILY
from openlineage_dagster_core.identity import Identity

# What plans the drafts of an event, of all but the events of steps
_PLANS: Mapping[DagsterEventType, Callable[[Source], Iterable[Draft]]] = {
    DagsterEventType.RUN_START: run.started,
    **dict.fromkeys(RUN_ENDS, run.ended),
    DagsterEventType.ASSET_MATERIALIZATION: asset.materialized,
    DagsterEventType.ASSET_FAILED_TO_MATERIALIZE: asset.failed,
    DagsterEventType.ASSET_CHECK_EVALUATION: check.evaluated,
    DagsterEventType.ASSET_OBSERVATION: observation.observed,
    DagsterEventType.ASSET_WIPED: observation.wiped,
}

_STEP_END_STATE = {
    DagsterEventType.STEP_SUCCESS: RunState.COMPLETE,
    DagsterEventType.STEP_FAILURE: RunState.FAIL,
    DagsterEventType.STEP_SKIPPED: RunState.ABORT,
}


def convert(
    entry: EventLogEntry, facts: Facts, identity: Identity, skip: int = 0
) -> Iterator[Event]:
    """Yield the OpenLineage events of one entry of the log, in the order to send them.

    Each is built when it is asked for; `facts.progress` must not change before the last one is. The
    same entry with the same facts always gives the same events, so a caller that delivered the
    first events goes on with `skip`: that many are not built. Events share facets: do not change
    them.
    """
    settings = identity.settings
    if not entry.is_dagster_event or not policy.allows_job(settings, facts.run):
        return
    for draft in islice(_drafts(Source(entry, facts, identity)), skip, None):
        yield policy.without_disabled_facets(settings, draft())


def _drafts(source: Source) -> Iterable[Draft]:
    event = source.entry.get_dagster_event()
    event_type = event.event_type
    if event_type in STEP_FAMILY and event.step_key:
        return _step_drafts(source, event_type, event.step_key)
    planned = _PLANS.get(event_type)
    return planned(source) if planned is not None else ()


def _step_drafts(source: Source, event_type: DagsterEventType, step_key: str) -> Iterable[Draft]:
    if source.facts.progress.has_ended:
        # A worker may go on after its run was cancelled, but the run's end has ended all steps.
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
