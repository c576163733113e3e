"""The `executionParameters` run facet, from a run's config."""

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

DEEPEST = 64  # Levels of a config; deeper ones are left out


def execution_parameters_facet(
    run_config: Mapping[str, object], allowed: Sequence[str]
) -> ExecutionParametersRunFacet | None:
    """Build the facet (ExecutionParametersRunFacet 1-0-0), sorted; None if nothing is allowed.

    `allowed` are shell patterns of keys such as `ops.load.config.*`; an item of a list has its
    index for a key. All values below a secret's name are masked, and so is the value next to it, as
    in {"name": "DB_PASSWORD", "value": …}.
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
        # Not JSON, or not a finite number.
        return None
