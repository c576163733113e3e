"""The `schema` dataset facet, from a Dagster `TableSchema`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from openlineage.client.generated.schema_dataset import (
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)

from openlineage_dagster_core.facets.nested_types import NestedField, nested_fields
from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

if TYPE_CHECKING:
    from dagster import TableSchema


def schema_facet(columns: TableSchema) -> SchemaDatasetFacet:
    """Build the facet (SchemaDatasetFacet 1-2-0).

    Args:
        columns: from the metadata `dagster/column_schema`.

    Returns:
        The facet, with the columns in their order and the fields of structs in them; of columns
        with the same name the first.
    """
    return SchemaDatasetFacet(
        fields=_first_of_each_name(
            SchemaDatasetFacetFields(
                name=safe_name(column.name),
                type=limited(column.type),
                description=None if column.description is None else limited(column.description),
                fields=_nested(nested_fields(column.type)) or None,
            )
            for column in columns.columns
        ),
        producer=PRODUCER,
    )


def _nested(fields: tuple[NestedField, ...]) -> list[SchemaDatasetFacetFields]:
    return _first_of_each_name(
        SchemaDatasetFacetFields(
            name=safe_name(field.name),
            type=limited(field.type),
            fields=_nested(field.fields) or None,
        )
        for field in fields
    )


def _first_of_each_name(
    fields: Iterable[SchemaDatasetFacetFields],
) -> list[SchemaDatasetFacetFields]:
    by_name: dict[str, SchemaDatasetFacetFields] = {}
    for field in fields:
        by_name.setdefault(field.name, field)
    return list(by_name.values())
