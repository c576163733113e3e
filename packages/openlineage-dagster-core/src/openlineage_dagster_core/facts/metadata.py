"""Reads Dagster metadata, where values stand bare (definitions) or wrapped (events)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from dagster import AssetKey, TableColumnLineage, TableSchema

from openlineage_dagster_core.facts.model import PhysicalFacts

COLUMN_SCHEMA = ("dagster/column_schema", "column_schema", "dataframe_columns")
"""Keys of a `TableSchema`, in a definition or in an event: the first that has one counts.

The second is what `dagster-openlineage` 0.2 read, the third what the I/O managers of databases
write.
"""

COLUMN_LINEAGE = ("dagster/column_lineage", "column_lineage")
"""Keys of a `TableColumnLineage`, in a materialization; the second is from 0.2."""

TABLE_NAME = ("dagster/table_name", "dagster/relation_identifier")
"""Keys of a table's name, the second from before Dagster 1.8."""

URI = ("dagster/uri", "uri")
"""Keys of an address; the second is from 0.2."""

PATH = "path"
"""What I/O managers write: where a file is, as a path or an address."""

DLT_DESTINATION, DLT_DATASET = "destination_name", "dataset_name"
"""What dagster-dlt writes at each load: the dataset is the schema that the table is in.

It writes a table's name only when a load has changed the table, and then with another schema.
"""

STORAGE_KIND = "dagster/storage_kind"
DUCKDB, MOTHERDUCK = "duckdb", "md:"
"""DuckDB's storage kind, and what the address of a MotherDuck database begins with."""

DBT_MATERIALIZATION = "dagster-dbt/materialization_type"

OWN_QUERY = "openlineage/sql"
"""Key of a query that the user gives."""

QUERY = (OWN_QUERY, "Query")
"""Keys of a query in a materialization; the second is from the I/O managers of databases."""

CODE_REFERENCES = "dagster/code_references"
"""Where the code of an asset is, in a definition."""

ADDITIONS_PREFIX = "openlineage/"
"""What the user adds to events: inputs, outputs, facets and so on."""

_Value = TypeVar("_Value")


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
    return _first(metadata, COLUMN_SCHEMA, "schema", TableSchema)


def child_tables(metadata: Mapping[str, Any]) -> dict[str, TableSchema]:
    """Find the tables that dlt makes of nested fields, such as `items__children`.

    Args:
        metadata: of a materialization.

    Returns:
        Their schemas by name; dagster-dlt writes them beside that of the table itself.
    """
    if DLT_DESTINATION not in metadata:
        return {}
    found = {name: table_schema({COLUMN_SCHEMA[0]: metadata[name]}) for name in sorted(metadata)}
    return {name: schema for name, schema in found.items() if schema and "__" in name}


def column_lineage(metadata: Mapping[str, Any]) -> TableColumnLineage | None:
    """Find the column lineage in metadata.

    Args:
        metadata: of a materialization.

    Returns:
        The lineage, None where there is none or it is none.
    """
    return _first(metadata, COLUMN_LINEAGE, "column_lineage", TableColumnLineage)


def _first(
    metadata: Mapping[str, Any], keys: Iterable[str], wrapped_as: str, kind: type[_Value]
) -> _Value | None:
    """Return the first value of a class, bare or in Dagster's wrapper."""
    values = (metadata.get(key) for key in keys)
    found = (getattr(value, wrapped_as, value) for value in values)
    return next((value for value in found if isinstance(value, kind)), None)


def place(metadata: Mapping[str, Any]) -> PhysicalFacts:
    """Find where an asset's data is.

    Args:
        metadata: of a definition or a materialization.

    Returns:
        What the metadata says of it.
    """
    storage_kind = text_of(metadata, STORAGE_KIND)
    table_name = text_of(metadata, *TABLE_NAME)
    return PhysicalFacts(
        table_name=_table(table_name, storage_kind) if table_name is not None else None,
        uri=_address(text_of(metadata, *URI)),
        path=_address(text_of(metadata, PATH)),
        storage_kind=storage_kind,
        materialization=text_of(metadata, DBT_MATERIALIZATION),
        schema=text_of(metadata, DLT_DATASET) if DLT_DESTINATION in metadata else None,
    )


def _table(name: str, storage_kind: str | None) -> str:
    """Name the database of a table as DuckDB names it: after its file, up to the first dot.

    dagster-duckdb stores `/data/bakery.duckdb.raw.orders` for the table `bakery.raw.orders`.
    """
    database, *rest = name.rsplit(".", 2)
    is_of_duckdb = storage_kind == DUCKDB or database.startswith(MOTHERDUCK)
    if storage_kind is None:
        # Older versions of dagster-duckdb store no kind; no other database has a path for a name.
        is_of_duckdb = is_of_duckdb or re.search(r"[/\\]", database) is not None
    if len(rest) < 2 or not is_of_duckdb or not database.strip("."):
        return name
    # MotherDuck's token may follow the name.
    path = database.removeprefix(MOTHERDUCK).partition("?")[0].strip(":")
    file = re.split(r"[/\\]", path)[-1]
    return ".".join([file.strip(".").partition(".")[0] or file, *rest])


def _address(text: str | None) -> str | None:
    """Write an absolute path as a URI; a relative one is no place that others know."""
    if text is None or "://" in text:
        return text
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute():
            return path.as_uri()
    # Such as dbfs:/tables/orders.
    return text if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) else None


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
    try:
        plain: object = json.loads(json.dumps(value))
    except Exception:
        return f"({type(value).__name__}, which is not JSON)"
    return plain
