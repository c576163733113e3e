"""The `executionParameters` run facet, from a run's config."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from openlineage.client.generated.execution_parameters_run import (
    ExecutionParameter,
    ExecutionParametersRunFacet,
)

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.redaction import redacted
from openlineage_dagster_core.version import PRODUCER

DEEPEST = 64
"""What is nested deeper in a config is left out."""


def execution_parameters_facet(
    run_config: Mapping[str, object], allowed: Sequence[str]
) -> ExecutionParametersRunFacet | None:
    """Build the facet (ExecutionParametersRunFacet 1-0-0).

    Args:
        run_config: of the run.
        allowed: shell patterns of the keys that may be told, as in `ops.load.config.*`; an item of
            a list has its index for a key.

    Returns:
        The facet, in the order of the keys and with secrets masked; what stands under a secret's
        name is one. None where nothing may be told.
    """
    values: dict[str, str] = {}
    for key, value in sorted(_flat("", run_config, 0)):
        if any(fnmatchcase(key, pattern) for pattern in allowed):
            # 1 and '1' may be keys of the same mapping.
            values.setdefault(limited(key), limited(redacted(key, value)))
    if not values:
        return None
    return ExecutionParametersRunFacet(
        parameters=[
            ExecutionParameter(key=key, value=value) for key, value in sorted(values.items())
        ],
        producer=PRODUCER,
    )


def _flat(key: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        return
    prefix = f"{key}." if key else ""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(f"{prefix}{name}", inner, depth + 1)
    elif isinstance(value, (list, tuple)) and value:
        for index, inner in enumerate(value):
            yield from _flat(f"{prefix}{index}", inner, depth + 1)
    elif key:
        text = _text(value)
        if text is not None:
            yield key, text


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        # It is no JSON, or not a finite number.
        return None
