"""The `version` dataset facet, from Dagster's data versions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from dagster import AssetKey
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.upstream import INPUT_DATA_VERSION_PREFIX
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER

DATA_VERSION = "dagster/data_version"
"""Tag of a materialization or an observation: the version of what it made or saw."""


def data_version_facet(tags: Mapping[str, str]) -> DatasetVersionDatasetFacet | None:
    """Build the facet of what was made or seen (DatasetVersionDatasetFacet 1-0-1).

    Args:
        tags: of the materialization or the observation.

    Returns:
        The facet, None where the version is not known.
    """
    return _facet(tags.get(DATA_VERSION))


def input_version_facet(
    tags: Mapping[str, str], upstream: AssetKey
) -> DatasetVersionDatasetFacet | None:
    """Build the facet of what a materialization read (DatasetVersionDatasetFacet 1-0-1).

    Args:
        tags: of the materialization.
        upstream: the asset that was read.

    Returns:
        The facet, None where the version is not known.
    """
    return _facet(tags.get(INPUT_DATA_VERSION_PREFIX + upstream.to_user_string()))


@lru_cache(maxsize=4096)
def _facet(version: str | None) -> DatasetVersionDatasetFacet | None:
    return (
        shared(DatasetVersionDatasetFacet(limited(version), producer=PRODUCER)) if version else None
    )
