"""The `dataQualityMetrics` facets of inputs and datasets, from metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from openlineage.client.generated import (
    data_quality_metrics_dataset,
    data_quality_metrics_input_dataset,
)

from openlineage_dagster_core.facets.output_statistics import as_count, bare, row_count
from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

LAST_UPDATED = "dagster/last_updated_timestamp"
"""Metadata: when the data last changed, in seconds since the epoch."""

COLUMN_METRICS = "openlineage/column_metrics"
"""Metadata: JSON, by column the numbers that the facet has: nullCount, distinctCount, …"""

_COUNTS = ("nullCount", "distinctCount")
_NUMBERS = ("sum", "count", "min", "max")


@dataclass(frozen=True)
class _Metrics:
    rows: int | None
    last_updated: str | None
    columns: dict[str, dict[str, Any]]


def metrics_facet(
    metadata: Mapping[str, Any],
) -> data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet | None:
    """Build an input's facet (DataQualityMetricsInputDatasetFacet 1-0-3).

    Args:
        metadata: of a materialization or an observation.

    Returns:
        The facet, None where the metadata measures nothing.
    """
    metrics = _metrics(metadata)
    if metrics is None:
        return None
    module = data_quality_metrics_input_dataset
    return module.DataQualityMetricsInputDatasetFacet(
        columnMetrics={
            column: module.ColumnMetrics(**values) for column, values in metrics.columns.items()
        },
        rowCount=metrics.rows,
        lastUpdated=metrics.last_updated,
        producer=PRODUCER,
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
    metrics = _metrics(metadata)
    if metrics is None:
        return None
    module = data_quality_metrics_dataset
    return module.DataQualityMetricsDatasetFacet(
        columnMetrics={
            column: module.ColumnMetrics(**values) for column, values in metrics.columns.items()
        },
        rowCount=metrics.rows,
        lastUpdated=metrics.last_updated,
        producer=PRODUCER,
    )


def _metrics(metadata: Mapping[str, Any]) -> _Metrics | None:
    metrics = _Metrics(
        row_count(metadata),
        _time(bare(metadata.get(LAST_UPDATED))),
        _columns(bare(metadata.get(COLUMN_METRICS))),
    )
    return None if metrics == _Metrics(None, None, {}) else metrics


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
