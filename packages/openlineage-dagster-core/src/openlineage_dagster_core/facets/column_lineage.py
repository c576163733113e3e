"""The `columnLineage` dataset facet, from a Dagster `TableColumnLineage`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dagster import AssetKey, TableColumnLineage
from openlineage.client.generated.column_lineage_dataset import (
    ColumnLineageDatasetFacet,
    Fields,
    InputField,
)

from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.version import PRODUCER

COLUMN_LINEAGE = "dagster/column_lineage"
"""Metadata: a `TableColumnLineage`, in a materialization."""


def column_lineage_facet(
    metadata: Mapping[str, Any], dataset_of: Callable[[AssetKey], tuple[str, str]]
) -> ColumnLineageDatasetFacet | None:
    """Build the facet (ColumnLineageDatasetFacet 1-2-0).

    Args:
        metadata: of a materialization.
        dataset_of: gives an upstream asset's dataset namespace and name.

    Returns:
        The facet, None where the metadata has no column lineage.
    """
    value = metadata.get(COLUMN_LINEAGE)
    lineage = getattr(value, "column_lineage", value)
    if not isinstance(lineage, TableColumnLineage):
        return None

    def input_field(key: AssetKey, column: str) -> InputField:
        namespace, name = dataset_of(key)
        return InputField(namespace=namespace, name=name, field=safe_name(column))

    return ColumnLineageDatasetFacet(
        fields={
            safe_name(column): Fields(
                inputFields=[input_field(dep.asset_key, dep.column_name) for dep in deps]
            )
            for column, deps in lineage.deps_by_column.items()
        },
        producer=PRODUCER,
    )
