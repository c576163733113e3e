"""Runs of an asset's checks: one run for all, which ends with the last planned check.

Checks that are evaluated after that end, by a retried step for example, are late. A late round is a
run of its own: a run ends only once, and backends show one that goes on after its end as running.

A run of checks has two events, and only the second carries all assertions. Events in between would
repeat all assertions so far, which is quadratic in the number of checks. Both describe what was
checked alike: START waits for the end if an asset that the checks read is still to be made.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from dagster import AssetCheckEvaluation, AssetKey
from openlineage.client.event_v2 import RunState
from openlineage.client.generated.base import InputDatasetFacet, RunFacet

from openlineage_dagster_core.conversion import custom, described, policy
from openlineage_dagster_core.conversion.asset import is_settled
from openlineage_dagster_core.conversion.dataset import read_dataset
from openlineage_dagster_core.conversion.envelope import Draft, Envelope, Event, Lineage, Source
from openlineage_dagster_core.conversion.nominal_time import asset_nominal_time
from openlineage_dagster_core.facets import data_quality
from openlineage_dagster_core.facts.model import AssetPartition, CheckFacts, CheckRound, ErrorFacts
from openlineage_dagster_core.facts.progress import check_partition
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import asset_run_id


def evaluated(source: Source) -> list[Draft]:
    """Return the drafts for ASSET_CHECK_EVALUATION.

    The first evaluation of a round gives START, unless that waits, and the last planned one
    COMPLETE. Without planned checks each evaluation is a round. Both events carry all assertions
    known by then, because backends replace earlier ones.
    """
    evaluation = source.entry.get_dagster_event().asset_check_evaluation_data
    progress, timestamp = source.facts.progress, source.entry.timestamp
    checked = (evaluation.asset_key, check_partition(evaluation))
    if progress.has_ended or not policy.allows_asset(source, checked[0], Family.CHECK):
        return []
    checks = progress.check_round(checked, timestamp)
    event = partial(_event, source, checked, checks, evaluation=evaluation)
    is_first = checked not in progress.check_rounds
    is_last = checks.missing <= {evaluation.check_name}
    has_start = is_first
    if is_first != is_last and _start_waits(source, checked, checks):
        has_start = is_last
    drafts: list[Draft] = []
    if has_start:
        drafts.append(partial(event, RunState.START, _began(source, checked, checks)))
    if is_last:
        drafts.append(partial(event, RunState.COMPLETE))
    return drafts


def unfinished(source: Source, run_state: RunState, error: ErrorFacts | None) -> Iterator[Draft]:
    """Yield the ends of the rounds in which some planned check was not evaluated.

    A round ends as the run does (COMPLETE, FAIL or ABORT) if the step of a missing check failed or
    did not end. Otherwise that step never ran, or left its check out: the round is complete if any
    check was evaluated, and aborted after START if none was.
    """
    progress, now = source.facts.progress, source.entry.timestamp
    rounds = dict(progress.check_rounds)
    for key in progress.planned_checks.keys() - {key for key, _ in progress.evaluations}:
        rounds[(key, None)] = progress.check_round((key, None), now)
    for checked in sorted(rounds, key=lambda checked: (checked[0], checked[1] or "")):
        checks = rounds[checked]
        if not policy.allows_asset(source, checked[0], Family.CHECK):
            continue
        planned = progress.planned_checks.get(checked[0], {})
        steps = {planned.get(name) or "" for name in checks.missing} & progress.started.keys()
        state = RunState.COMPLETE if checked in progress.evaluations else RunState.ABORT
        if any(step in progress.errors or step not in progress.ended for step in steps):
            state = RunState.ABORT if run_state is RunState.COMPLETE else run_state
        event = partial(_event, source, checked, checks)
        if checked not in progress.evaluations or _start_waits(source, checked, checks):
            yield partial(event, RunState.START, _began(source, checked, checks))
        why = _why(checks, error) if state is not RunState.COMPLETE else None
        yield partial(event, state, error=why)


def _start_waits(source: Source, checked: AssetPartition, checks: CheckRound) -> bool:
    """Return True if what was made after a round began may describe differently what it reads.

    The answer is the same throughout the round.
    """
    key, partition = checked
    reads = {each for check in _defined(source, key, ()).values() for each in check.reads}
    return any(
        _was_unmade(source, each, partition if each == key else None, checks.position)
        and not is_settled(source, each)
        for each in {key, *reads}
    )


def _was_unmade(source: Source, key: AssetKey, partition: str | None, began: int) -> bool:
    """Return True if the run had still to make an asset, or one partition, at a position."""
    progress, definition = source.facts.progress, source.facts.assets.get(key)
    made = progress.materialized.get(key, {})
    # In a run for a partition Dagster plans every asset with it.
    is_whole = definition is not None and definition.partitions is None
    return any(
        made.get(each, began) >= began
        for step_key in progress.planned_keys.get(key, ())
        if progress.ended.get(step_key, began) >= began
        for each in ({None} if is_whole else progress.planned[step_key][key])
        if partition in (None, each)
    )


def _began(source: Source, checked: AssetPartition, checks: CheckRound) -> float:
    """Return when the first step of the checks started; for a late round, its first evaluation."""
    started = source.facts.progress.started
    planned = source.facts.progress.planned_checks.get(checked[0], {})
    steps = started.keys() & {source.entry.step_key, *planned.values()}
    if checks.is_late:
        return checks.began
    return min((started[step] for step in steps), default=checks.began)


def _defined(source: Source, key: AssetKey, known: Collection[str]) -> dict[str, CheckFacts]:
    """Return the definitions of the planned checks of an asset, else of the known ones.

    Not only what is known decides: all events of a run must describe their job alike.
    """
    asset = source.facts.assets.get(key)
    names = source.facts.progress.planned_checks.get(key) or known
    return {name: each for name, each in asset.checks.items() if name in names} if asset else {}


def _why(checks: CheckRound, error: ErrorFacts | None) -> ErrorFacts:
    again = " again" if checks.is_late else ""
    said = f"These planned checks were not evaluated{again}: {', '.join(sorted(checks.missing))}."
    return ErrorFacts(f"{said} {error.message}" if error is not None else said)


def _event(
    source: Source,
    checked: AssetPartition,
    checks: CheckRound,
    state: RunState,
    timestamp: float | None = None,
    error: ErrorFacts | None = None,
    evaluation: AssetCheckEvaluation | None = None,
) -> Event:
    facts, identity = source.facts, source.identity
    key, partition = checked
    # The id of a late round differs from that of the first one.
    kind, began = ("late check", checks.began) if checks.is_late else ("checks", None)
    known = dict(facts.progress.evaluations.get(checked, {}))
    if evaluation is not None:
        known[evaluation.check_name] = evaluation
    defined = _defined(source, key, known)
    planned = facts.progress.planned_checks.get(key, {})
    run_facets: dict[str, RunFacet] = dict(asset_nominal_time(facts.assets.get(key), partition))
    skipped = planned.keys() - known.keys() if state is not RunState.START else ()
    if known or skipped:
        strict = identity.settings.strict_assertion_mapping
        run_facets["test"] = data_quality.results_facet(known, skipped, defined, strict=strict)
    envelope = Envelope(
        source,
        run_id=asset_run_id(facts.run, key, partition, kind, began),
        name=identity.checks_job_name(key, facts.assets.get(key)),
        family=Family.CHECK,
        asset=key,
        step_key=source.entry.step_key,
        partition=partition,
        run_facets=run_facets,
        job_facets=described.check_facets(defined),
    )
    event = envelope.event(state, timestamp, _lineage(source, checked, known, defined), error)
    return custom.with_additions(event, source, key)


def _lineage(
    source: Source,
    checked: AssetPartition,
    known: Mapping[str, AssetCheckEvaluation],
    defined: Mapping[str, CheckFacts],
) -> Lineage:
    """Return the checked asset with its assertions, and the assets that its checks also read."""
    key, partition = checked
    strict = source.identity.settings.strict_assertion_mapping
    input_facets: dict[str, InputDatasetFacet] = {}
    if known:
        assertions = data_quality.assertions_facet(known, defined, strict=strict)
        input_facets["dataQualityAssertions"] = assertions
    for _, evaluation in sorted(known.items()):
        if (metrics := data_quality.metrics_facet(evaluation.metadata)) is not None:
            input_facets["dataQualityMetrics"] = metrics
    partitions = [partition] if partition is not None else None
    dataset = read_dataset(source, key, partitions=partitions, input_facets=input_facets)
    others = {other for check in defined.values() for other in check.reads}
    return Lineage((dataset, *(read_dataset(source, other) for other in sorted(others - {key}))))
