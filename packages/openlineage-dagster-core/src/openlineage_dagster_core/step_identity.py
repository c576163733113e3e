"""Finds the OpenLineage runs of the step that this process executes, as its events will name them.

Private parts of Dagster used: the step's execution context and the outputs of its plan, of which
Dagster makes the planned materializations. They are the same from Dagster 1.11.6 on.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from dagster import AssetKey

from openlineage_dagster_core.conversion import policy, step
from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.earlier_materializations import EarlierMaterializations
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.model import (
    AssetPartition,
    Definitions,
    Facts,
    KnownRun,
    RunProgress,
)
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, asset_run_id
from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions


class StepRuns(NamedTuple):
    """The run that is the parent of what a step starts, the step's own run, and the root of all."""

    parent: KnownRun
    step: KnownRun
    root: KnownRun


def runs_of_step(context: Any, options: Mapping[str, Any]) -> StepRuns | None:
    """Return the runs of a step that executes; None if the settings send nothing of its run.

    `context` is that of an op, asset or check; `options` are those of the sensor, where it is not
    in the step's code location.
    """
    step_context = context.get_step_execution_context()
    instance = step_context.instance
    storage, repository = instance.event_log_storage, step_context.job.get_repository_definition()
    is_wrapped = getattr(storage, "openlineage_mechanism", None) is not None
    settings = storage.settings if is_wrapped else _settings_in_code(repository, options)
    record = instance.get_run_record_by_id(step_context.run_id)
    run = run_facts(record.dagster_run, record.create_timestamp)
    started_at = record.start_time or run.created_at.timestamp()
    definitions = Definitions()
    if is_wrapped:
        kept = KeptDefinitions(lambda: instance)
        definitions = kept.of_run(run.run_id, run.job_name, started_at)
    if definitions.is_disabled or not policy.allows_job(settings, run):
        return None
    # In a code location, or made by another one.
    like_run = AssetKey([run.job_name])
    graph = repository.asset_graph if repository is not None else _graph(step_context)
    is_like_asset = graph.has(like_run) or like_run in definitions.assets
    if not is_like_asset and instance.has_asset_key(like_run):
        earlier = EarlierMaterializations(lambda: instance, follows_all=False)
        is_like_asset = like_run in earlier.of([like_run], started_at, now=started_at)
    run = replace(run, parent=run.parent or definitions.parent)
    facts, identity = Facts(run, RunProgress(), is_job_like_asset=is_like_asset), Identity(settings)
    root = step.root_run(facts, identity)
    own = step.known_dagster_run(facts, identity)
    if Family.STEP in settings.families:
        own = step.known_step(facts, identity, step_context.step.key)
    made = _only_asset(step_context)
    if made is None or not policy.allows(settings, made[0], Family.ASSET):
        return StepRuns(own, own, root)
    name = identity.asset_job_name(made[0], DefinedAssets(graph).get(made[0]))
    return StepRuns(KnownRun(own.namespace, name, asset_run_id(run, *made)), own, root)


def _settings_in_code(repository: Any, options: Mapping[str, Any]) -> Settings:
    """Return the settings that the options give, else those of the code location's sensor."""
    sensors = repository.sensor_defs if repository is not None and not options else ()
    found = (getattr(sensor, SENSOR_SETTINGS, None) for sensor in sensors)
    return next(filter(None, found), None) or Settings.from_options(options)


def _graph(step_context: Any) -> Any:
    return step_context.job_def.asset_layer.asset_graph.source_asset_graph


def _only_asset(step_context: Any) -> AssetPartition | None:
    """Return the asset and partition that a step is to materialize; None if it makes several."""
    graph = step_context.job_def.asset_layer.asset_graph
    keys = {output.properties.asset_key for output in step_context.step.step_outputs} - {None}
    made = [key for key in keys if graph.get(key).is_materializable]
    if len(made) != 1:
        return None
    [key] = made
    if graph.get(key).partitions_def is None:
        return key, None
    if not step_context.has_partitions:
        # A run may have its partitions elsewhere than in its tags.
        has_others = getattr(step_context.dagster_run, "partitions_subset", None) is not None
        return None if has_others else (key, None)
    first, last = step_context.partition_key_range
    return (key, str(first)) if first == last else None
