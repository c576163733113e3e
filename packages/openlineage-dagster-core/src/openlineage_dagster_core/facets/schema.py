"""The dataset facets about columns: `schema` and `columnLineage`."""

from collections.abc import Iterable

from dagster import TableSchema
from openlineage.client.generated import column_lineage_dataset as lineage
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

from openlineage_dagster_core.facets.nested_types import first_of_each_name, nested_fields
from openlineage_dagster_core.names import limited, safe_name
from openlineage_dagster_core.version import PRODUCER

# A column, and of each column that it is made from namespace, dataset name, column, and subtypes of
# transformations, if these are known
FieldLineage = tuple[str, tuple[tuple[str, str, str, tuple[str, ...]], ...]]
INDIRECT = frozenset({"CONDITIONAL", "WINDOW"})  # Subtypes of a column that only chooses the value


def schema_facet(columns: TableSchema) -> SchemaDatasetFacet:
    """Build the facet (SchemaDatasetFacet 1-2-0); of columns with one name the first counts."""
    return SchemaDatasetFacet(
        fields=first_of_each_name(
            SchemaDatasetFacetFields(
                name=safe_name(column.name),
                type=limited(column.type),
                description=None if column.description is None else limited(column.description),
                fields=nested_fields(column.type) or None,
            )
            for column in columns.columns
        ),
        producer=PRODUCER,
    )


def column_lineage_facet(fields: Iterable[FieldLineage]) -> lineage.ColumnLineageDatasetFacet:
    """Build the facet (ColumnLineageDatasetFacet 1-2-0)."""
    return lineage.ColumnLineageDatasetFacet(
        fields={
            safe_name(column): lineage.Fields(
                inputFields=[
                    lineage.InputField(
                        namespace,
                        name,
                        field=safe_name(field),
                        transformations=[
                            lineage.Transformation("INDIRECT" if way in INDIRECT else "DIRECT", way)
                            for way in ways
                        ],
                    )
                    for namespace, name, field, ways in made_from
                ]
            )
            for column, made_from in fields
        },
        dataset=None,
        producer=PRODUCER,
    )
