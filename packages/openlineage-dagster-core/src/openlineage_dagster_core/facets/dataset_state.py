"""The facets of the state of a dataset in an event: `version`, `subset`, `lifecycleStateChange`."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from dagster import AssetKey
from openlineage.client.generated import base_subset_dataset as subset
from openlineage.client.generated import lifecycle_state_change_dataset as lifecycle
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet

from openlineage_dagster_core.facts.metadata import INPUT_DATA_VERSION_PREFIX
from openlineage_dagster_core.names import limited
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER

DATA_VERSION = "dagster/data_version"  # A tag of materializations and observations

# A partition's key, and the names of its dimensions with the key in each
Partition = tuple[str, tuple[tuple[str, str], ...]]


def data_version_facet(tags: Mapping[str, str]) -> DatasetVersionDatasetFacet | None:
    """Build the facet of what was made or observed (DatasetVersionDatasetFacet 1-0-1)."""
    return _version_facet(tags.get(DATA_VERSION))


def input_version_facet(
    tags: Mapping[str, str], upstream: AssetKey
) -> DatasetVersionDatasetFacet | None:
    """Build the facet of what a materialization with these tags read of an upstream asset."""
    return _version_facet(tags.get(INPUT_DATA_VERSION_PREFIX + upstream.to_user_string()))


@lru_cache(maxsize=4096)
def _version_facet(version: str | None) -> DatasetVersionDatasetFacet | None:
    if not version:
        return None
    return shared(DatasetVersionDatasetFacet(limited(version), producer=PRODUCER))


def input_subset_facet(partitions: Iterable[Partition]) -> subset.InputSubsetInputDatasetFacet:
    """Build an input's facet (InputSubsetInputDatasetFacet of BaseSubsetDatasetFacet 1-0-0).

    Without partitions, it says that nothing of the dataset is read.
    """
    return subset.InputSubsetInputDatasetFacet(_condition(partitions), producer=PRODUCER)


def output_subset_facet(partitions: Iterable[Partition]) -> subset.OutputSubsetOutputDatasetFacet:
    """Build an output's facet (OutputSubsetOutputDatasetFacet of BaseSubsetDatasetFacet 1-0-0)."""
    return subset.OutputSubsetOutputDatasetFacet(_condition(partitions), producer=PRODUCER)


def _condition(partitions: Iterable[Partition]) -> subset.PartitionSubsetCondition:
    return subset.PartitionSubsetCondition(
        partitions=[
            subset.Partition(
                dimensions={
                    limited(dimension): limited(value) for dimension, value in sorted(dimensions)
                },
                identifier=limited(key),
            )
            for key, dimensions in partitions
        ]
    )


def wiped_facet() -> lifecycle.LifecycleStateChangeDatasetFacet:
    """Build the facet (LifecycleStateChangeDatasetFacet 1-0-1) of an asset that was wiped."""
    # Dagster forgets what was made, and the asset stays defined.
    change = lifecycle.LifecycleStateChange.TRUNCATE
    return lifecycle.LifecycleStateChangeDatasetFacet(change, producer=PRODUCER)
