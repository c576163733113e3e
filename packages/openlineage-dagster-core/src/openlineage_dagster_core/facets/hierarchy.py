"""The `hierarchy` dataset facet: in which schema and database a table is."""

from __future__ import annotations

import re

from openlineage.client.generated.hierarchy_dataset import (
    HierarchyDatasetFacet,
    HierarchyDatasetFacetLevel,
)

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.version import PRODUCER

_PART = re.compile(r'"([^"]+)"|`([^`]+)`|\[([^\]]+)\]|([^."`\[\]]+)')
"""One part of a table's name, which databases quote in these ways."""


def hierarchy_facet(table_name: str, table_type: str) -> HierarchyDatasetFacet | None:
    """Build the facet (HierarchyDatasetFacet 1-0-0).

    Args:
        table_name: such as `database.schema.table` or `schema.table`.
        table_type: of the last level, TABLE or VIEW.

    Returns:
        The facet, with names without quotes; None for a name of one part, or of more than three.
    """
    parts = [match[match.lastindex or 0] for match in _PART.finditer(table_name)]
    if len(parts) not in (2, 3):
        return None
    types = ["DATABASE", "SCHEMA", table_type][-len(parts) :]
    return HierarchyDatasetFacet(
        hierarchy=[
            HierarchyDatasetFacetLevel(type=kind, name=limited(name))
            for kind, name in zip(types, parts, strict=True)
        ],
        producer=PRODUCER,
    )
