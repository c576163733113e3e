"""The facets of what checks and metadata say of data; without a measurement, they are None."""

import contextlib
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from dagster import AssetCheckEvaluation, AssetCheckSeverity
from openlineage.client.generated import data_quality_assertions_dataset as assertions
from openlineage.client.generated import data_quality_metrics_dataset as dataset_metrics
from openlineage.client.generated import data_quality_metrics_input_dataset as input_metrics
from openlineage.client.generated import output_statistics_output_dataset as output_statistics
from openlineage.client.generated.test_run import TestExecution, TestRunFacet

from openlineage_dagster_core.facts.metadata import value_of
from openlineage_dagster_core.facts.model import CheckFacts
from openlineage_dagster_core.names import limited, safe_name
from openlineage_dagster_core.version import PRODUCER

# Keys of metadata, those with the number of rows in the order of preference
ROW_COUNTS = (
    "dagster/partition_row_count",  # Of the partition that was made
    "rows_loaded",  # Of this load, by dagster-dlt
    "dagster/row_count",  # Of the table
)
ESTIMATED_MEGABYTES = "estimated_size_mb"  # MiB that were written, by dagster-polars
SIZE_BYTES = "openlineage/size_bytes"  # Bytes that were written
FILE_COUNT = "openlineage/file_count"  # Files that were written
LAST_UPDATED = "dagster/last_updated_timestamp"  # Seconds since the epoch
COLUMN_METRICS = "openlineage/column_metrics"  # JSON: by column, the metrics of the facet
STATS = "stats"  # A table of dagster-polars: a row for each statistic
COLUMN_KEYS = ("dagster/column", "column")  # Of an evaluation, for the column a check is about
_UNDEFINED = CheckFacts()
LARGEST = 2**63 - 1  # Backends keep counts in 64 bits
_OF_STATS = {"count": "count", "null_count": "nullCount", "min": "min", "max": "max"}
_QUANTILES = {"25%": "0.25", "50%": "0.5", "75%": "0.75"}
_COUNTS = ("nullCount", "distinctCount")
_NUMBERS = ("sum", "count", "min", "max")


def assertions_facet(
    evaluations: Mapping[str, AssetCheckEvaluation],
    defined: Mapping[str, CheckFacts],
    *,
    strict: bool,
) -> assertions.DataQualityAssertionsDatasetFacet:
    """Build the facet (DataQualityAssertionsDatasetFacet 1-1-0), sorted by the checks' names.

    Evaluations and definitions are by check; some definitions may be missing. If `strict`, a check
    that passes with severity WARN counts as failed.
    """
    found = []
    for name, evaluation in sorted(evaluations.items()):
        check = defined.get(name, _UNDEFINED)
        description = evaluation.description or check.description
        found.append(
            assertions.Assertion(
                assertion=limited(check.kind or name),
                success=_passed(evaluation, strict=strict),
                column=_checked_column(evaluation.metadata, check),
                severity=evaluation.severity.value.lower(),
                name=limited(name),
                description=limited(description) if description else None,
            )
        )
    return assertions.DataQualityAssertionsDatasetFacet(assertions=found, producer=PRODUCER)


def results_facet(
    evaluations: Mapping[str, AssetCheckEvaluation],
    skipped: Iterable[str],
    defined: Mapping[str, CheckFacts],
    *,
    strict: bool,
) -> TestRunFacet:
    """Build the facet (TestRunFacet 1-0-1); like `assertions_facet`, with the skipped checks."""
    tests = []
    for name in sorted({*evaluations, *skipped}):
        evaluation, check = evaluations.get(name), defined.get(name, _UNDEFINED)
        status, severity, description = "skip", None, check.description
        if evaluation is not None:
            status = "pass" if _passed(evaluation, strict=strict) else "fail"
            severity = evaluation.severity.value.lower()
            description = description or evaluation.description
        tests.append(
            TestExecution(
                name=limited(name),
                status=status,
                severity=severity,
                type=limited(check.kind) if check.kind else None,
                description=limited(description) if description else None,
            )
        )
    return TestRunFacet(tests=tests, producer=PRODUCER)


