"""The `symlinks` dataset facet: what else a dataset is called."""

from __future__ import annotations

from collections.abc import Sequence

from openlineage.client.generated.symlinks_dataset import Identifier, SymlinksDatasetFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.names import safe_dataset_namespace, safe_name
from openlineage_dagster_core.version import PRODUCER

TABLE = "TABLE"
"""DataHub takes an identifier of this type for the dataset's own identity."""


def symlinks_facet(identifiers: Sequence[tuple[str, str, str]]) -> SymlinksDatasetFacet:
    """Build the facet (SymlinksDatasetFacet 1-0-1).

    Args:
        identifiers: namespace, name and type of each.

    Returns:
        The facet, with each once and in order.

    Raises:
        ValueError: a type is TABLE, which only our own code could have chosen.
    """
    if any(kind.strip().upper() == TABLE for _, _, kind in identifiers):
        raise ValueError(f"a symlink of type {TABLE} takes the dataset's identity in DataHub")
    found = {
        (safe_dataset_namespace(namespace), safe_name(name), limited(kind))
        for namespace, name, kind in identifiers
    }
    return SymlinksDatasetFacet(
        identifiers=[
            Identifier(namespace=namespace, name=name, type=kind)
            for namespace, name, kind in sorted(found)
        ],
        producer=PRODUCER,
    )
