"""The `dataQualityAssertions` input facet and the `test` run facet, from Dagster's asset checks."""

from collections.abc import Iterable, Mapping
from typing import Any

from dagster import AssetCheckEvaluation, AssetCheckSeverity
from openlineage.client.generated.data_quality_assertions_dataset import (
    Assertion,
    DataQualityAssertionsDatasetFacet,
)
from openlineage.client.generated.test_run import TestExecution, TestRunFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.model import CheckFacts
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

# Metadata of an evaluation that name the column a check is about
COLUMN_KEYS = ("dagster/column", "column")

_UNDEFINED = CheckFacts()


def assertions_facet(
    evaluations: Mapping[str, AssetCheckEvaluation],
    defined: Mapping[str, CheckFacts],
    *,
    strict: bool,
) -> DataQualityAssertionsDatasetFacet:
    """Build the facet (DataQualityAssertionsDatasetFacet 1-1-0), sorted by the checks' names.

    Evaluations and definitions are by check; some definitions may be missing. If `strict`, a check
    that passes with severity WARN counts as failed.
    """
    assertions = []
    for name, evaluation in sorted(evaluations.items()):
        check = defined.get(name, _UNDEFINED)
        description = evaluation.description or check.description
        assertions.append(
            Assertion(
                assertion=limited(check.kind or name),
                success=_passed(evaluation, strict=strict),
                column=_column(evaluation.metadata, check),
                severity=evaluation.severity.value.lower(),
                name=limited(name),
                description=limited(description) if description else None,
            )
        )
    return DataQualityAssertionsDatasetFacet(assertions=assertions, producer=PRODUCER)


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
    is_warning = evaluation.severity is AssetCheckSeverity.WARN
    return evaluation.passed and not (strict and is_warning)


def _column(metadata: Mapping[str, Any], check: CheckFacts) -> str | None:
    for key in COLUMN_KEYS:
        value = getattr(metadata.get(key), "value", None)
        if isinstance(value, str) and value:
            return safe_name(value)
    return safe_name(check.column) if check.column else None
