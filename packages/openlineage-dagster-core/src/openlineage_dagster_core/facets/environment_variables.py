"""The `environmentVariables` run facet."""

from __future__ import annotations

from collections.abc import Mapping

from openlineage.client.generated.environment_variables_run import (
    EnvironmentVariable,
    EnvironmentVariablesRunFacet,
)

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.redaction import redacted
from openlineage_dagster_core.version import PRODUCER


def environment_variables_facet(
    variables: Mapping[str, str],
) -> EnvironmentVariablesRunFacet | None:
    """Build the facet (EnvironmentVariablesRunFacet 1-0-0).

    Args:
        variables: those that may be told.

    Returns:
        The facet, in the order of the names and with secrets masked; None where there are none.
    """
    if not variables:
        return None
    return EnvironmentVariablesRunFacet(
        environmentVariables=[
            EnvironmentVariable(name=limited(name), value=limited(redacted(name, limited(value))))
            for name, value in sorted(variables.items())
        ],
        producer=PRODUCER,
    )
