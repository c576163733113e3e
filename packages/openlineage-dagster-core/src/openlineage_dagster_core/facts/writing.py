"""Writes definitions down for another process, and reads them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from dagster import AssetKey, TableColumn, TableSchema

from openlineage_dagster_core.facts.model import (
    AssetFacts,
    Definitions,
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

DECODED_KEPT = 16
"""The runs of one job mostly have the same definitions; reading them again yields the same."""


def encode_definitions(definitions: Definitions) -> str:
    """Write definitions down.

    Args:
        definitions: what is at hand.

    Returns:
        Two lines of JSON, the second without what differs from run to run; partitions of a class of
        the user's own are not in it.
    """
    table = PartitionsTable()
    written = {
        "assets": [_encode_asset(asset, table) for asset in definitions.assets.values()],
        "jobs": {name: _encode_job(job, table) for name, job in definitions.jobs.items()},
        "partitions": table.texts,
    }
    process = {
        "parent": asdict(definitions.parent) if definitions.parent else None,
        "environment": dict(definitions.environment),
    }
    return f"{_to_json(process)}\n{_to_json(written)}"


def _to_json(written: Json) -> str:
    return json.dumps(written, separators=(",", ":"))


def decode_definitions(text: str) -> Definitions:
    """Read what `encode_definitions` wrote.

    Args:
        text: two lines of JSON.

    Returns:
        The definitions; assets and jobs are the same objects for the same second line.
    """
    process, _, written = text.partition("\n")
    of_process: Json = json.loads(process)
    return replace(
        _decode(written),
        parent=_decode_parent(of_process["parent"]),
        environment=of_process["environment"],
    )


@lru_cache(maxsize=DECODED_KEPT)
def _decode(text: str) -> Definitions:
    written: Json = json.loads(text)
    table = PartitionsTable(written["partitions"])
    assets = [_decode_asset(asset, table) for asset in written["assets"]]
    return Definitions(
        assets={asset.key: asset for asset in assets},
        jobs={name: _decode_job(job, table) for name, job in written["jobs"].items()},
    )


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


def _decode_parent(written: Mapping[str, Json] | None) -> OutsideParent | None:
    if written is None:
        return None
    root = written["root"]
    return OutsideParent(KnownRun(**written["parent"]), KnownRun(**root) if root else None)
