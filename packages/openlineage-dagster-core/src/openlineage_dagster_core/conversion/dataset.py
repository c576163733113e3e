"""Datasets: an asset as input or output, with the facets of its definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetKey, AssetMaterialization, AssetObservation, TableSchema
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated.base import (
    DatasetFacet,
    InputDatasetFacet,
    OutputDatasetFacet,
)

from openlineage_dagster_core.facets.column_lineage import column_lineage_facet
from openlineage_dagster_core.facets.dataset_version import (
    data_version_facet,
    input_version_facet,
)
from openlineage_dagster_core.facets.documentation import dataset_documentation_facet
from openlineage_dagster_core.facets.output_statistics import output_statistics_facet
from openlineage_dagster_core.facets.ownership import dataset_ownership_facet
from openlineage_dagster_core.facets.schema import schema_facet
from openlineage_dagster_core.facets.tags import dataset_tags_facet
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
    *,
    read_by: AssetMaterialization | None = None,
    observed_by: AssetObservation | None = None,
    input_facets: Mapping[str, InputDatasetFacet] | None = None,
) -> InputDataset:
    """Make an asset an input.

    Args:
        facts: the run and the definitions.
        identity: gives names.
        key: the asset's key.
        read_by: the materialization that read it, once there is one.
        observed_by: the observation that looked at it, where that is the event.
        input_facets: by key.

    Returns:
        The dataset, with the facets of its definition: backends forget what an event leaves out,
        on either side.
    """
    namespace, name = dataset_of(facts, identity, key)
    facets = _definition_facets(
        facts, key, table_schema(observed_by.metadata) if observed_by else None
    )
    if observed_by is not None:
        _add(facets, "version", data_version_facet(observed_by.tags or {}))
    if read_by is not None:
        _add(facets, "version", input_version_facet(read_by.tags or {}, key))
    return InputDataset(
        namespace=namespace, name=name, facets=facets, inputFacets=dict(input_facets or {})
    )


def output_dataset(
    facts: Facts, identity: Identity, key: AssetKey, made_by: AssetMaterialization | None
) -> OutputDataset:
    """Make an asset an output.

    Args:
        facts: the run and the definitions.
        identity: gives names.
        key: the asset's key.
        made_by: its materialization, once there is one.

    Returns:
        The dataset, with the facets of its definition and those of its materialization.
    """
    namespace, name = dataset_of(facts, identity, key)
    metadata: Mapping[str, Any] = made_by.metadata if made_by else {}
    facets = _definition_facets(facts, key, table_schema(metadata))
    output_facets: dict[str, OutputDatasetFacet] = {}
    if made_by is not None:
        lineage = column_lineage_facet(
            metadata, lambda upstream: dataset_of(facts, identity, upstream)
        )
        _add(facets, "columnLineage", lineage)
        _add(facets, "version", data_version_facet(made_by.tags or {}))
        _add(output_facets, "outputStatistics", output_statistics_facet(metadata))
    return OutputDataset(namespace=namespace, name=name, facets=facets, outputFacets=output_facets)


def _definition_facets(
    facts: Facts, key: AssetKey, columns: TableSchema | None = None
) -> dict[str, DatasetFacet]:
    asset = facts.assets.get(key)
    facets: dict[str, DatasetFacet] = {}
    if asset is not None:
        if asset.description:
            facets["documentation"] = dataset_documentation_facet(asset.description)
        if asset.owners:
            facets["ownership"] = dataset_ownership_facet(asset.owners)
        _add(facets, "tags", dataset_tags_facet(asset))
    columns = columns or (asset.columns if asset else None)
    if columns is not None:
        facets["schema"] = schema_facet(columns)
    return facets


def _add(facets: dict[str, Any], name: str, facet: object | None) -> None:
    if facet is not None:
        facets[name] = facet
