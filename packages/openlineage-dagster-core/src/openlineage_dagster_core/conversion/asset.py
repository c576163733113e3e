"""Runs of assets: START with the step, COMPLETE when materialized, otherwise FAIL or ABORT.

All events of a run carry the same schema and names, because Marquez keeps the schema of any one of
them. A START that may learn something from the materialization therefore waits for it, and carries
the time of the step's start.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from dagster import AssetKey, AssetMaterialization
from openlineage.client.event_v2 import InputDataset, RunState
from openlineage.client.generated.base import RunFacet

from openlineage_dagster_core.conversion import custom, dataset, described, policy, queried
from openlineage_dagster_core.conversion.envelope import Draft, Envelope, Event, Lineage, Source
from openlineage_dagster_core.conversion.nominal_time import asset_nominal_time
from openlineage_dagster_core.conversion.step import step_as_parent
from openlineage_dagster_core.facts import materialized as materialized_facts
from openlineage_dagster_core.facts.dbt_failures import skipped_or_failed
from openlineage_dagster_core.facts.definitions import upstream_of
from openlineage_dagster_core.facts.metadata import named_assets, upstream_in_tags
from openlineage_dagster_core.facts.model import AssetPartition, ErrorFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import asset_run_id
from openlineage_dagster_core.options import AssetRunParent


def started(source: Source, step_key: str) -> Iterator[Draft]:
    """Yield START for each planned asset partition whose inputs and schema are known already."""
    progress = source.facts.progress
    if step_key in progress.started:
        return
    for key in _planned_keys(source, step_key):
        if not _is_known_at_start(source, key, step_key):
            continue
        # Another step may have logged its materialization by hand.
        materialized = progress.materialized.get(key, ())
        for partition in _planned_partitions(source, step_key, key):
            if partition not in materialized:
                yield partial(_event, source, (key, partition), step_key, RunState.START)


def materialized(source: Source) -> list[Draft]:
    """Return the drafts for ASSET_MATERIALIZATION.

    COMPLETE comes after START if the step's start gave none. If the asset's run has ended, by a
    failure or an earlier materialization, the events are of a further run: for Dagster, the latest
    materialization counts.
    """
    materialization = source.entry.get_dagster_event().step_materialization_data.materialization
    asset = (materialization.asset_key, materialization.partition)
    step_key = source.entry.step_key
    if not policy.allows_asset(source, asset[0], Family.ASSET) or source.facts.progress.has_ended:
        return []
    event = partial(_event, source, asset, step_key, made_by=materialization)
    drafts: list[Draft] = []
    if _is_over(source, asset, step_key):
        event = partial(event, repeated_at=source.entry.timestamp)
        drafts.append(partial(event, RunState.START))
    elif not _has_start(source, asset, step_key):
        drafts.append(partial(event, RunState.START, _began(source, step_key)))
    drafts.append(partial(event, RunState.COMPLETE))
    return drafts


def failed(source: Source) -> list[Draft]:
    """Return the drafts for ASSET_FAILED_TO_MATERIALIZE, which only Dagster+ stores.

    FAIL, or ABORT for a skipped asset, comes after START if there was none. If the asset's run has
    ended with its step, there is nothing to draft.
    """
    event = source.entry.get_dagster_event()
    data = event.asset_failed_to_materialize_data
    failure = data.asset_materialization_failure
    key, step_key = failure.asset_key, event.step_key
    definition = source.facts.assets.get(key)
    is_partitioned = definition is None or definition.partitions is not None
    asset = (key, failure.partition if is_partitioned else None)
    upstream = upstream_in_tags(failure.tags or {})
    if not policy.allows_asset(source, key, Family.ASSET) or _is_over(source, asset, step_key):
        return []
    if definition is None and not upstream:
        return []
    state, error = RunState.ABORT, None
    if failure.failure_type.value == "FAILED":
        stored = data.error
        message = stored.message.strip() if stored else failure.reason.value
        error = ErrorFacts(message, stored.to_string().strip() if stored else "")
        state = RunState.FAIL
    draft = partial(_event, source, asset, step_key, upstream=upstream)
    drafts: list[Draft] = []
    if not _has_start(source, asset, step_key):
        drafts.append(partial(draft, RunState.START, _began(source, step_key)))
    drafts.append(partial(draft, state, error=error))
    return drafts


def unfinished(
    source: Source, step_key: str, state: RunState, error: ErrorFacts | None
) -> Iterator[Draft]:
    """Yield the ends (FAIL or ABORT) of the assets that a step did not materialize.

    Each end comes after START if there was none. Assets with unknown inputs are left out.
    """
    facts = source.facts
    began = _began(source, step_key)
    keys = list(_planned_keys(source, step_key))
    of_dbt = skipped_or_failed(error, keys) if error and state is RunState.FAIL else {}
    for key in keys:
        # Without a definition and an earlier materialization, the inputs are not known, and there
        # was no START: a run without inputs would remove the asset's edges.
        if key not in facts.assets and not facts.earlier_upstream.get(key):
            continue
        has_start = _starts_with_step(source, key, step_key)
        materialized = facts.progress.materialized.get(key, ())
        for partition in _planned_partitions(source, step_key, key):
            if partition in materialized:
                continue
            draft = partial(_event, source, (key, partition), step_key)
            if not has_start:
                yield partial(draft, RunState.START, began)
            if key in of_dbt:
                has_failed, why = of_dbt[key]
                yield partial(draft, RunState.FAIL if has_failed else RunState.ABORT, error=why)
            else:
                yield partial(draft, state, error=error)


def _is_over(source: Source, asset: AssetPartition, step_key: str | None) -> bool:
    progress = source.facts.progress
    return progress.is_materialized(asset) or step_key in progress.ended or progress.has_ended


def _began(source: Source, step_key: str | None) -> float:
    return source.facts.progress.started.get(step_key or "", source.entry.timestamp)


def _planned_keys(source: Source, step_key: str) -> Iterator[AssetKey]:
    """Yield the assets that a step is to materialize, sorted, without those it only observes."""
    for key in sorted(source.facts.progress.planned.get(step_key, ())):
        definition = source.facts.assets.get(key)
        is_materializable = definition is None or definition.is_materializable
        if is_materializable and policy.allows_asset(source, key, Family.ASSET):
            yield key


def _planned_partitions(source: Source, step_key: str, key: AssetKey) -> list[str | None]:
    """Return the partitions of an asset that a step is to materialize, sorted.

    In a run for a partition Dagster plans every asset with it, also those without partitions; their
    materializations have none.
    """
    definition = source.facts.assets.get(key)
    if definition is not None and definition.partitions is None:
        return [None]
    planned = source.facts.progress.planned[step_key][key]
    whole: list[str | None] = [None] if None in planned else []
    return whole + sorted(partition for partition in planned if partition is not None)


def _is_known_at_start(source: Source, key: AssetKey, step_key: str) -> bool:
    """Return True if the materializations of a step will tell nothing new of an asset."""
    definition = source.facts.assets.get(key)
    if definition is None or not is_settled(source, key):
        return False
    progress = source.facts.progress
    read = upstream_of(definition) & progress.planned.get(step_key, {}).keys()
    # Dagster need not make these before the step starts.
    read.update(progress.planned_keys.keys() & named_assets(definition.additions))
    return all(is_settled(source, each) for each in read)


def is_settled(source: Source, key: AssetKey) -> bool:
    """Return True if a materialization in this run will tell nothing new of an asset."""
    settings = source.identity.settings
    return materialized_facts.is_settled(
        source.facts,
        key,
        with_columns="schema" not in settings.disabled_facets,
        with_query=settings.sql_lineage,
    )


def _starts_with_step(source: Source, key: AssetKey, step_key: str | None) -> bool:
    """Return True if `started` gave START for each planned partition of an asset."""
    return (
        step_key is not None
        and step_key in source.facts.progress.started
        and _is_known_at_start(source, key, step_key)
    )


def _has_start(source: Source, asset: AssetPartition, step_key: str | None) -> bool:
    """Return True if `started` gave START for an asset partition."""
    key, partition = asset
    definition = source.facts.assets.get(key)
    planned = source.facts.progress.planned.get(step_key or "", {}).get(key)
    if definition is None or not definition.is_materializable or planned is None:
        return False
    if not _starts_with_step(source, key, step_key):
        return False
    return partition is None if definition.partitions is None else partition in planned


def _event(
    source: Source,
    asset: AssetPartition,
    step_key: str | None,
    state: RunState,
    timestamp: float | None = None,
    made_by: AssetMaterialization | None = None,
    error: ErrorFacts | None = None,
    upstream: Iterable[AssetKey] = (),
    repeated_at: float | None = None,
) -> Event:
    key, partition = asset
    facts, identity = source.facts, source.identity
    kind = "asset" if repeated_at is None else "repeated asset"
    asset_facts = materialized_facts.described(facts, key)
    run_facets: dict[str, RunFacet] = asset_nominal_time(facts.assets.get(key), partition)
    if identity.settings.asset_run_parent is AssetRunParent.STEP and step_key is not None:
        run_facets["parent"] = step_as_parent(source, step_key)
    envelope = Envelope(
        source,
        run_id=asset_run_id(facts.run, key, partition, kind, repeated_at),
        name=identity.asset_job_name(key, facts.assets.get(key)),
        family=Family.ASSET,
        asset=key,
        step_key=step_key,
        partition=partition,
        run_facets=run_facets,
        job_facets=described.asset_job_facets(asset_facts) if asset_facts is not None else {},
    )
    lineage = _lineage(source, asset, made_by, upstream)
    event = envelope.event(state, timestamp, lineage, error)
    return custom.with_additions(event, source, key, made_by.metadata if made_by else None)


def _lineage(
    source: Source,
    asset: AssetPartition,
    made_by: AssetMaterialization | None,
    upstream: Iterable[AssetKey],
) -> Lineage:
    key, partition = asset
    definition = source.facts.assets.get(key)

    def read(parent: AssetKey) -> InputDataset:
        parts = None
        if definition is not None and parent in definition.upstream_partitions:
            of_parent = definition.upstream_partitions[parent]
            at, last = source.facts.run.created_at, source.facts.last_partitions
            parts = of_parent.keys(definition.partitions, partition, at, last)
        return dataset.read_dataset(source, parent, read_by=made_by, partitions=parts)

    if definition is not None:
        upstream = definition.upstream
    elif made_by is not None:
        upstream = upstream_in_tags(made_by.tags or {})
    keys = list(upstream or source.facts.earlier_upstream.get(key, ()))
    metadata = made_by.metadata if made_by is not None else {}
    query = queried.query_of(source, key, keys, metadata)
    columns = query.column_lineage if query is not None else tuple
    written = dataset.written_dataset(source, key, partition, made_by, columns)
    lineage = Lineage(tuple(map(read, keys)), (written, *dataset.child_datasets(source, key)))
    lineage = custom.with_datasets(lineage, source, key, metadata, read)
    return query.with_tables(lineage) if query is not None else lineage
