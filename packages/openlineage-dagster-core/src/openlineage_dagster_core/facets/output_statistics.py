"""The `outputStatistics` output facet, from a materialization's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openlineage.client.generated.output_statistics_output_dataset import (
    OutputStatisticsOutputDatasetFacet,
)

from openlineage_dagster_core.facts.metadata import value_of
from openlineage_dagster_core.version import PRODUCER

PARTITION_ROW_COUNT = "dagster/partition_row_count"
"""Metadata: rows of the partition that was made; says more of the run than the table's."""

ROW_COUNT = "dagster/row_count"
"""Metadata: rows of the table."""

ROWS_LOADED = "rows_loaded"
"""Metadata of dagster-dlt: rows of this load."""

ESTIMATED_MEGABYTES = "estimated_size_mb"
"""Metadata of dagster-polars: the size of what was written, in MiB."""

SIZE_BYTES = "openlineage/size_bytes"
"""Metadata: the bytes that were written."""

FILE_COUNT = "openlineage/file_count"
"""Metadata: the files that were written."""

LARGEST = 2**63 - 1
"""Backends keep counts in 64 bits."""


def output_statistics_facet(
    metadata: Mapping[str, Any],
) -> OutputStatisticsOutputDatasetFacet | None:
    """Build the facet (OutputStatisticsOutputDatasetFacet 1-0-2).

    Args:
        metadata: of a materialization.

    Returns:
        The facet, None where the metadata counts nothing.
    """
    rows = row_count(metadata)
    size = as_count(value_of(metadata, SIZE_BYTES))
    if size is None:
        size = _bytes(value_of(metadata, ESTIMATED_MEGABYTES))
    files = as_count(value_of(metadata, FILE_COUNT))
    if rows is None and size is None and files is None:
        return None
    return OutputStatisticsOutputDatasetFacet(
        rowCount=rows, size=size, fileCount=files, producer=PRODUCER
    )


def row_count(metadata: Mapping[str, Any]) -> int | None:
    """Read how many rows there are.

    Args:
        metadata: of a materialization, an observation or a definition.

    Returns:
        The rows of the partition or the load, else of the table; None where none is known.
    """
    keys = (PARTITION_ROW_COUNT, ROWS_LOADED, ROW_COUNT)
    counts = (as_count(value_of(metadata, key)) for key in keys)
    return next((count for count in counts if count is not None), None)


def _bytes(megabytes: object) -> int | None:
    if isinstance(megabytes, bool) or not isinstance(megabytes, (int, float)):
        return None
    if not 0 <= megabytes <= LARGEST / 2**20:
        # NaN is no number that compares.
        return None
    return round(megabytes * 2**20)


def as_count(value: object) -> int | None:
    """Check a count.

    Args:
        value: anything.

    Returns:
        The count; None where it is none, or too large for any backend.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return int(value)
    return None
