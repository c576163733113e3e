"""The entries of the event log that are stored: no two alike, about fifty assets."""

from __future__ import annotations

import hashlib
import time

import dagster as dg
from dagster._core.events import (
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.execution.plan.objects import StepSuccessData

from benchmarks.fifty_assets import ASSETS, COLUMNS
from benchmarks.storage.kinds import BATCH, Kind


class Entries:
    """Makes the entries of a run.

    Args:
        run_id: the run's.
        job_name: its job's.
    """

    def __init__(self, run_id: str, job_name: str) -> None:
        self._run_id = run_id
        self._job_name = job_name
        self._made = 0

    def one(self, kind: Kind) -> dg.EventLogEntry:
        """Make an entry that was not there before.

        Args:
            kind: a batch's are materializations.

        Returns:
            The entry.
        """
        self._made += 1
        step_key = f"bench__asset_{self._made % ASSETS:02}"
        if kind is Kind.LOG_LINE:
            return self._entry(step_key, None, f"loaded part {self._made}")
        if kind is Kind.STEP:
            return self._entry(step_key, self._step(step_key))
        return self._entry(step_key, self._materialization(step_key))

    def batch(self) -> list[dg.EventLogEntry]:
        """Make the entries of a batch.

        Returns:
            Materializations.
        """
        return [self.one(Kind.BATCH) for _ in range(BATCH)]

    def _entry(
        self, step_key: str, event: DagsterEvent | None, message: str = ""
    ) -> dg.EventLogEntry:
        return dg.EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=20,
            user_message=message,
            run_id=self._run_id,
            timestamp=time.time(),
            step_key=step_key,
            job_name=self._job_name,
            dagster_event=event,
        )

    def _step(self, step_key: str) -> DagsterEvent:
        begins = self._made % 2 == 0
        kind = DagsterEventType.STEP_START if begins else DagsterEventType.STEP_SUCCESS
        return DagsterEvent(
            event_type_value=kind.value,
            job_name=self._job_name,
            step_key=step_key,
            event_specific_data=None if begins else _success(self._made),
            message=f'Step "{step_key}", {self._made}.',
        )

    def _materialization(self, step_key: str) -> DagsterEvent:
        key = dg.AssetKey(step_key.split("__"))
        version = hashlib.sha256(str(self._made).encode()).hexdigest()
        materialization = dg.AssetMaterialization(
            key,
            metadata={
                "dagster/row_count": self._made,
                "dagster/column_schema": COLUMNS,
                "path": f"/lake/{step_key}/{self._made}.parquet",
            },
            tags={
                "dagster/data_version": version,
                "dagster/code_version": self._run_id,
                "dagster/input_data_version/bench/raw": version,
            },
        )
        return DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=self._job_name,
            step_key=step_key,
            event_specific_data=StepMaterializationData(materialization, []),
            message=f"Materialized value {key.to_user_string()}, {self._made}.",
        )


def _success(number: int) -> StepSuccessData:
    return StepSuccessData(duration_ms=float(number))  # type: ignore[no-untyped-call]
