"""The `dataQualityMetrics` facets of inputs and datasets, from metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from openlineage.client.generated import (
    data_quality_metrics_dataset,
    data_quality_metrics_input_dataset,
)

from openlineage_dagster_core.facets.output_statistics import as_count, row_count
from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.metadata import value_of
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

LAST_UPDATED = "dagster/last_updated_timestamp"
"""Metadata: when the data last changed, in seconds since the epoch."""

COLUMN_METRICS = "openlineage/column_metrics"
"""Metadata: JSON, by column the numbers that the facet has: nullCount, distinctCount, …"""

STATS = "stats"
"""Metadata of dagster-polars: a table with a row for each statistic, of the columns as columns."""

_OF_STATS = {"count": "count", "null_count": "nullCount", "min": "min", "max": "max"}
_QUANTILES = {"25%": "0.25", "50%": "0.5", "75%": "0.75"}

_COUNTS = ("nullCount", "distinctCount")
_NUMBERS = ("sum", "count", "min", "max")


def metrics_facet(
    metadata: Mapping[str, Any],
) -> data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet | None:
    """Build an input's facet (DataQualityMetricsInputDatasetFacet 1-0-3).

    Args:
        metadata: of a materialization or an observation.

    Returns:
        The facet, None where the metadata measures nothing.
    """
    measured = _measured(metadata, data_quality_metrics_input_dataset.ColumnMetrics)
    if measured is None:
        return None
    return data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
        **measured, producer=PRODUCER
    )


def dataset_metrics_facet(
    metadata: Mapping[str, Any],
) -> data_quality_metrics_dataset.DataQualityMetricsDatasetFacet | None:
    """Build a dataset's facet (DataQualityMetricsDatasetFacet 1-0-1).

    Args:
        metadata: of a materialization, an observation or a definition.

    Returns:
        The facet, None where the metadata measures nothing.
    """
    measured = _measured(metadata, data_quality_metrics_dataset.ColumnMetrics)
    if measured is None:
        return None
    return data_quality_metrics_dataset.DataQualityMetricsDatasetFacet(
        **measured, producer=PRODUCER
    )


def _measured(metadata: Mapping[str, Any], column_metrics: type[Any]) -> dict[str, Any] | None:
    """Collect the fields that both facets have; each has a class of its own for a column's."""
    rows = row_count(metadata)
    last_updated = _time(value_of(metadata, LAST_UPDATED))
    columns = column_metrics_in(metadata)
    if rows is None and last_updated is None and not columns:
        return None
    return {
        "columnMetrics": {column: column_metrics(**values) for column, values in columns.items()},
        "rowCount": rows,
        "lastUpdated": last_updated,
    }


def column_metrics_in(metadata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Find what was measured of columns.

    Args:
        metadata: of a materialization or an observation.

    Returns:
        The metrics by column and name, as the facets have them.
    """
    return _columns(value_of(metadata, COLUMN_METRICS)) or _columns(_of_stats(metadata.get(STATS)))


def _of_stats(value: object) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for record in getattr(value, "records", ()):
        statistic = record.data.get("statistic")
        for column, given in record.data.items():
            number = _parsed(given)
            if column == "statistic" or number is None:
                continue
            if statistic in _QUANTILES:
                quantiles = found.setdefault(column, {}).setdefault("quantiles", {})
                quantiles[_QUANTILES[statistic]] = number
            elif statistic in _OF_STATS:
                found.setdefault(column, {})[_OF_STATS[statistic]] = number
    for metrics in found.values():
        if "nullCount" in metrics:
            metrics["nullCount"] = int(metrics["nullCount"])
    return found


def _parsed(value: object) -> float | None:
    """Read a number: polars writes those of columns of texts as texts."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _time(seconds: object) -> str | None:
    if _number(seconds) is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat()  # type: ignore[arg-type]
    except (ValueError, OverflowError, OSError):
        # No year of ours.
        return None


def _columns(value: object) -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    for name, given in _sorted_items(value):
        metrics = _column(given)
        if metrics:
            # Whatever is missing is None; the class has an empty mapping for quantiles.
            columns.setdefault(safe_name(name), {"quantiles": None, **metrics})
    return columns


def _column(value: object) -> dict[str, Any]:
    given = dict(_sorted_items(value))
    found: dict[str, Any] = {name: as_count(given.get(name)) for name in _COUNTS}
    found |= {name: _number(given.get(name)) for name in _NUMBERS}
    quantiles = ((limited(key), _number(at)) for key, at in _sorted_items(given.get("quantiles")))
    found["quantiles"] = {key: at for key, at in quantiles if at is not None} or None
    return {name: metric for name, metric in found.items() if metric is not None}


def _sorted_items(value: object) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return []
    texts = [(key, inner) for key, inner in value.items() if isinstance(key, str)]
    return sorted(texts, key=lambda item: item[0])


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        # An integer that no other language can hold.
        return None
