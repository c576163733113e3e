"""Reads Dagster metadata, where values stand bare (definitions) or wrapped (events)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from dagster import AssetKey, TableColumnLineage, TableSchema

COLUMN_SCHEMA = "dagster/column_schema"
"""A `TableSchema`, in a definition or in an event."""

COLUMN_LINEAGE = "dagster/column_lineage"
"""A `TableColumnLineage`, in a materialization."""

CODE_REFERENCES = "dagster/code_references"
"""Where the code of an asset is, in a definition."""

ADDITIONS_PREFIX = "openlineage/"
"""What the user adds to events: inputs, outputs, facets and so on."""


def value_of(metadata: Mapping[str, Any], key: str) -> Any:
    """Take a value out of metadata.

    Args:
        metadata: of a definition or an event.
        key: the metadata's key.

    Returns:
        The value without Dagster's wrapper, None where there is none.
    """
    value = metadata.get(key)
    return getattr(value, "value", value)


def text_of(metadata: Mapping[str, Any], *keys: str) -> str | None:
    """Take a text out of metadata.

    Args:
        metadata: of a definition or an event.
        keys: to look under, in this order.

    Returns:
        The first text that is not empty, None where there is none.
    """
    for key in keys:
        value = value_of(metadata, key)
        if isinstance(value, PurePath):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None


def table_schema(metadata: Mapping[str, Any]) -> TableSchema | None:
    """Find the column schema in metadata.

    Args:
        metadata: of a definition or an event.

    Returns:
        The schema, None where there is none or it is none.
    """
    value = metadata.get(COLUMN_SCHEMA)
    schema = getattr(value, "schema", value)
    return schema if isinstance(schema, TableSchema) else None


def column_lineage(metadata: Mapping[str, Any]) -> TableColumnLineage | None:
    """Find the column lineage in metadata.

    Args:
        metadata: of a materialization.

    Returns:
        The lineage, None where there is none or it is none.
    """
    value = metadata.get(COLUMN_LINEAGE)
    lineage = getattr(value, "column_lineage", value)
    return lineage if isinstance(lineage, TableColumnLineage) else None


def source_code(metadata: Mapping[str, Any]) -> str | None:
    """Find the address of an asset's code.

    Args:
        metadata: of a definition.

    Returns:
        The first URL, else that of the first file; None where neither is known.
    """
    references = getattr(metadata.get(CODE_REFERENCES), "code_references", ())
    urls = [
        url for reference in references if isinstance(url := getattr(reference, "url", None), str)
    ]
    paths = [
        PurePath(path)
        for reference in references
        if isinstance(path := getattr(reference, "file_path", None), str)
    ]
    addresses = urls + [path.as_uri() for path in paths if path.is_absolute()]
    return addresses[0] if addresses else None


def additions(metadata: Mapping[str, Any]) -> dict[str, object]:
    """Collect what the user adds to events.

    Args:
        metadata: of a definition or an event.

    Returns:
        The values under `openlineage/…`, by what follows the slash; those that JSON cannot hold
        are left as texts, for the error message that they will give.
    """
    return {
        key[len(ADDITIONS_PREFIX) :]: _plain(value_of(metadata, key))
        for key in sorted(metadata)
        if key.startswith(ADDITIONS_PREFIX)
    }


def named_assets(added: Mapping[str, object]) -> tuple[AssetKey, ...]:
    """Find the assets that a user names as inputs or outputs.

    Args:
        added: from `additions`.

    Returns:
        Their keys; other datasets are named in full.
    """
    sides = (added.get(side) for side in ("inputs", "outputs"))
    return tuple(
        key
        for side in sides
        if isinstance(side, list)
        for item in side
        if (key := named_asset(item)) is not None
    )


def named_asset(item: object) -> AssetKey | None:
    """Read what a user names as an input or an output.

    Args:
        item: of the list.

    Returns:
        The asset's key, None for what is not one as `a/b`.
    """
    is_key = isinstance(item, str) and item.strip("/")
    return AssetKey.from_user_string(str(item)) if is_key else None


def _plain(value: object) -> object:
    """Make a value one that survives being written down, for that it is the same everywhere."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    try:
        plain: object = json.loads(json.dumps(value, allow_nan=False))
    except Exception:
        return f"({type(value).__name__}, which is not JSON)"
    return plain
