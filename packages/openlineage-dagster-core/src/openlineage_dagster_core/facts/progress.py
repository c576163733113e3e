"""Follows a run event by event: what was planned, what has started, ended, been materialized."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster import AssetCheckEvaluation, AssetKey, DagsterEventType, EventLogEntry

from openlineage_dagster_core.facts.model import (
    AssetPartition,
    AssetPartitions,
    CheckRound,
    ErrorFacts,
    RunProgress,
)
from openlineage_dagster_core.families import CONVERTED, RUN_ENDS, STEP_ENDS

if TYPE_CHECKING:
    from dagster._core.events import DagsterEvent
    from dagster_shared.error import SerializableErrorInfo

FOLLOWED = CONVERTED | {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
"""The events that tell how far a run is; an event that is converted must be found among them."""


class ProgressLog:
    """Takes the events of one run in order and keeps what matters."""

    def __init__(self) -> None:
        self._planned: defaultdict[str, dict[AssetKey, set[str | None]]] = defaultdict(dict)
        self._planned_keys: set[AssetKey] = set()
        self._planned_checks: defaultdict[AssetKey, dict[str, str | None]] = defaultdict(dict)
        self._started: dict[str, float] = {}
        self._ended: set[str] = set()
        self._retries: Counter[str] = Counter()
        self._materialized: defaultdict[AssetKey, set[str | None]] = defaultdict(set)
        self._evaluations: defaultdict[AssetPartition, dict[str, AssetCheckEvaluation]] = (
            defaultdict(dict)
        )
        self._check_rounds: dict[AssetPartition, CheckRound] = {}
        self._missing_checks: dict[AssetPartition, set[str]] = {}
        self._errors: dict[str, ErrorFacts] = {}
        self._has_started = False
        self._has_ended = False

    @property
    def progress(self) -> RunProgress:
        """What has happened so far; a view that is valid until the next `observe`."""
        return RunProgress(
            planned=self._planned,
            planned_keys=self._planned_keys,
            planned_checks=self._planned_checks,
            started=self._started,
            ended=self._ended,
            retries=self._retries,
            materialized=AssetPartitions(self._materialized),
            evaluations=self._evaluations,
            check_rounds=self._check_rounds,
            errors=self._errors,
            has_started=self._has_started,
            has_ended=self._has_ended,
        )

    def observe(self, entry: EventLogEntry) -> None:
        """Take in the next event.

        Args:
            entry: an event of the run; those that are not `FOLLOWED` change nothing.
        """
        event = entry.dagster_event
        # Dagster makes the type anew each time it is asked.
        event_type = event.event_type if event is not None else None
        if event is None or event_type not in FOLLOWED:
            return
        if event_type in RUN_ENDS:
            self._has_ended = True
        elif event_type is DagsterEventType.RUN_START:
            self._has_started = True
        elif event_type in STEP_ENDS and event.step_key:
            self._ended.add(event.step_key)
            error = stored_error(event)
            if error is not None:
                self._errors.setdefault(event.step_key, error)
        elif event_type is DagsterEventType.STEP_START and event.step_key:
            # A retried step starts again; its OpenLineage run began the first time.
            self._started.setdefault(event.step_key, entry.timestamp)
        elif event_type is DagsterEventType.STEP_UP_FOR_RETRY and event.step_key:
            self._retries[event.step_key] += 1
        else:
            self._observe_asset(event, event_type, entry.timestamp)

    def _observe_asset(
        self, event: DagsterEvent, event_type: DagsterEventType | None, timestamp: float
    ) -> None:
        if event_type is DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            plan = event.asset_materialization_planned_data
            if event.step_key:
                partitions = (
                    plan.partitions_subset.get_partition_keys()
                    if plan.partitions_subset
                    else [plan.partition]
                )
                self._planned[event.step_key].setdefault(plan.asset_key, set()).update(partitions)
                self._planned_keys.add(plan.asset_key)
        elif event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            planned_check = event.asset_check_planned_data
            planned_checks = self._planned_checks[planned_check.asset_key]
            planned_checks[planned_check.check_name] = event.step_key
        elif event_type is DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            self._materialized[materialization.asset_key].add(materialization.partition)
        elif event_type is DagsterEventType.ASSET_FAILED_TO_MATERIALIZE:
            failure = event.asset_failed_to_materialize_data
            self._materialized[failure.asset_key].add(failure.partition)
        elif event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            self._observe_evaluation(event.asset_check_evaluation_data, timestamp)

    def _observe_evaluation(self, evaluation: AssetCheckEvaluation, timestamp: float) -> None:
        checked = (evaluation.asset_key, check_partition(evaluation))
        if checked not in self._check_rounds:
            begun = self.progress.check_round(checked, timestamp)
            missing = self._missing_checks[checked] = set(begun.missing)
            self._check_rounds[checked] = replace(begun, missing=missing)
        self._evaluations[checked][evaluation.check_name] = evaluation
        missing = self._missing_checks[checked]
        missing.discard(evaluation.check_name)
        if not missing:
            del self._check_rounds[checked], self._missing_checks[checked]


def check_partition(evaluation: AssetCheckEvaluation) -> str | None:
    """Return the partition that a check was made of.

    Args:
        evaluation: the evaluation of the check.

    Returns:
        The partition key; None for a check of the whole asset, and before Dagster 1.13.
    """
    return getattr(evaluation, "partition", None)


def stored_error(event: DagsterEvent) -> ErrorFacts | None:
    """Return the error that Dagster stored with an event.

    Args:
        event: STEP_FAILURE, STEP_UP_FOR_RETRY, RUN_FAILURE or any other event.

    Returns:
        The message of the first cause, which the user's code raised, and all stacks; None where the
        event holds no error.
    """
    error: SerializableErrorInfo | None = getattr(event.event_specific_data, "error", None)
    if error is None:
        return None
    first = error
    while first.cause is not None:
        first = first.cause
    return ErrorFacts(message=first.message.strip(), stack=error.to_string().strip())
