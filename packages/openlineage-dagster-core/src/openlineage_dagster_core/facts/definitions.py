"""Reads assets from their definitions: from an asset graph, and to and from JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, TableSchema, deserialize_value, serialize_value

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.facts.partitions import (
    decode_time_partitions,
    encode_time_partitions,
    time_partitions,
)

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode

COLUMN_SCHEMA = "dagster/column_schema"
"""Metadata: a `TableSchema`, in a definition or in a materialization."""


class DefinedAssets(Mapping[AssetKey, AssetFacts]):
    """The assets of an asset graph, each read when it is asked for.

    Args:
        graph: `repository_def.asset_graph` in a sensor, or that of an executing job.
    """

    def __init__(self, graph: AssetGraph) -> None:
        self._graph = graph
        self._read: dict[AssetKey, AssetFacts] = {}

    def __getitem__(self, key: AssetKey) -> AssetFacts:
        if key not in self._read:
            if not self._graph.has(key):
                raise KeyError(key)
            self._read[key] = _asset_facts(self._graph.get(key))
        return self._read[key]

    def __iter__(self) -> Iterator[AssetKey]:
        return iter(sorted(self._graph.get_all_asset_keys()))

    def __len__(self) -> int:
        return len(self._graph.get_all_asset_keys())


def _asset_facts(node: AssetNode) -> AssetFacts:
    return AssetFacts(
        key=node.key,
        upstream=tuple(sorted(node.parent_keys)),
        group=node.group_name,
        description=node.description or None,
        owners=tuple(node.owners),
        tags=dict(node.tags),
        columns=table_schema(node.metadata),
        is_partitioned=node.is_partitioned,
        time_partitions=time_partitions(node.partitions_def),
        is_materializable=node.is_materializable,
    )


def with_upstream(
    assets: Mapping[AssetKey, AssetFacts], keys: Collection[AssetKey]
) -> dict[AssetKey, AssetFacts]:
    """Choose assets, and those that they depend on.

    Args:
        assets: all that are at hand.
        keys: which to choose; one that is not at hand is left out.

    Returns:
        The chosen ones and what is directly upstream of them, in the order of their keys.
    """
    chosen = {key: assets[key] for key in sorted(keys) if key in assets}
    upstream = {parent for asset in chosen.values() for parent in asset.upstream} - chosen.keys()
    return chosen | {key: assets[key] for key in sorted(upstream) if key in assets}


def table_schema(metadata: Mapping[str, Any]) -> TableSchema | None:
    """Find the column schema in metadata.

    Args:
        metadata: of a definition, where it may stand bare, or of an event.

    Returns:
        The schema, None where there is none or it is none.
    """
    value = metadata.get(COLUMN_SCHEMA)
    schema = getattr(value, "schema", value)
    return schema if isinstance(schema, TableSchema) else None


def encode_assets(assets: Mapping[AssetKey, AssetFacts]) -> str:
    """Write assets down for another process.

    Args:
        assets: by key.

    Returns:
        JSON.
    """
    return json.dumps(
        [
            {
                "key": list(asset.key.path),
                "upstream": [list(key.path) for key in asset.upstream],
                "group": asset.group,
                "description": asset.description,
                "owners": asset.owners,
                "tags": asset.tags,
                "columns": serialize_value(asset.columns) if asset.columns else None,
                "is_partitioned": asset.is_partitioned,
                "time_partitions": (
                    encode_time_partitions(asset.time_partitions) if asset.time_partitions else None
                ),
                "is_materializable": asset.is_materializable,
            }
            for asset in assets.values()
        ],
        separators=(",", ":"),
    )


def decode_assets(text: str) -> dict[AssetKey, AssetFacts]:
    """Read what `encode_assets` wrote.

    Args:
        text: JSON.

    Returns:
        The assets by key.
    """
    assets = [
        AssetFacts(
            key=AssetKey(entry["key"]),
            upstream=tuple(AssetKey(path) for path in entry["upstream"]),
            group=entry["group"],
            description=entry["description"],
            owners=tuple(entry["owners"]),
            tags=entry["tags"],
            columns=deserialize_value(entry["columns"], TableSchema) if entry["columns"] else None,
            is_partitioned=entry["is_partitioned"],
            time_partitions=(
                decode_time_partitions(entry["time_partitions"])
                if entry["time_partitions"]
                else None
            ),
            is_materializable=entry["is_materializable"],
        )
        for entry in json.loads(text)
    ]
    return {asset.key: asset for asset in assets}
