"""The `columnLineage` dataset facet, from a Dagster `TableColumnLineage`."""

from __future__ import annotations

from collections.abc import Iterable

from openlineage.client.generated.column_lineage_dataset import (
    ColumnLineageDatasetFacet,
    Fields,
    InputField,
)

from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

FieldLineage = tuple[str, tuple[tuple[str, str, str], ...]]
"""A column, and the columns it is made from: dataset namespace, dataset name, column."""


def column_lineage_facet(fields: Iterable[FieldLineage]) -> ColumnLineageDatasetFacet:
    """Build the facet (ColumnLineageDatasetFacet 1-2-0).

    Args:
        fields: what each column is made from.

    Returns:
        The facet.
    """
    return ColumnLineageDatasetFacet(
        fields={
            safe_name(column): Fields(
                inputFields=[
                    InputField(namespace=namespace, name=name, field=safe_name(field))
                    for namespace, name, field in made_from
                ]
            )
            for column, made_from in fields
        },
        dataset=None,
        producer=PRODUCER,
    )
