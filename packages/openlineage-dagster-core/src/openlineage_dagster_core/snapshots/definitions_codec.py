"""Writes assets and jobs down for another process, and reads them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dagster import AssetKey, TableColumn, TableSchema

from openlineage_dagster_core.facts.model import (
    AssetFacts,
    JobFacts,
    KnownRun,
    OutsideParent,
    PhysicalFacts,
    StepFacts,
)
from openlineage_dagster_core.facts.partitions import (
    Partitions,
    PartitionsTable,
    UpstreamPartitions,
)

Json = dict[str, Any]


def encode_asset(asset: AssetFacts) -> str:
    """Write an asset down.

    Args:
        asset: as its definition describes it.

    Returns:
        JSON, the same for equal assets; partitions of a class of the user's own are not in it.
    """
    table = PartitionsTable()
    written = _encode_asset(asset, table)
    return _to_json({**written, "table": table.texts})


def decode_asset(text: str) -> AssetFacts:
    """Read what `encode_asset` wrote.

    Args:
        text: JSON.

    Returns:
        The asset.
    """
    written: Json = json.loads(text)
    return _decode_asset(written, PartitionsTable(written["table"]))


def encode_job(job: JobFacts) -> str:
    """Write a job down.

    Args:
        job: as its definition describes it.

    Returns:
        JSON.
    """
    table = PartitionsTable()
    written = _encode_job(job, table)
    return _to_json({**written, "table": table.texts})


def decode_job(text: str) -> JobFacts:
    """Read what `encode_job` wrote.

    Args:
        text: JSON.

    Returns:
        The job.
    """
    written: Json = json.loads(text)
    return _decode_job(written, PartitionsTable(written["table"]))


def encode_parent(parent: OutsideParent) -> Json:
    """Write down what started a run from outside Dagster.

    Args:
        parent: the run and its root.

    Returns:
        An object for JSON.
    """
    return asdict(parent)


def decode_parent(written: Mapping[str, Json]) -> OutsideParent:
    """Read what `encode_parent` wrote.

    Args:
        written: the object.

    Returns:
        The parent.
    """
    root = written["root"]
    return OutsideParent(KnownRun(**written["parent"]), KnownRun(**root) if root else None)


def _to_json(written: Json) -> str:
    return json.dumps(written, separators=(",", ":"))


def _encode_asset(asset: AssetFacts, table: PartitionsTable) -> Json:
    return {
        "key": list(asset.key.path),
        "upstream": [list(key.path) for key in asset.upstream],
        "group": asset.group,
        "description": asset.description,
        "owners": asset.owners,
        "tags": asset.tags,
        "columns": _encode_columns(asset.columns) if asset.columns else None,
        "partitions": [table.encode(asset.partitions)] if asset.partitions else None,
        "upstream_partitions": [
            [list(key.path), mapping, table.encode(upstream.upstream)]
            for key, upstream in asset.upstream_partitions.items()
            if (mapping := table.encode_mapping(upstream.mapping)) is not None
        ],
        "is_materializable": asset.is_materializable,
        "is_external": asset.is_external,
        "checks": {name: [list(key.path) for key in read] for name, read in asset.checks.items()},
        "physical": list(vars(asset.physical).values()),
        "code_version": asset.code_version,
        "source_code": asset.source_code,
        "sql": asset.sql,
        "additions": asset.additions,
    }


def _decode_asset(written: Json, table: PartitionsTable) -> AssetFacts:
    columns = written["columns"]
    return AssetFacts(
        key=AssetKey(written["key"]),
        upstream=_keys(written["upstream"]),
        group=written["group"],
        description=written["description"],
        owners=tuple(written["owners"]),
        tags=written["tags"],
        columns=_decode_columns(columns) if columns is not None else None,
        partitions=_partitions(written["partitions"], table),
        upstream_partitions={
            AssetKey(path): UpstreamPartitions(
                table.decode_mapping(mapping), table.decode(upstream)
            )
            for path, mapping, upstream in written["upstream_partitions"]
        },
        is_materializable=written["is_materializable"],
        is_external=written["is_external"],
        checks={name: _keys(read) for name, read in written["checks"].items()},
        physical=PhysicalFacts(*written["physical"]),
        code_version=written["code_version"],
        source_code=written["source_code"],
        sql=written["sql"],
        additions=written["additions"],
    )


def _encode_columns(schema: TableSchema) -> list[list[Any]]:
    # Not Dagster's own serializer: a run waits for this, and 2,000 assets of 20 columns took 0.6 s.
    return [
        [column.name, column.type, column.description, dict(column.tags)]
        for column in schema.columns
    ]


def _decode_columns(written: list[list[Any]]) -> TableSchema:
    return TableSchema(
        [
            TableColumn(name, kind, description, tags=tags)
            for name, kind, description, tags in written
        ]
    )


def _keys(paths: list[list[str]]) -> tuple[AssetKey, ...]:
    return tuple(AssetKey(path) for path in paths)


def _partitions(written: list[int | None] | None, table: PartitionsTable) -> Partitions | None:
    return None if written is None else table.decode(written[0])


def _encode_job(job: JobFacts, table: PartitionsTable) -> Json:
    return {
        "description": job.description,
        "owners": job.owners,
        "tags": job.tags,
        "partitions": [table.encode(job.partitions)] if job.partitions else None,
        "steps": {key: [step.description, step.tags] for key, step in job.steps.items()},
    }


def _decode_job(written: Json, table: PartitionsTable) -> JobFacts:
    return JobFacts(
        description=written["description"],
        owners=tuple(written["owners"]),
        tags=written["tags"],
        partitions=_partitions(written["partitions"], table),
        steps={key: StepFacts(*step) for key, step in written["steps"].items()},
    )
