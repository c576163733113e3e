"""The `jobDependencies` run facet: the runs that a run came after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from openlineage.client.generated.job_dependencies_run import (
    JobDependenciesRunFacet,
    JobDependency,
    JobIdentifier,
    RunIdentifier,
)

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.names import safe_job_namespace, safe_name
from openlineage_dagster_core.version import PRODUCER


@dataclass(frozen=True)
class Upstream:
    """A job that comes before a run, and its run where that is known.

    Args:
        namespace: of the job.
        name: of the job.
        run_id: of the OpenLineage run.
        dependency_type: DIRECT_INVOCATION or IMPLICIT_DEPENDENCY.
    """

    namespace: str
    name: str
    run_id: str | None
    dependency_type: str


def job_dependencies_facet(upstream: Sequence[Upstream]) -> JobDependenciesRunFacet | None:
    """Build the facet (JobDependenciesRunFacet 1-0-1).

    Args:
        upstream: what the run came after.

    Returns:
        The facet, each once and in order, without run ids that are none; None where there is
        nothing to tell.
    """
    found = sorted(
        {
            (
                safe_job_namespace(one.namespace),
                safe_name(one.name),
                _uuid(one.run_id),
                limited(one.dependency_type),
            )
            for one in upstream
        }
    )
    if not found:
        return None
    return JobDependenciesRunFacet(
        upstream=[
            JobDependency(
                job=JobIdentifier(namespace=namespace, name=name),
                run=RunIdentifier(runId=run_id) if run_id else None,
                dependency_type=dependency_type or None,
            )
            for namespace, name, run_id, dependency_type in found
        ],
        # An empty list would say that nothing comes after, which nobody knows.
        downstream=None,
        producer=PRODUCER,
    )


def _uuid(run_id: str | None) -> str:
    try:
        return str(UUID(run_id)) if run_id else ""
    except ValueError:
        return ""
