"""The `schema` dataset facet, from a Dagster `TableSchema`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openlineage.client.generated.schema_dataset import (
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)

from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

if TYPE_CHECKING:
    from dagster import TableSchema


def schema_facet(columns: TableSchema) -> SchemaDatasetFacet:
    """Build the facet (SchemaDatasetFacet 1-2-0).

    Args:
        columns: from the metadata `dagster/column_schema`.

    Returns:
        The facet, with the columns in their order.
    """
    return SchemaDatasetFacet(
        fields=[
            SchemaDatasetFacetFields(
                name=safe_name(column.name), type=column.type, description=column.description
            )
            for column in columns.columns
        ],
        producer=PRODUCER,
    )
