"""Follows a run event by event, by the private data of Dagster's events."""

from typing import Any

from dagster import AssetCheckEvaluation, DagsterEvent, DagsterEventType, EventLogEntry

from openlineage_dagster_core.facts.model import ErrorFacts, RunProgress
from openlineage_dagster_core.families import FOLLOWED, RUN_ENDS, STEP_ENDS


class ProgressLog:
    """Takes the events of one run in order, and keeps `progress` up to date."""

    def __init__(self) -> None:
        self.progress = RunProgress()

    def observe(self, entry: EventLogEntry) -> None:
        """Take in the next event of the run; those that are not `FOLLOWED` change nothing."""
        event = entry.dagster_event
        # Dagster computes the type at each access.
        event_type = event.event_type if event is not None else None
        if event is None or event_type not in FOLLOWED:
            return
        progress = self.progress
        if event_type in RUN_ENDS:
            progress.has_ended = True
        elif event_type is DagsterEventType.RUN_START:
            progress.has_started = True
        elif event_type in STEP_ENDS and event.step_key:
            progress.ended.setdefault(event.step_key, progress.position)
            if (error := stored_error(event)) is not None:
                progress.errors.setdefault(event.step_key, error)
        elif event_type is DagsterEventType.STEP_START and event.step_key:
            # A retried step starts again; its OpenLineage run began the first time.
            progress.started.setdefault(event.step_key, entry.timestamp)
        elif event_type is DagsterEventType.STEP_UP_FOR_RETRY and event.step_key:
            progress.retries[event.step_key] += 1
        else:
            self._observe_asset(event, event_type, entry.timestamp)
        progress.position += 1

    def _observe_asset(
        self, event: DagsterEvent, event_type: DagsterEventType | None, timestamp: float
    ) -> None:
        progress = self.progress
        if event_type is DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            plan = event.asset_materialization_planned_data
            if event.step_key:
                subset = plan.partitions_subset
                partitions = subset.get_partition_keys() if subset else [plan.partition]
                planned = progress.planned.setdefault(event.step_key, {})
                planned.setdefault(plan.asset_key, set()).update(partitions)
                progress.planned_keys.setdefault(plan.asset_key, set()).add(event.step_key)
        elif event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            check = event.asset_check_planned_data
            checks = progress.planned_checks.setdefault(check.asset_key, {})
            checks[check.check_name] = event.step_key
        elif event_type is DagsterEventType.ASSET_MATERIALIZATION:
            self._observe_made(event.step_materialization_data.materialization)
        elif event_type is DagsterEventType.ASSET_FAILED_TO_MATERIALIZE:
            self._observe_made(event.asset_failed_to_materialize_data)
        elif event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            self._observe_evaluation(event.asset_check_evaluation_data, timestamp)

    def _observe_made(self, made: Any) -> None:
        partitions = self.progress.materialized.setdefault(made.asset_key, {})
        partitions.setdefault(made.partition, self.progress.position)

    def _observe_evaluation(self, evaluation: AssetCheckEvaluation, timestamp: float) -> None:
        rounds = self.progress.check_rounds
        checked = (evaluation.asset_key, check_partition(evaluation))
        current = rounds[checked] = self.progress.check_round(checked, timestamp)
        evaluations = self.progress.evaluations.setdefault(checked, {})
        evaluations[evaluation.check_name] = evaluation
        current.missing.discard(evaluation.check_name)
        if not current.missing:
            del rounds[checked]


def check_partition(evaluation: AssetCheckEvaluation) -> str | None:
    """Return the partition key; None for a check of the whole asset, and before Dagster 1.13."""
    return getattr(evaluation, "partition", None)


def stored_error(event: DagsterEvent) -> ErrorFacts | None:
    """Return the error stored with an event: the message of its first cause, and all stacks."""
    error = getattr(event.event_specific_data, "error", None)
    if error is None:
        return None
    first = error
    while first.cause is not None:
        first = first.cause
    return ErrorFacts(message=first.message.strip(), stack=error.to_string().strip())
