"""The `documentation` facet of datasets and jobs."""

from __future__ import annotations

from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet
from openlineage.client.generated.documentation_job import DocumentationJobFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.version import PRODUCER

MARKDOWN = "text/markdown"
"""Dagster renders every description as Markdown."""


def dataset_documentation_facet(description: str) -> DocumentationDatasetFacet:
    """Build a dataset's facet (DocumentationDatasetFacet 1-1-0).

    Args:
        description: the asset's description.

    Returns:
        The facet.
    """
    return DocumentationDatasetFacet(
        description=limited(description), contentType=MARKDOWN, producer=PRODUCER
    )


def job_documentation_facet(description: str) -> DocumentationJobFacet:
    """Build a job's facet (DocumentationJobFacet 1-1-0).

    Args:
        description: the asset's description.

    Returns:
        The facet.
    """
    return DocumentationJobFacet(
        description=limited(description), contentType=MARKDOWN, producer=PRODUCER
    )
