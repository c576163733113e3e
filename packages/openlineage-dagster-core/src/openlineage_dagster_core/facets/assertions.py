"""The `dataQualityAssertions` input facet, from Dagster's asset checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dagster import AssetCheckEvaluation, AssetCheckSeverity
from openlineage.client.generated.data_quality_assertions_dataset import (
    Assertion,
    DataQualityAssertionsDatasetFacet,
)

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

COLUMN_KEYS = ("dagster/column", "column")
"""Metadata of an evaluation: the column that the check is about."""


def assertions_facet(
    evaluations: Iterable[AssetCheckEvaluation], *, strict: bool
) -> DataQualityAssertionsDatasetFacet:
    """Build the facet (DataQualityAssertionsDatasetFacet 1-1-0).

    Args:
        evaluations: of the checks of one asset.
        strict: a check that passes with severity WARN counts as failed.

    Returns:
        The facet, with the checks in the order of their names.
    """
    return DataQualityAssertionsDatasetFacet(
        assertions=[
            Assertion(
                assertion=limited(evaluation.check_name),
                success=evaluation.passed
                and not (strict and evaluation.severity is AssetCheckSeverity.WARN),
                column=_column(evaluation.metadata),
                severity=evaluation.severity.value.lower(),
                name=limited(evaluation.check_name),
                description=limited(evaluation.description) if evaluation.description else None,
            )
            for evaluation in sorted(evaluations, key=lambda evaluation: evaluation.check_name)
        ],
        producer=PRODUCER,
    )


def _column(metadata: Mapping[str, Any]) -> str | None:
    for key in COLUMN_KEYS:
        value = getattr(metadata.get(key), "value", None)
        if isinstance(value, str) and value:
            return safe_name(value)
    return None
