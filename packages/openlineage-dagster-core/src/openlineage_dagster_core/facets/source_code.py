"""The `sourceCode` job facet: the function that makes an asset."""

from __future__ import annotations

from openlineage.client.generated.source_code_job import SourceCodeJobFacet

from openlineage_dagster_core.version import PRODUCER


def source_code_facet(text: str) -> SourceCodeJobFacet:
    """Build the facet (SourceCodeJobFacet 1-0-1).

    Args:
        text: the function, cut and without secrets.

    Returns:
        The facet.
    """
    return SourceCodeJobFacet(language="python", sourceCode=text, producer=PRODUCER)
