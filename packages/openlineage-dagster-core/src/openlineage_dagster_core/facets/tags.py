"""The `tags` facet of datasets, jobs and runs: an asset's tags, kinds and group; a run's tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from openlineage.client.generated.tags_dataset import TagsDatasetFacet, TagsDatasetFacetFields
from openlineage.client.generated.tags_job import TagsJobFacet, TagsJobFacetFields
from openlineage.client.generated.tags_run import TagsRunFacet, TagsRunFacetFields

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.model import KIND_PREFIX, AssetFacts
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.redaction import redacted
from openlineage_dagster_core.version import PRODUCER

if TYPE_CHECKING:
    from dagster import TableSchema

SOURCE = "DAGSTER"
KIND = "dagster/kind"
GROUP = "dagster/group"

HIDDEN_PREFIX = ".dagster/"
"""Run tags that Dagster keeps for itself."""


def dataset_tags_facet(
    asset: AssetFacts | None, columns: TableSchema | None = None
) -> TagsDatasetFacet | None:
    """Build a dataset's facet (TagsDatasetFacet 1-0-0).

    Args:
        asset: the asset's definition, where it is known.
        columns: the asset's columns, for their tags.

    Returns:
        The facet, with the asset's own tags first and secrets masked; None where there is nothing
        to tell.
    """
    own = _tags(asset) if asset is not None else ()
    tags = [TagsDatasetFacetFields(key, value, source=SOURCE) for key, value in own]
    tags += [
        TagsDatasetFacetFields(key, value, source=SOURCE, field=column)
        for column, key, value in _column_tags(columns)
    ]
    return TagsDatasetFacet(tags=tags, producer=PRODUCER) if tags else None


def job_tags_facet(asset: AssetFacts) -> TagsJobFacet | None:
    """Build a job's facet (TagsJobFacet 1-0-0).

    Args:
        asset: the definition of the asset that the job makes.

    Returns:
        The facet, with secrets masked; None where there is nothing to tell.
    """
    tags = [TagsJobFacetFields(key, value, source=SOURCE) for key, value in _tags(asset)]
    return TagsJobFacet(tags=tags, producer=PRODUCER) if tags else None


def definition_tags_facet(tags: Mapping[str, str]) -> TagsJobFacet | None:
    """Build the facet of a Dagster job or a step (TagsJobFacet 1-0-0).

    Args:
        tags: of the job's or the op's definition.

    Returns:
        The facet, as `run_tags_facet` has it; None where there is nothing to tell.
    """
    shown = [TagsJobFacetFields(key, value, source=SOURCE) for key, value in _shown(tags)]
    return TagsJobFacet(tags=shown, producer=PRODUCER) if shown else None


def run_tags_facet(tags: Mapping[str, str]) -> TagsRunFacet | None:
    """Build a run's facet (TagsRunFacet 1-0-0).

    Args:
        tags: of the Dagster run.

    Returns:
        The facet, in the order of the keys, with secrets masked and without the tags that Dagster
        hides; None where there is nothing to tell.
    """
    shown = [TagsRunFacetFields(key, value, source=SOURCE) for key, value in _shown(tags)]
    return TagsRunFacet(tags=shown, producer=PRODUCER) if shown else None


def _shown(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in sorted(tags.items()):
        if not key.startswith(HIDDEN_PREFIX):
            yield limited(key), limited(redacted(key, limited(value)))


def _tags(asset: AssetFacts) -> Iterator[tuple[str, str]]:
    for key, value in sorted(asset.tags.items()):
        if key.startswith(KIND_PREFIX):
            yield KIND, limited(key[len(KIND_PREFIX) :])
        else:
            yield limited(key), limited(redacted(key, limited(value)))
    if asset.group:
        yield GROUP, limited(asset.group)


def _column_tags(columns: TableSchema | None) -> Iterator[tuple[str, str, str]]:
    seen = set()
    for column in columns.columns if columns else ():
        name = safe_name(column.name)
        if name in seen:
            # As in the schema: of columns with the same name the first.
            continue
        seen.add(name)
        for key, value in sorted(column.tags.items()):
            yield name, limited(key), limited(redacted(key, limited(value)))
