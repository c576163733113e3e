"""The `subset` facets of inputs and outputs: the partitions that were read and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openlineage.client.generated import base_subset_dataset

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.version import PRODUCER

Partition = tuple[str, Mapping[str, str]]
"""A partition's key, and the key in each of its dimensions."""


def input_subset_facet(
    partitions: Sequence[Partition],
) -> base_subset_dataset.InputSubsetInputDatasetFacet:
    """Build an input's facet (InputSubsetInputDatasetFacet of BaseSubsetDatasetFacet 1-0-0).

    Args:
        partitions: those that were read.

    Returns:
        The facet, with the partitions in their order; without any, nothing of it.
    """
    return base_subset_dataset.InputSubsetInputDatasetFacet(
        inputCondition=_condition(partitions), producer=PRODUCER
    )


def output_subset_facet(
    partitions: Sequence[Partition],
) -> base_subset_dataset.OutputSubsetOutputDatasetFacet:
    """Build an output's facet (OutputSubsetOutputDatasetFacet of BaseSubsetDatasetFacet 1-0-0).

    Args:
        partitions: those that were made.

    Returns:
        The facet, with the partitions in their order; without any, nothing of it.
    """
    return base_subset_dataset.OutputSubsetOutputDatasetFacet(
        outputCondition=_condition(partitions), producer=PRODUCER
    )


def _condition(
    partitions: Sequence[Partition],
) -> base_subset_dataset.PartitionSubsetCondition:
    return base_subset_dataset.PartitionSubsetCondition(
        partitions=[
            base_subset_dataset.Partition(
                dimensions={
                    limited(dimension): limited(value)
                    for dimension, value in sorted(dimensions.items())
                },
                identifier=limited(key),
            )
            for key, dimensions in partitions
        ]
    )
