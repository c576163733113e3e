"""Runs of an asset's checks: one run for all of them, which ends with the last that is planned."""

from __future__ import annotations

from collections.abc import Mapping

from dagster import AssetCheckEvaluation, AssetKey
from openlineage.client.event_v2 import RunEvent, RunState
from openlineage.client.generated.base import InputDatasetFacet

from openlineage_dagster_core.conversion import custom, policy
from openlineage_dagster_core.conversion.dataset import read_dataset
from openlineage_dagster_core.conversion.envelope import Envelope, Lineage, Source
from openlineage_dagster_core.conversion.nominal_time import asset_nominal_time
from openlineage_dagster_core.facets.assertions import assertions_facet
from openlineage_dagster_core.facets.data_quality_metrics import metrics_facet
from openlineage_dagster_core.facts.model import AssetPartition, ErrorFacts
from openlineage_dagster_core.facts.progress import check_partition
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import checks_job_name


def evaluated(source: Source, evaluation: AssetCheckEvaluation) -> list[RunEvent]:
    """Convert ASSET_CHECK_EVALUATION.

    Args:
        source: the event and its facts.
        evaluation: what the event holds.

    Returns:
        START at the first evaluation, COMPLETE at the last one planned and RUNNING between them.
        One after the end, of a step that was tried again say, is a run of its own: a run ends
        once, and backends that hear of a run after its end show it as running. Each event carries
        all assertions known so far, because backends replace the earlier ones.
    """
    progress = source.facts.progress
    checked = (evaluation.asset_key, check_partition(evaluation))
    if progress.has_ended or not policy.allows_asset(source, checked[0], Family.CHECK):
        return []
    before = progress.evaluations.get(checked, {})
    known = {**before, evaluation.check_name: evaluation}
    planned = progress.planned_checks.get(checked[0], frozenset())
    is_late = bool(before) and planned <= before.keys()
    began = progress.started.get(source.entry.step_key or "", source.entry.timestamp)
    events = []
    if is_late or not before:
        events.append(_event(source, checked, known, RunState.START, began, is_late=is_late))
    if planned <= known.keys():
        events.append(_event(source, checked, known, RunState.COMPLETE, is_late=is_late))
    elif before:
        events.append(_event(source, checked, known, RunState.RUNNING))
    return events


def unfinished(source: Source, state: RunState, error: ErrorFacts | None) -> list[RunEvent]:
    """End the runs of checks some of which were never evaluated.

    Args:
        source: the event that ends the run, and its facts.
        state: FAIL or ABORT.
        error: why.

    Returns:
        The end of each run that has begun and not ended, with the assertions known.
    """
    progress = source.facts.progress
    return [
        _event(source, checked, evaluations, state, error=error)
        for checked, evaluations in sorted(progress.evaluations.items(), key=_by_name)
        if not progress.planned_checks.get(checked[0], frozenset()) <= evaluations.keys()
        and policy.allows_asset(source, checked[0], Family.CHECK)
    ]


def _by_name(item: tuple[AssetPartition, object]) -> tuple[AssetKey, str]:
    (key, partition), _ = item
    return key, partition or ""


def _event(
    source: Source,
    checked: AssetPartition,
    known: Mapping[str, AssetCheckEvaluation],
    state: RunState,
    timestamp: float | None = None,
    error: ErrorFacts | None = None,
    *,
    is_late: bool = False,
) -> RunEvent:
    facts, identity = source.facts, source.identity
    key, partition = checked
    if is_late:
        run_id = identity.late_check_run_id(facts.run, key, partition, source.entry.timestamp)
    else:
        run_id = identity.checks_run_id(facts.run, key, partition)
    envelope = Envelope(
        source,
        run_id=run_id,
        name=checks_job_name(key),
        family=Family.CHECK,
        asset=key,
        step_key=source.entry.step_key,
        partition=partition,
        run_facets=asset_nominal_time(facts.assets.get(key), partition),
    )
    event = envelope.event(state, timestamp, _lineage(source, checked, known), error)
    custom.with_additions(event, source, key)
    return event


def _lineage(
    source: Source, checked: AssetPartition, known: Mapping[str, AssetCheckEvaluation]
) -> Lineage:
    """Read the asset with the assertions on it, and what its checks compare it with."""
    key, partition = checked
    strict = source.identity.settings.strict_assertion_mapping
    input_facets: dict[str, InputDatasetFacet] = {
        "dataQualityAssertions": assertions_facet(known.values(), strict=strict)
    }
    for _, evaluation in sorted(known.items()):
        metrics = metrics_facet(evaluation.metadata)
        if metrics is not None:
            input_facets["dataQualityMetrics"] = metrics
    dataset = read_dataset(
        source,
        key,
        partitions=[partition] if partition is not None else None,
        input_facets=input_facets,
    )
    definition = source.facts.assets.get(key)
    # All events of a run have the same inputs, so what is planned decides, not what is known.
    names = source.facts.progress.planned_checks.get(key) or known.keys()
    others = {
        other
        for name, read in (definition.checks.items() if definition is not None else ())
        if name in names
        for other in read
    }
    return Lineage((dataset, *(read_dataset(source, other) for other in sorted(others - {key}))))
