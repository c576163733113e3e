"""Runs of an asset's checks: one run for all of them, which ends with the last that is planned.

Checks that are evaluated after that end, by a retried step for example, are late: a late round is a
run of its own, because a run ends once and backends show one that goes on after its end as running.

A run of checks has two events, and only the second carries all assertions. Events between them
would carry the assertions so far again and again, which is quadratic in the number of checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from dagster import AssetCheckEvaluation, AssetKey
from openlineage.client.event_v2 import RunEvent, RunState
from openlineage.client.generated.base import InputDatasetFacet

from openlineage_dagster_core.conversion import custom, policy
from openlineage_dagster_core.conversion.dataset import read_dataset
from openlineage_dagster_core.conversion.envelope import Draft, Envelope, Lineage, Source
from openlineage_dagster_core.conversion.nominal_time import asset_nominal_time
from openlineage_dagster_core.facets.assertions import assertions_facet
from openlineage_dagster_core.facets.data_quality_metrics import metrics_facet
from openlineage_dagster_core.facts.model import AssetPartition, CheckRound, ErrorFacts
from openlineage_dagster_core.facts.progress import check_partition
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import checks_job_name


def evaluated(source: Source, evaluation: AssetCheckEvaluation) -> list[Draft]:
    """Convert ASSET_CHECK_EVALUATION.

    Args:
        source: the event and its facts.
        evaluation: what the event holds.

    Returns:
        Draft of START for the first evaluation of a round, and of COMPLETE for the last one
        planned. Where nothing is planned, each evaluation is a round. Both events carry all
        assertions known by then, because backends replace the earlier ones.
    """
    progress, timestamp = source.facts.progress, source.entry.timestamp
    checked = (evaluation.asset_key, check_partition(evaluation))
    if progress.has_ended or not policy.allows_asset(source, checked[0], Family.CHECK):
        return []
    checks = progress.check_round(checked, timestamp)
    event = partial(_event, source, checked, checks, evaluation=evaluation)
    drafts: list[Draft] = []
    if checked not in progress.check_rounds:
        began = timestamp
        if not checks.is_late:
            began = progress.started.get(source.entry.step_key or "", timestamp)
        drafts.append(partial(event, RunState.START, began))
    if checks.missing <= {evaluation.check_name}:
        drafts.append(partial(event, RunState.COMPLETE))
    return drafts


def unfinished(source: Source, run_state: RunState, error: ErrorFacts | None) -> list[Draft]:
    """End the rounds of checks in which some planned check was not evaluated.

    Args:
        source: the event that ends the run, and its facts.
        run_state: how the run ended: COMPLETE, FAIL or ABORT.
        error: why the run failed or was aborted.

    Returns:
        Drafts of the ends, with the assertions known. After a success a late round is complete,
        because each of its checks was evaluated before; another one is aborted.
    """
    first_state = RunState.ABORT if run_state is RunState.COMPLETE else run_state
    return [
        partial(
            _event,
            source,
            checked,
            checks,
            run_state if checks.is_late else first_state,
            error=error,
        )
        for checked, checks in sorted(source.facts.progress.check_rounds.items(), key=_by_name)
        if policy.allows_asset(source, checked[0], Family.CHECK)
    ]


def _by_name(item: tuple[AssetPartition, object]) -> tuple[AssetKey, str]:
    (key, partition), _ = item
    return key, partition or ""


def _event(
    source: Source,
    checked: AssetPartition,
    checks: CheckRound,
    state: RunState,
    timestamp: float | None = None,
    error: ErrorFacts | None = None,
    evaluation: AssetCheckEvaluation | None = None,
) -> RunEvent:
    facts, identity = source.facts, source.identity
    key, partition = checked
    if checks.is_late:
        run_id = identity.late_check_run_id(facts.run, key, partition, checks.began)
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
    known = dict(facts.progress.evaluations.get(checked, {}))
    if evaluation is not None:
        known[evaluation.check_name] = evaluation
    event = envelope.event(state, timestamp, _lineage(source, checked, known), error)
    custom.with_additions(event, source, key)
    return event


def _lineage(
    source: Source, checked: AssetPartition, known: Mapping[str, AssetCheckEvaluation]
) -> Lineage:
    """Return the checked asset with its assertions, and the assets that its checks also read."""
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
