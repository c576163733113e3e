"""The `tags` facet of datasets and jobs, from an asset's tags, kinds and group."""

from __future__ import annotations

from collections.abc import Iterator

from openlineage.client.generated.tags_dataset import TagsDatasetFacet, TagsDatasetFacetFields
from openlineage.client.generated.tags_job import TagsJobFacet, TagsJobFacetFields

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.version import PRODUCER

SOURCE = "DAGSTER"
KIND_PREFIX = "dagster/kind/"
"""Dagster keeps a kind as a tag without a value."""

KIND = "dagster/kind"
GROUP = "dagster/group"


def dataset_tags_facet(asset: AssetFacts) -> TagsDatasetFacet | None:
    """Build a dataset's facet (TagsDatasetFacet 1-0-0).

    Args:
        asset: the asset's definition.

    Returns:
        The facet, None where there is nothing to tell.
    """
    tags = [TagsDatasetFacetFields(key, value, source=SOURCE) for key, value in _tags(asset)]
    return TagsDatasetFacet(tags=tags, producer=PRODUCER) if tags else None


def job_tags_facet(asset: AssetFacts) -> TagsJobFacet | None:
    """Build a job's facet (TagsJobFacet 1-0-0).

    Args:
        asset: the definition of the asset that the job makes.

    Returns:
        The facet, None where there is nothing to tell.
    """
    tags = [TagsJobFacetFields(key, value, source=SOURCE) for key, value in _tags(asset)]
    return TagsJobFacet(tags=tags, producer=PRODUCER) if tags else None


def _tags(asset: AssetFacts) -> Iterator[tuple[str, str]]:
    for key, value in sorted(asset.tags.items()):
        if key.startswith(KIND_PREFIX):
            yield KIND, key[len(KIND_PREFIX) :]
        else:
            yield key, value
    if asset.group:
        yield GROUP, asset.group
