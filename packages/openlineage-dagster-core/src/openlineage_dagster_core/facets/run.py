"""The run facets that say where a run belongs: its parent, its engine, its Dagster run."""

from __future__ import annotations

from collections.abc import Mapping

import attr
from dagster import __version__ as dagster_version
from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.parent_run import Job, ParentRunFacet, Root, RootJob, RootRun, Run
from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet
from openlineage.client.utils import RedactMixin

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.model import KnownRun
from openlineage_dagster_core.names import safe_job_namespace, safe_name
from openlineage_dagster_core.version import PRODUCER, SCHEMAS_URL, __version__

DAGSTER_RUN_SCHEMA = f"{SCHEMAS_URL}/1-0-0/DagsterRunFacet.json#/$defs/DagsterRunFacet"


@attr.define
class Launch(RedactMixin):
    """What launched a Dagster run.

    Args:
        type: SCHEDULE, SENSOR, AUTOMATION, BACKFILL or USER.
        name: of the schedule, the sensor, the backfill or the user.
    """

    type: str
    name: str


@attr.define
class DagsterRunFacet(RunFacet):
    """`dagster_run`: the Dagster run behind any run (docs/schemas, DagsterRunFacet 1-0-0).

    Args:
        runId: the Dagster run id.
        jobName: the Dagster job.
        stepKey: the full step key, for what happens in a step.
        attempt: which attempt at the step, from 1; None for what happens in no step.
        partition: the partition key, for an asset with partitions.
        codeLocation: where the job is defined.
        repository: the repository in that location.
        codeVersion: the version of the asset's code.
        parentRunId: the Dagster run that this one retries.
        rootRunId: the first Dagster run of that chain.
        launch: what launched the Dagster run, where it is known.
        url: the Dagster run in the Dagster UI.
    """

    runId: str  # noqa: N815
    jobName: str  # noqa: N815
    stepKey: str | None = None  # noqa: N815
    attempt: int | None = None
    partition: str | None = None
    codeLocation: str | None = None  # noqa: N815
    repository: str | None = None
    codeVersion: str | None = None  # noqa: N815
    parentRunId: str | None = None  # noqa: N815
    rootRunId: str | None = None  # noqa: N815
    launch: Launch | None = None
    url: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return DAGSTER_RUN_SCHEMA


def processing_engine_facet() -> ProcessingEngineRunFacet:
    """Build the facet (ProcessingEngineRunFacet 1-1-1); DataHub finds its orchestrator by it.

    Returns:
        The facet.
    """
    return ProcessingEngineRunFacet(
        version=dagster_version,
        name="Dagster",
        openlineageAdapterVersion=__version__,
        producer=PRODUCER,
    )


NAME_BYTES = 4096
"""Of what is a name or a key in `dagster_run`, which no limit on an event's size leaves out."""

LAUNCH_TAGS = (
    ("dagster/backfill", "BACKFILL"),
    ("dagster/schedule_name", "SCHEDULE"),
    ("dagster/sensor_name", "SENSOR"),
    ("user", "USER"),
)
"""Run tags that name what launched a run; the first that is there counts."""

AUTOMATION_TAGS = ("dagster/from_automation_condition", "dagster/auto_materialize")
"""Run tags that tell an automation's sensor from one of the user's own."""


def launch_in_tags(tags: Mapping[str, str]) -> Launch | None:
    """Find what launched a Dagster run.

    Args:
        tags: the run's.

    Returns:
        Its type and name, None where the tags do not say.
    """
    for tag, kind in LAUNCH_TAGS:
        if name := tags.get(tag):
            is_automation = kind == "SENSOR" and any(tags.get(tag) for tag in AUTOMATION_TAGS)
            return Launch("AUTOMATION" if is_automation else kind, limited(name, NAME_BYTES))
    return None


def parent_facet(parent: KnownRun, root: KnownRun | None = None) -> ParentRunFacet:
    """Build the facet (ParentRunFacet 1-2-0).

    Args:
        parent: the run that this one belongs to.
        root: the run that it all began with, where it is not the parent.

    Returns:
        The facet.
    """
    first = root or parent
    return ParentRunFacet(
        run=Run(runId=parent.run_id),
        job=Job(namespace=safe_job_namespace(parent.namespace), name=safe_name(parent.name)),
        root=Root(
            run=RootRun(runId=first.run_id),
            job=RootJob(namespace=safe_job_namespace(first.namespace), name=safe_name(first.name)),
        ),
        producer=PRODUCER,
    )
