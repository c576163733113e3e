"""What every event has: time, run with its standing facets, job with its type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)
from openlineage.client.generated.base import JobFacet, RunFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet

from openlineage_dagster_core.facets.error import error_facet
from openlineage_dagster_core.facets.job_type import job_type_facet
from openlineage_dagster_core.facets.run import DagsterRunFacet, processing_engine_facet
from openlineage_dagster_core.facts.model import ErrorFacts, RunFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.version import PRODUCER

Event = RunEvent | DatasetEvent
"""What conversion makes."""

END_STATES = frozenset({RunState.COMPLETE, RunState.FAIL, RunState.ABORT})


@dataclass(frozen=True)
class Lineage:
    """The two sides of a run; all events of one run carry the same ones.

    Args:
        inputs: what the run reads.
        outputs: what it writes.
    """

    inputs: tuple[InputDataset, ...] = ()
    outputs: tuple[OutputDataset, ...] = ()


@dataclass(frozen=True)
class Envelope:
    """A job's run, ready to be put into events.

    Args:
        run: the Dagster run it belongs to.
        run_id: the OpenLineage run id.
        namespace: the job's namespace.
        name: the job's name.
        family: what the job stands for.
        step_key: the full step key, where it happens in a step.
        partition: the partition key, for an asset with partitions.
        run_facets: by key, beside the standing ones.
        job_facets: by key, beside `jobType`.
    """

    run: RunFacts
    run_id: str
    namespace: str
    name: str
    family: Family
    step_key: str | None = None
    partition: str | None = None
    run_facets: Iterable[tuple[str, RunFacet]] = ()
    job_facets: Iterable[tuple[str, JobFacet]] = ()

    def event(
        self,
        state: RunState,
        timestamp: float,
        lineage: Lineage = Lineage(),
        error: ErrorFacts | None = None,
    ) -> RunEvent:
        """Make an event of this run.

        Args:
            state: the event's type.
            timestamp: seconds since the epoch, from the Dagster event.
            lineage: both sides.
            error: why the run failed or was aborted.

        Returns:
            The event (OpenLineage 2-0-2, RunEvent).
        """
        run_facets: dict[str, RunFacet] = {"processing_engine": processing_engine_facet()}
        if self.run.run_id:
            run_facets["dagster_run"] = DagsterRunFacet(
                runId=self.run.run_id,
                jobName=self.run.job_name,
                stepKey=self.step_key,
                partition=self.partition,
                codeLocation=self.run.code_location,
                repository=self.run.repository,
                producer=PRODUCER,
            )
        run_facets.update(self.run_facets)
        if error is not None:
            run_facets["errorMessage"] = error_facet(error)
        return RunEvent(
            eventType=state,
            eventTime=event_time(timestamp),
            run=Run(runId=self.run_id, facets=run_facets),
            job=Job(
                namespace=self.namespace,
                name=self.name,
                facets={"jobType": job_type_facet(self.family), **dict(self.job_facets)},
            ),
            inputs=list(lineage.inputs),
            outputs=list(lineage.outputs),
            producer=PRODUCER,
        )


def event_time(timestamp: float) -> str:
    """Write a time as events have it.

    Args:
        timestamp: seconds since the epoch.

    Returns:
        ISO 8601 in UTC, with microseconds.
    """
    return datetime.fromtimestamp(timestamp, timezone.utc).isoformat(timespec="microseconds")


def family_of(event: Event) -> Family | None:
    """Tell what an event is about.

    Args:
        event: from conversion.

    Returns:
        The family: a run's from its `jobType`; only observations are DatasetEvents.
    """
    if isinstance(event, DatasetEvent):
        return Family.OBSERVATION
    facet = (event.job.facets or {}).get("jobType")
    return Family(facet.jobType) if isinstance(facet, JobTypeJobFacet) else None
