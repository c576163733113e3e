"""The `errorMessage` run facet, from what Dagster stored of an exception."""

from __future__ import annotations

from openlineage.client.generated.error_message_run import ErrorMessageRunFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.model import ErrorFacts
from openlineage_dagster_core.redaction import without_secrets
from openlineage_dagster_core.version import PRODUCER


def error_facet(error: ErrorFacts) -> ErrorMessageRunFacet:
    """Build the facet (ErrorMessageRunFacet 1-0-1).

    Args:
        error: the message and the stack.

    Returns:
        The facet, with the secrets in both texts masked.
    """
    # Cut before secrets are looked for: an exception may hold megabytes.
    return ErrorMessageRunFacet(
        message=limited(without_secrets(limited(error.message))),
        programmingLanguage="PYTHON",
        stackTrace=limited(without_secrets(limited(error.stack))) or None,
        producer=PRODUCER,
    )
