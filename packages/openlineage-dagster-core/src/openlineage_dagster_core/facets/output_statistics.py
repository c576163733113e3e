"""The `outputStatistics` output facet, from a materialization's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openlineage.client.generated.output_statistics_output_dataset import (
    OutputStatisticsOutputDatasetFacet,
)

from openlineage_dagster_core.version import PRODUCER

PARTITION_ROW_COUNT = "dagster/partition_row_count"
"""Metadata: rows of the partition that was made; says more of the run than the table's."""

ROW_COUNT = "dagster/row_count"
"""Metadata: rows of the table."""


def output_statistics_facet(
    metadata: Mapping[str, Any],
) -> OutputStatisticsOutputDatasetFacet | None:
    """Build the facet (OutputStatisticsOutputDatasetFacet 1-0-2).

    Args:
        metadata: of a materialization.

    Returns:
        The facet, None where the metadata counts nothing.
    """
    for key in (PARTITION_ROW_COUNT, ROW_COUNT):
        value = getattr(metadata.get(key), "value", None)
        if isinstance(value, int) and not isinstance(value, bool):
            return OutputStatisticsOutputDatasetFacet(rowCount=value, producer=PRODUCER)
    return None
