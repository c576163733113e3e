"""From a Dagster event and its facts to OpenLineage events: pure, without I/O.

One module a family; this one knows which module converts which Dagster event.
"""

from __future__ import annotations

from collections.abc import Sequence

from dagster import DagsterEventType, EventLogEntry
from openlineage.client.event_v2 import RunEvent, RunState

from openlineage_dagster_core.conversion import asset, check, observation, policy, run, step
from openlineage_dagster_core.conversion.envelope import Event, Source
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.progress import stored_error
from openlineage_dagster_core.families import RUN_ENDS, STEP_FAMILY
from openlineage_dagster_core.identity import Identity

_STEP_END_STATE = {
    DagsterEventType.STEP_SUCCESS: RunState.COMPLETE,
    DagsterEventType.STEP_FAILURE: RunState.FAIL,
    DagsterEventType.STEP_SKIPPED: RunState.ABORT,
}


def convert(entry: EventLogEntry, facts: Facts, identity: Identity) -> list[Event]:
    """Convert one event of the log.

    Args:
        entry: the event.
        facts: the run, how far it was before this event, and the definitions at hand.
        identity: gives names and ids.

    Returns:
        The OpenLineage events in the order to send them; the same whenever and wherever the same
        event is converted with the same facts. Their facets may be those of other events too, and
        are not to be changed.
    """
    if not entry.is_dagster_event:
        return []
    settings = identity.settings
    if not policy.allows_job(settings, facts.run):
        return []
    return [
        policy.without_disabled_facets(settings, event)
        for event in _convert(Source(entry, facts, identity))
    ]


def _convert(source: Source) -> Sequence[Event]:
    event = source.entry.get_dagster_event()
    event_type = event.event_type
    if event_type is DagsterEventType.RUN_START:
        return run.started(source)
    if event_type in RUN_ENDS:
        return run.ended(source, event_type)
    if event_type in STEP_FAMILY and event.step_key:
        return _convert_step_event(source, event_type, event.step_key)
    return _convert_asset_event(source, event_type)


def _convert_asset_event(source: Source, event_type: DagsterEventType) -> Sequence[Event]:
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
    return []


def _convert_step_event(
    source: Source, event_type: DagsterEventType, step_key: str
) -> list[RunEvent]:
    if source.facts.progress.has_ended:
        # A worker may go on after its run was cancelled; the end of the run ended all there is.
        return []
    if event_type is DagsterEventType.STEP_START:
        return [
            *step.changed(source, step_key, RunState.START),
            *asset.started(source, step_key),
        ]
    error = stored_error(source.entry.get_dagster_event())
    if event_type is DagsterEventType.STEP_UP_FOR_RETRY:
        return step.changed(source, step_key, RunState.RUNNING, error)
    if step_key in source.facts.progress.ended:
        return []
    state = _STEP_END_STATE[event_type]
    # A step that succeeds without materializing an asset skipped it: an optional output.
    asset_state = RunState.FAIL if state is RunState.FAIL else RunState.ABORT
    return [
        *asset.unfinished(source, step_key, asset_state, error),
        *step.changed(source, step_key, state, error),
    ]
