"""The `executionParameters` run facet, from a run's config."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from openlineage.client.generated.execution_parameters_run import (
    ExecutionParameter,
    ExecutionParametersRunFacet,
)

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.redaction import MASK, redacted, secrets_within, without_secrets
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
        name is one, and so is the value beside it, as in {"name": "DB_PASSWORD", "value": …}. None
        where nothing may be told.
    """
    values: dict[str, str] = {}
    for key, value in sorted(_flat("", run_config, 0)):
        if any(fnmatchcase(key, pattern) for pattern in allowed):
            # 1 and '1' may be keys of the same mapping.
            values.setdefault(limited(without_secrets(key)), limited(redacted(key, limited(value))))
    if not values:
        return None
    return ExecutionParametersRunFacet(
        parameters=[
            ExecutionParameter(key=key, value=value) for key, value in sorted(values.items())
        ],
        producer=PRODUCER,
    )


def _flat(
    key: str, value: object, depth: int, *, is_secret: bool = False
) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        return
    prefix = f"{key}." if key else ""
    items: Iterable[tuple[object, object]]
    if isinstance(value, Mapping) and value:
        items = value.items()
    elif isinstance(value, (list, tuple)) and value:
        items = enumerate(value)
    else:
        text = _text(value) if key else None
        if text is not None:
            yield key, MASK if is_secret and text else text
        return
    secrets = secrets_within(value)
    for name, inner in items:
        yield from _flat(
            f"{prefix}{name}", inner, depth + 1, is_secret=is_secret or name in secrets
        )


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        # It is no JSON, or not a finite number.
        return None
