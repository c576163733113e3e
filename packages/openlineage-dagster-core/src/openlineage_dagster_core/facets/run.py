"""The run facets that say where a run belongs: its parent, its engine, its Dagster run."""

from __future__ import annotations

import attr
from dagster import __version__ as dagster_version
from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.parent_run import Job, ParentRunFacet, Root, RootJob, RootRun, Run
from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet

from openlineage_dagster_core.version import PRODUCER, REPOSITORY_URL, __version__

DAGSTER_RUN_SCHEMA = (
    f"{REPOSITORY_URL}/blob/v{__version__}/docs/schemas/1-0-0/DagsterRunFacet.json"
    "#/$defs/DagsterRunFacet"
)


@attr.define
class DagsterRunFacet(RunFacet):
    """`dagster_run`: the Dagster run behind any run (docs/schemas, DagsterRunFacet 1-0-0).

    Args:
        runId: the Dagster run id.
        jobName: the Dagster job.
        stepKey: the full step key, for what happens in a step.
        partition: the partition key, for an asset with partitions.
        codeLocation: where the job is defined.
        repository: the repository in that location.
    """

    runId: str  # noqa: N815
    jobName: str  # noqa: N815
    stepKey: str | None = None  # noqa: N815
    partition: str | None = None
    codeLocation: str | None = None  # noqa: N815
    repository: str | None = None

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


def parent_facet(run_id: str, namespace: str, name: str) -> ParentRunFacet:
    """Build the facet of a step (ParentRunFacet 1-2-0); its parent is the root too.

    Args:
        run_id: the parent's run id.
        namespace: the parent job's namespace.
        name: the parent job's name.

    Returns:
        The facet.
    """
    return ParentRunFacet(
        run=Run(runId=run_id),
        job=Job(namespace=namespace, name=name),
        root=Root(run=RootRun(runId=run_id), job=RootJob(namespace=namespace, name=name)),
        producer=PRODUCER,
    )
