"""Datasets: an asset as input or output, with the facets of its definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetKey, TableSchema
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated.base import DatasetFacet, InputDatasetFacet

from openlineage_dagster_core.facets.column_lineage import column_lineage_facet
from openlineage_dagster_core.facets.documentation import dataset_documentation_facet
from openlineage_dagster_core.facets.schema import schema_facet
from openlineage_dagster_core.facts.definitions import table_schema
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.identity import Identity, dataset_name


def dataset_of(facts: Facts, identity: Identity, key: AssetKey) -> tuple[str, str]:
    """Name an asset's dataset.

    Args:
        facts: the run and the definitions.
        identity: gives names.
        key: the asset's key.

    Returns:
        The dataset's namespace and name.
    """
    return identity.dataset_namespace(facts.run, facts.assets.get(key)), dataset_name(key)


def input_dataset(
    facts: Facts,
    identity: Identity,
    key: AssetKey,
    input_facets: Mapping[str, InputDatasetFacet] | None = None,
) -> InputDataset:
    """Make an asset an input.

    Args:
        facts: the run and the definitions.
        identity: gives names.
        key: the asset's key.
        input_facets: by key.

    Returns:
        The dataset, with the facets of its definition: backends forget what an event leaves out,
        on either side.
    """
    namespace, name = dataset_of(facts, identity, key)
    return InputDataset(
        namespace=namespace,
        name=name,
        facets=_definition_facets(facts, key),
        inputFacets=dict(input_facets or {}),
    )


def output_dataset(
    facts: Facts, identity: Identity, key: AssetKey, metadata: Mapping[str, Any]
) -> OutputDataset:
    """Make an asset an output.

    Args:
        facts: the run and the definitions.
        identity: gives names.
        key: the asset's key.
        metadata: of its materialization; empty before it.

    Returns:
        The dataset, with the facets of its definition and those of its materialization.
    """
    namespace, name = dataset_of(facts, identity, key)
    facets = _definition_facets(facts, key, table_schema(metadata))
    lineage = column_lineage_facet(metadata, lambda upstream: dataset_of(facts, identity, upstream))
    if lineage is not None:
        facets["columnLineage"] = lineage
    return OutputDataset(namespace=namespace, name=name, facets=facets)


def _definition_facets(
    facts: Facts, key: AssetKey, columns: TableSchema | None = None
) -> dict[str, DatasetFacet]:
    asset = facts.assets.get(key)
    facets: dict[str, DatasetFacet] = {}
    if asset is not None and asset.description:
        facets["documentation"] = dataset_documentation_facet(asset.description)
    columns = columns or (asset.columns if asset else None)
    if columns is not None:
        facets["schema"] = schema_facet(columns)
    return facets
