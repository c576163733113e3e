"""Datasets: an asset as input or output, with the facets that describe it.

A dataset has these facets in every event and on either side: backends forget what an event omits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

from dagster import AssetKey, AssetMaterialization, AssetObservation
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated.base import DatasetFacet, InputDatasetFacet, OutputDatasetFacet

from openlineage_dagster_core.caches import PerValue
from openlineage_dagster_core.conversion import custom, described
from openlineage_dagster_core.conversion.envelope import Source
from openlineage_dagster_core.facets import data_quality, dataset_state, storage
from openlineage_dagster_core.facets.schema import FieldLineage, column_lineage_facet
from openlineage_dagster_core.facts.materialized import described as asset_of
from openlineage_dagster_core.facts.metadata import column_lineage, table_schema
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.partitions import dimensions_in_tags
from openlineage_dagster_core.identity import DatasetName
from openlineage_dagster_core.options import DatasetIdentity
from openlineage_dagster_core.serialisation import shared

PARTITIONS_KEPT = 20_000  # Partitions of cached subsets, of about 500 bytes each
FIELDS_KEPT = 20_000  # Columns of cached column lineage, of about 800 bytes each


def read_dataset(
    source: Source,
    key: AssetKey,
    *,
    read_by: AssetMaterialization | None = None,
    partitions: Sequence[str] | None = None,
    input_facets: Mapping[str, InputDatasetFacet] | None = None,
) -> InputDataset:
    """Return an asset as an input.

    `read_by` is the materialization that read it, once there is one. Without `partitions` the whole
    asset is read.
    """
    namespace, name = dataset_name(source, key)
    facets = _facets(source, key, namespace)
    inputs = dict(input_facets or {})
    if read_by is not None:
        _add(facets, "version", dataset_state.input_version_facet(read_by.tags or {}, key))
    if partitions is not None:
        inputs["subset"] = _input_subset(_parts(source.facts, key, partitions))
    return InputDataset(namespace=namespace, name=name, facets=facets, inputFacets=inputs)


def observed_dataset(source: Source, observation: AssetObservation) -> InputDataset:
    """Return an observed asset as an input, with metrics for both forms of events."""
    key, metadata = observation.asset_key, observation.metadata
    namespace, name = dataset_name(source, key)
    facets = _facets(source, key, namespace, metadata)
    columns = table_schema(metadata)
    if columns is not None:
        facets["schema"] = described.table_schema_facet(columns)
    _add(facets, "version", dataset_state.data_version_facet(observation.tags or {}))
    measured = data_quality.dataset_metrics_facet(metadata, source.entry.timestamp)
    _add(facets, "dataQualityMetrics", measured)
    inputs: dict[str, InputDatasetFacet] = {}
    _add(inputs, "dataQualityMetrics", data_quality.metrics_facet(metadata))
    if observation.partition is not None:
        inputs["subset"] = _input_subset(_parts(source.facts, key, [observation.partition]))
    return InputDataset(namespace=namespace, name=name, facets=facets, inputFacets=inputs)


def written_dataset(
    source: Source,
    key: AssetKey,
    partition: str | None,
    made_by: AssetMaterialization | None = None,
    queried: Callable[[], tuple[FieldLineage, ...]] = tuple,
) -> OutputDataset:
    """Return an asset as an output; `made_by` is its materialization, once there is one.

    `queried` returns the column lineage where neither Dagster nor the user says it.
    """
    metadata: Mapping[str, Any] = made_by.metadata if made_by else {}
    namespace, name = dataset_name(source, key)
    facets = _facets(source, key, namespace, metadata)
    outputs: dict[str, OutputDatasetFacet] = {}
    if partition is not None:
        outputs["subset"] = _output_subset(_parts(source.facts, key, [partition]))
    if made_by is not None:
        stated = _column_lineage(source, metadata)
        if stated is None and "columnLineage" not in facets and (fields := queried()):
            stated = _shared_column_lineage(fields)
        _add(facets, "columnLineage", stated)
        _add(facets, "version", dataset_state.data_version_facet(made_by.tags or {}))
        _add(outputs, "outputStatistics", data_quality.output_statistics_facet(metadata))
        if data_quality.column_metrics_in(metadata):
            measured = data_quality.dataset_metrics_facet(metadata, source.entry.timestamp)
            _add(facets, "dataQualityMetrics", measured)
    return OutputDataset(namespace=namespace, name=name, facets=facets, outputFacets=outputs)


def child_datasets(source: Source, key: AssetKey) -> Iterator[OutputDataset]:
    """Yield the tables of an asset's nested fields, which Dagster does not know as assets."""
    identity, asset = source.identity, asset_of(source.facts, key)
    is_physical = identity.settings.dataset_identity is DatasetIdentity.PHYSICAL
    if asset is None or asset.physical.table_name is None or not is_physical:
        return
    schema = asset.physical.table_name.rpartition(".")[0]
    for name, columns in asset.children.items():
        table_name = f"{schema}.{name}" if schema else name
        place = replace(asset.physical, table_name=table_name, uri=None, path=None)
        child = replace(asset, description=None, columns=columns, physical=place)
        physical = identity.physical(key, child)
        if physical is not None:
            facets = dict(described.dataset_facets(child))
            facets["dataSource"] = storage.data_source_facet(physical.namespace)
            yield OutputDataset(physical.namespace, physical.name, facets=facets, outputFacets={})