def _passed(evaluation: AssetCheckEvaluation, *, strict: bool) -> bool:
    return evaluation.passed and not (strict and evaluation.severity is AssetCheckSeverity.WARN)


def _checked_column(metadata: Mapping[str, Any], check: CheckFacts) -> str | None:
    for key in COLUMN_KEYS:
        value = getattr(metadata.get(key), "value", None)
        if isinstance(value, str) and value:
            return safe_name(value)
    return safe_name(check.column) if check.column else None


def output_statistics_facet(
    metadata: Mapping[str, Any],
) -> output_statistics.OutputStatisticsOutputDatasetFacet | None:
    """Build an output's facet (OutputStatisticsOutputDatasetFacet 1-0-2)."""
    rows = _row_count(metadata)
    size = _as_count(value_of(metadata, SIZE_BYTES))
    if size is None:
        megabytes = _number(value_of(metadata, ESTIMATED_MEGABYTES))
        if megabytes is not None and 0 <= megabytes <= LARGEST / 2**20:
            size = round(megabytes * 2**20)
    files = _as_count(value_of(metadata, FILE_COUNT))
    if rows is None and size is None and files is None:
        return None
    return output_statistics.OutputStatisticsOutputDatasetFacet(
        rowCount=rows, size=size, fileCount=files, producer=PRODUCER
    )


def _row_count(metadata: Mapping[str, Any]) -> int | None:
    counts = (_as_count(value_of(metadata, key)) for key in ROW_COUNTS)
    return next((count for count in counts if count is not None), None)


def _as_count(value: object) -> int | None:
    """Return a count; None for anything else, and for one too large for backends."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return int(value)
    return None


def metrics_facet(
    metadata: Mapping[str, Any],
) -> input_metrics.DataQualityMetricsInputDatasetFacet | None:
    """Build an input's facet (DataQualityMetricsInputDatasetFacet 1-0-3)."""
    measured = _measured(metadata, input_metrics.ColumnMetrics)
    return input_metrics.DataQualityMetricsInputDatasetFacet(**measured) if measured else None


def dataset_metrics_facet(
    metadata: Mapping[str, Any], timestamp: float
) -> dataset_metrics.DataQualityMetricsDatasetFacet | None:
    """Build a dataset's facet (DataQualityMetricsDatasetFacet 1-0-1) of what an event measured.

    The event was stored `timestamp` seconds since the epoch.
    """
    measured = _measured(metadata, dataset_metrics.ColumnMetrics)
    if not measured:
        return None
    return dataset_metrics.DataQualityMetricsDatasetFacet(**measured, captureDate=_time(timestamp))


def _measured(metadata: Mapping[str, Any], column_metrics: type[Any]) -> dict[str, Any]:
    """Collect the fields that both facets have; each has its own class for a column's."""
    rows = _row_count(metadata)
    last_updated = _time(value_of(metadata, LAST_UPDATED))
    columns = column_metrics_in(metadata)
    if rows is None and last_updated is None and not columns:
        return {}
    return {
        "columnMetrics": {column: column_metrics(**values) for column, values in columns.items()},
        "rowCount": rows,
        "lastUpdated": last_updated,
        "producer": PRODUCER,
    }


def column_metrics_in(metadata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what was measured, by column and by the name of the metric in the facet."""
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
    """Return a number; polars writes the numbers of text columns as texts."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return _number(float(value))
    return None


def _time(seconds: object) -> str | None:
    number = _number(seconds)
    if number is not None:
        # `datetime` may have no such year.
        with contextlib.suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(number, tz=timezone.utc).isoformat()
    return None


def _columns(value: object) -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    for name, given in _sorted_items(value):
        if metrics := _column(given):
            # By default the class has an empty mapping for quantiles, but None for all others.
            columns.setdefault(safe_name(name), {"quantiles": None, **metrics})
    return columns


def _column(value: object) -> dict[str, Any]:
    given = dict(_sorted_items(value))
    found: dict[str, Any] = {name: _as_count(given.get(name)) for name in _COUNTS}
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
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # It may be an integer that no other language can hold.
        with contextlib.suppress(OverflowError):
            return value if math.isfinite(value) else None
    return None
