"""The smallest event that is whole, for tests of what carries events."""

from __future__ import annotations

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet

from openlineage_dagster_core.version import PRODUCER
from recorded_run import RUN_ID


def event(state: RunState = RunState.START, name: str = "nightly") -> RunEvent:
    """Make an event of a Dagster run.

    Args:
        state: the event's type.
        name: the job's.

    Returns:
        The event; a new one with facets of its own.
    """
    engine = ProcessingEngineRunFacet("1.0", name="Dagster", producer=PRODUCER)
    job_type = JobTypeJobFacet("BATCH", "DAGSTER", "JOB", producer=PRODUCER)
    return RunEvent(
        eventType=state,
        eventTime="2026-01-05T03:00:00+00:00",
        run=Run(RUN_ID, {"processing_engine": engine}),
        job=Job("dagster", name, {"jobType": job_type}),
        producer=PRODUCER,
    )
