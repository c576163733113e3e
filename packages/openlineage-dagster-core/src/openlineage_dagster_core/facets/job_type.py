"""The `jobType` job facet: what kind of Dagster thing a job stands for."""

from __future__ import annotations

from openlineage.client.generated.job_type_job import JobTypeJobFacet

from openlineage_dagster_core.families import Family
from openlineage_dagster_core.version import PRODUCER

INTEGRATION = "DAGSTER"
"""Backends choose the service by it (OpenMetadata: `dagster_openlineage`)."""


def job_type_facet(family: Family) -> JobTypeJobFacet:
    """Build the facet (JobTypeJobFacet 2-0-4).

    Args:
        family: the kind of job.

    Returns:
        The facet.
    """
    return JobTypeJobFacet(
        processingType="BATCH", integration=INTEGRATION, jobType=family.value, producer=PRODUCER
    )
