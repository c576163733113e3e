"""The `sql` job facet: the query that makes an asset."""

from __future__ import annotations

from openlineage.client.generated.sql_job import SQLJobFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.redaction import without_secrets
from openlineage_dagster_core.version import PRODUCER


def sql_facet(query: str, dialect: str | None) -> SQLJobFacet:
    """Build the facet (SQLJobFacet 1-1-0).

    Args:
        query: the SQL.
        dialect: such as snowflake, None where it is not known.

    Returns:
        The facet, with secrets masked.
    """
    return SQLJobFacet(
        query=limited(without_secrets(limited(query))),
        dialect=limited(dialect) if dialect else None,
        producer=PRODUCER,
    )