def dataset_name(source: Source, key: AssetKey) -> DatasetName:
    """Return the name of an asset's dataset."""
    return source.identity.dataset(source.facts.run, key, asset_of(source.facts, key))


def _facets(
    source: Source, key: AssetKey, namespace: str, metadata: Mapping[str, Any] | None = None
) -> dict[str, DatasetFacet]:
    asset = asset_of(source.facts, key)
    facets = dict(described.dataset_facets(asset)) if asset is not None else {}
    physical = source.identity.physical(key, asset)
    place = namespace if physical is None else physical.namespace
    facets["dataSource"] = storage.data_source_facet(place)
    if source.identity.settings.dataset_symlinks and (
        symlink := source.identity.symlink(source.facts.run, key, asset)
    ):
        (other_namespace, other_name), kind = symlink
        facets["symlinks"] = storage.symlinks_facet(other_namespace, other_name, kind.value)
    facets.update(custom.dataset_facets(key, asset, metadata))
    return facets


_Parts = tuple[dataset_state.Partition, ...]


def _parts(facts: Facts, key: AssetKey, partitions: Sequence[str]) -> _Parts:
    asset = facts.assets.get(key)
    of = asset.partitions if asset is not None else None
    if of is not None and of.definition is not None:
        found = (of.dimensions(partition) for partition in partitions)
    else:
        found = (dimensions_in_tags(partition, facts.run.tags) for partition in partitions)
    parts = (tuple(dimensions.items()) for dimensions in found)
    return tuple(zip(partitions, parts, strict=True))


_input_subset = PerValue[_Parts, InputDatasetFacet](
    lambda parts: shared(dataset_state.input_subset_facet(parts)), len, PARTITIONS_KEPT
)
_output_subset = PerValue[_Parts, OutputDatasetFacet](
    lambda parts: shared(dataset_state.output_subset_facet(parts)), len, PARTITIONS_KEPT
)


def _column_lineage(source: Source, metadata: Mapping[str, Any]) -> DatasetFacet | None:
    lineage = column_lineage(metadata)
    if lineage is None:
        return None
    # A wide table names few assets, each of them often.
    name_of = cache(partial(dataset_name, source))
    fields = tuple(
        (column, tuple((*name_of(dep.asset_key), dep.column_name, ()) for dep in deps))
        for column, deps in lineage.deps_by_column.items()
    )
    return _shared_column_lineage(fields)


_shared_column_lineage = PerValue[tuple[FieldLineage, ...], DatasetFacet](
    lambda fields: shared(column_lineage_facet(fields)),
    lambda fields: 1 + sum(1 + len(made_from) for _, made_from in fields),
    FIELDS_KEPT,
)


def _add(facets: dict[str, Any], name: str, facet: object | None) -> None:
    if facet is not None:
        facets[name] = facet
