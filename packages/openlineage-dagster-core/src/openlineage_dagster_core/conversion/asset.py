"""Runs of assets: START with the step, COMPLETE when materialized, FAIL or ABORT without that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dagster import AssetKey, AssetMaterialization, EventLogEntry
from openlineage.client.event_v2 import RunEvent, RunState
from openlineage.client.generated.base import JobFacet

from openlineage_dagster_core.conversion.dataset import input_dataset, output_dataset
from openlineage_dagster_core.conversion.envelope import Envelope, Lineage
from openlineage_dagster_core.facets.dataset_version import INPUT_DATA_VERSION_PREFIX
from openlineage_dagster_core.facets.documentation import job_documentation_facet
from openlineage_dagster_core.facets.nominal_time import nominal_time_facet
from openlineage_dagster_core.facets.ownership import job_ownership_facet
from openlineage_dagster_core.facets.tags import job_tags_facet
from openlineage_dagster_core.facts.model import AssetFacts, AssetPartition, ErrorFacts, Facts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, dataset_name

INPUT_TAG_PREFIXES = ("dagster/input_event_pointer/", INPUT_DATA_VERSION_PREFIX)
"""Tags of a materialization: one for every declared parent, also where no definition is at hand."""


def started(
    entry: EventLogEntry, facts: Facts, identity: Identity, step_key: str
) -> list[RunEvent]:
    """Convert STEP_START for the assets of the step.

    Args:
        entry: the event.
        facts: the run, its progress, the definitions.
        identity: gives names and ids.
        step_key: the step.

    Returns:
        START for each asset whose inputs are known already.
    """
    if step_key in facts.progress.started:
        return []
    return [
        _envelope(facts, identity, planned, step_key).event(
            RunState.START, entry.timestamp, _lineage(facts, identity, planned[0])
        )
        for planned in _planned(facts, step_key)
        if planned[0] in facts.assets
    ]


def materialized(
    entry: EventLogEntry, facts: Facts, identity: Identity, materialization: AssetMaterialization
) -> list[RunEvent]:
    """Convert ASSET_MATERIALIZATION.

    Args:
        entry: the event.
        facts: the run, its progress, the definitions.
        identity: gives names and ids.
        materialization: what the event holds.

    Returns:
        COMPLETE, after START where the step's start could not give it. Nothing where the run of
        this asset has ended: a retried step may log its materialization again.
    """
    asset = (materialization.asset_key, materialization.partition)
    step_key = entry.step_key
    progress = facts.progress
    if asset in progress.materialized or step_key in progress.ended or progress.has_ended:
        return []
    lineage = _lineage(facts, identity, asset[0], materialization)
    envelope = _envelope(facts, identity, asset, step_key)
    events = []
    if not _has_start(facts, asset, step_key):
        began = progress.started.get(step_key or "", entry.timestamp)
        events.append(envelope.event(RunState.START, began, lineage))
    return [*events, envelope.event(RunState.COMPLETE, entry.timestamp, lineage)]


def unfinished(
    entry: EventLogEntry,
    facts: Facts,
    identity: Identity,
    step_key: str,
    state: RunState,
    error: ErrorFacts | None,
) -> list[RunEvent]:
    """End the runs of those assets of a step that it did not materialize.

    Args:
        entry: the event that ends the step or the run.
        facts: the run, its progress, the definitions.
        identity: gives names and ids.
        step_key: the step.
        state: FAIL or ABORT.
        error: why.

    Returns:
        The end of each whose definition is known, after START where there was none.
    """
    done = facts.progress.materialized
    events = []
    for asset in _planned(facts, step_key):
        # Without its definition an asset has had no START, and its inputs are not known: a run
        # without them would take its edges from it.
        if asset in done or asset[0] not in facts.assets:
            continue
        envelope = _envelope(facts, identity, asset, step_key)
        lineage = _lineage(facts, identity, asset[0])
        if not _has_start(facts, asset, step_key):
            began = facts.progress.started.get(step_key, entry.timestamp)
            events.append(envelope.event(RunState.START, began, lineage))
        events.append(envelope.event(state, entry.timestamp, lineage, error))
    return events


def _planned(facts: Facts, step_key: str) -> list[AssetPartition]:
    """List what a step is to materialize, in a stable order.

    In a run for a partition Dagster plans every asset with it, those without partitions too; their
    materializations then have none. It also plans what a run only observes.
    """
    planned = set()
    for key, partition in facts.progress.planned.get(step_key, ()):
        definition = facts.assets.get(key)
        if definition is None:
            planned.add((key, partition))
        elif definition.is_materializable:
            planned.add((key, partition if definition.is_partitioned else None))
    return sorted(planned, key=lambda asset: (asset[0], asset[1] or ""))


def _has_start(facts: Facts, asset: AssetPartition, step_key: str | None) -> bool:
    """Tell whether `started` gave START: the same question, asked later."""
    return (
        asset[0] in facts.assets
        and step_key in facts.progress.started
        and asset in _planned(facts, step_key or "")
    )


def _envelope(
    facts: Facts, identity: Identity, asset: AssetPartition, step_key: str | None
) -> Envelope:
    key, partition = asset
    definition = facts.assets.get(key)
    nominal_time = nominal_time_facet(definition, partition) if partition is not None else None
    return Envelope(
        run=facts.run,
        run_id=identity.asset_run_id(facts.run, key, partition),
        namespace=identity.job_namespace(facts.run),
        name=dataset_name(key),
        family=Family.ASSET,
        step_key=step_key,
        partition=partition,
        run_facets=[("nominalTime", nominal_time)] if nominal_time else [],
        job_facets=_job_facets(definition),
    )


def _job_facets(asset: AssetFacts | None) -> list[tuple[str, JobFacet]]:
    facets: list[tuple[str, JobFacet]] = []
    if asset is None:
        return facets
    if asset.description:
        facets.append(("documentation", job_documentation_facet(asset.description)))
    if asset.owners:
        facets.append(("ownership", job_ownership_facet(asset.owners)))
    tags = job_tags_facet(asset)
    if tags is not None:
        facets.append(("tags", tags))
    return facets


def _lineage(
    facts: Facts,
    identity: Identity,
    key: AssetKey,
    materialization: AssetMaterialization | None = None,
) -> Lineage:
    definition = facts.assets.get(key)
    if definition is not None:
        upstream: Iterable[AssetKey] = definition.upstream
    else:
        upstream = _upstream_in_tags((materialization and materialization.tags) or {})
    return Lineage(
        inputs=tuple(
            input_dataset(facts, identity, parent, read_by=materialization) for parent in upstream
        ),
        outputs=(output_dataset(facts, identity, key, materialization),),
    )


def _upstream_in_tags(tags: Mapping[str, str]) -> list[AssetKey]:
    return sorted(
        {
            AssetKey.from_user_string(tag[len(prefix) :])
            for tag in tags
            for prefix in INPUT_TAG_PREFIXES
            if tag.startswith(prefix)
        }
    )
