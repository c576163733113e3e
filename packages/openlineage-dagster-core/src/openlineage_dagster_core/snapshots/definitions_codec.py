"""Writes assets and jobs as JSON for another process, and reads them back."""

import json
from typing import Any

from dagster import AssetKey, TableColumn, TableSchema

from openlineage_dagster_core.facts import model, partitions

Json = dict[str, Any]

# The fields of an asset that JSON writes and reads as they are
_AS_THEY_ARE = (
    "group", "description", "tags", "is_materializable", "is_external", "is_stub", "code_version",
    "source_code", "source_text", "sql", "additions",
)  # fmt: skip


def encode_asset(asset: model.AssetFacts) -> str:
    """Return an asset as JSON, the same for equal assets.

    Partitions of a class of the user's own are left out.
    """
    table = partitions.PartitionsTable()
    written = {
        # The fields in their order: another order would be another version.
        **vars(asset),
        "key": list(asset.key.path),
        "upstream": [list(key.path) for key in asset.upstream],
        # Not by Dagster's own serializer: a run waits, and 2,000 assets of 20 columns took 0.6 s.
        "columns": None
        if asset.columns is None
        else [
            [each.name, each.type, each.description, dict(each.tags)]
            for each in asset.columns.columns
        ],
        "partitions": [table.encode(asset.partitions)] if asset.partitions else None,
        "upstream_partitions": [
            [list(key.path), mapping, table.encode(upstream.upstream)]
            for key, upstream in asset.upstream_partitions.items()
            if (mapping := table.encode_mapping(upstream.mapping)) is not None
        ],
        "checks": {name: _encode_check(check) for name, check in asset.checks.items()},
        "physical": list(vars(asset.physical).values()),
    }
    return _to_json(written, table)


def decode_asset(text: str) -> model.AssetFacts:
    """Read what `encode_asset` wrote."""
    written: Json = json.loads(text)
    table = partitions.PartitionsTable(written["table"])
    return model.AssetFacts(
        # Earlier versions of ours wrote fewer.
        **{name: written[name] for name in _AS_THEY_ARE if name in written},
        key=AssetKey(written["key"]),
        upstream=_keys(written["upstream"]),
        owners=tuple(written["owners"]),
        columns=_columns(written["columns"]),
        partitions=_partitions(written["partitions"], table),
        upstream_partitions={
            AssetKey(path): partitions.UpstreamPartitions(
                table.decode_mapping(mapping), table.decode(upstream)
            )
            for path, mapping, upstream in written["upstream_partitions"]
        },
        checks={
            name: model.CheckFacts(_keys(reads), *words)
            for name, (reads, *words) in written["checks"].items()
        },
        physical=model.PhysicalFacts(*written["physical"]),
    )


def _encode_check(check: model.CheckFacts) -> list[Any]:
    reads, *words = vars(check).values()
    return [[list(key.path) for key in reads], *words]


def encode_job(job: model.JobFacts) -> str:
    """Return a job as JSON."""
    table = partitions.PartitionsTable()
    written = {
        **vars(job),
        "partitions": [table.encode(job.partitions)] if job.partitions else None,
        "steps": {key: [step.description, step.tags] for key, step in job.steps.items()},
    }
    return _to_json(written, table)


def decode_job(text: str) -> model.JobFacts:
    """Read what `encode_job` wrote."""
    written: Json = json.loads(text)
    return model.JobFacts(
        description=written["description"],
        owners=tuple(written["owners"]),
        tags=written["tags"],
        partitions=_partitions(written["partitions"], partitions.PartitionsTable(written["table"])),
        source_code=written["source_code"],
        is_like_asset=written.get("is_like_asset", False),
        steps={key: model.StepFacts(*step) for key, step in written["steps"].items()},
    )


def _to_json(written: Json, table: partitions.PartitionsTable) -> str:
    return json.dumps({**written, "table": table.texts}, separators=(",", ":"))


def _columns(written: list[list[Any]] | None) -> TableSchema | None:
    if written is None:
        return None
    return TableSchema(
        [TableColumn(name, kind, text, tags=tags) for name, kind, text, tags in written]
    )


def _keys(paths: list[list[str]]) -> tuple[AssetKey, ...]:
    return tuple(AssetKey(path) for path in paths)


def _partitions(
    written: list[int | None] | None, table: partitions.PartitionsTable
) -> partitions.Partitions | None:
    return None if written is None else table.decode(written[0])
