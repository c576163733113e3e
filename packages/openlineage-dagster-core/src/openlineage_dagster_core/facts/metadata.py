"""Reads what metadata and tags say; metadata is bare in definitions and wrapped in events."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from dagster import AssetKey, TableColumnLineage, TableSchema

from openlineage_dagster_core.facts.model import PhysicalFacts

# Keys of metadata, in the order of preference
COLUMN_SCHEMA = (
    "dagster/column_schema",
    "column_schema",  # Of `dagster-openlineage` 0.2
    "dataframe_columns",  # Of the I/O managers of databases
)
COLUMN_LINEAGE = ("dagster/column_lineage", "column_lineage")  # The second is of 0.2
TABLE_NAME = ("dagster/table_name", "dagster/relation_identifier")  # The second until Dagster 1.8
URI = ("dagster/uri", "uri")  # The second is of 0.2
PATH = "path"  # Where I/O managers put a file, as a path or an address
STORAGE_KIND = "dagster/storage_kind"
DUCKDB, MOTHERDUCK = "duckdb", "md:"  # A storage kind, and the prefix of a MotherDuck database
DBT_MATERIALIZATION = "dagster-dbt/materialization_type"
# dagster-dlt writes these at each load; the dataset is the schema of the table. It writes a table's
# name only when a load has changed the table, and then with another schema.
DLT_DESTINATION, DLT_DATASET = "destination_name", "dataset_name"
OWN_QUERY = "openlineage/sql"  # A query that the user gives
QUERY = (OWN_QUERY, "Query")  # The second is of the I/O managers of databases
CODE_REFERENCES = "dagster/code_references"
# The keys by which a materialization describes its asset
DESCRIBING_KEYS = frozenset(
    {*COLUMN_SCHEMA, *TABLE_NAME, *URI, PATH, STORAGE_KIND, DLT_DESTINATION, *QUERY}
)
ADDITIONS_PREFIX = "openlineage/"  # What the user adds to events

# Prefixes of tags of a materialization, before the key of an upstream asset: every declared one has
# such a tag, even if there is no definition
INPUT_DATA_VERSION_PREFIX = "dagster/input_data_version/"
INPUT_TAG_PREFIXES = ("dagster/input_event_pointer/", INPUT_DATA_VERSION_PREFIX)
STEP_TAG = "dagster/code_version"  # On every materialization that a step made of its own asset

_Value = TypeVar("_Value")


def value_of(metadata: Mapping[str, Any], key: str) -> Any:
    """Return a value of metadata without Dagster's wrapper; None if the key is missing."""
    value = metadata.get(key)
    return getattr(value, "value", value)


def text_of(metadata: Mapping[str, Any], *keys: str) -> str | None:
    """Return the first text under one of these keys that is not empty."""
    for key in keys:
        value = value_of(metadata, key)
        if isinstance(value, PurePath):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None


def table_schema(metadata: Mapping[str, Any]) -> TableSchema | None:
    """Return the column schema in metadata, if there is a valid one."""
    return _first(metadata, COLUMN_SCHEMA, "schema", TableSchema)


def child_tables(metadata: Mapping[str, Any]) -> dict[str, TableSchema]:
    """Return the schemas of the tables that dlt makes of nested fields (`items__children`)."""
    if DLT_DESTINATION not in metadata:
        return {}
    found = {name: table_schema({COLUMN_SCHEMA[0]: metadata[name]}) for name in sorted(metadata)}
    return {name: schema for name, schema in found.items() if schema and "__" in name}


def column_lineage(metadata: Mapping[str, Any]) -> TableColumnLineage | None:
    """Return the column lineage in a materialization's metadata, if there is a valid one."""
    return _first(metadata, COLUMN_LINEAGE, "column_lineage", TableColumnLineage)


def _first(
    metadata: Mapping[str, Any], keys: Iterable[str], wrapped_as: str, kind: type[_Value]
) -> _Value | None:
    """Return the first value of a class, bare or in Dagster's wrapper."""
    values = (metadata.get(key) for key in keys)
    found = (getattr(value, wrapped_as, value) for value in values)
    return next((value for value in found if isinstance(value, kind)), None)


def place(metadata: Mapping[str, Any]) -> PhysicalFacts:
    """Return where the metadata of a definition or a materialization says that the data is."""
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
    database = file.strip(".").partition(".")[0] or file
    # MotherDuck's default database has no name.
    return ".".join([database, *rest] if database.strip(".") else rest)


def _address(text: str | None) -> str | None:
    """Return an absolute path as a URI; a relative one means nothing elsewhere."""
    if text is None or "://" in text:
        return text
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute():
            return path.as_uri()
    # Such as dbfs:/tables/orders and bigquery:project.dataset.table.
    return text if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/|(?:bigquery|pubsub):", text) else None


def source_code(metadata: Mapping[str, Any]) -> str | None:
    """Return the first URL of a definition's code, else the URI of its first absolute file."""
    references = getattr(metadata.get(CODE_REFERENCES), "code_references", ())
    urls = [getattr(reference, "url", None) for reference in references]
    files = [getattr(reference, "file_path", None) for reference in references]
    paths = [PurePath(path) for path in files if isinstance(path, str)]
    addresses = [url for url in urls if isinstance(url, str)]
    addresses += [path.as_uri() for path in paths if path.is_absolute()]
    return addresses[0] if addresses else None


def additions(metadata: Mapping[str, Any]) -> dict[str, object]:
    """Return the values that the user adds under `openlineage/…`, without that prefix."""
    return {
        key[len(ADDITIONS_PREFIX) :]: _plain(value_of(metadata, key))
        for key in sorted(metadata)
        if key.startswith(ADDITIONS_PREFIX)
    }


def named_assets(added: Mapping[str, object]) -> tuple[AssetKey, ...]:
    """Return the assets that a user names as inputs or outputs in `additions`."""
    sides = (added.get(side) for side in ("inputs", "outputs"))
    items = (item for side in sides if isinstance(side, list) for item in side)
    return tuple(key for item in items if (key := named_asset(item)) is not None)


def named_asset(item: object) -> AssetKey | None:
    """Return the key of an asset named as `a/b`; None for an item of any other form."""
    is_key = isinstance(item, str) and item.strip("/")
    return AssetKey.from_user_string(str(item)) if is_key else None


def _plain(value: object) -> object:
    """Return what JSON makes of a value, so that it is the same in all processes."""
    try:
        plain: object = json.loads(json.dumps(value))
    except Exception:
        return f"({type(value).__name__}, which is not JSON)"
    return plain


def tells_upstream(tags: Mapping[str, str]) -> bool:
    """Return True if tags say what an asset was made from; not if reported or logged by hand."""
    return STEP_TAG in tags or bool(upstream_in_tags(tags))


def upstream_in_tags(tags: Mapping[str, str]) -> tuple[AssetKey, ...]:
    """Return the declared upstream assets that a materialization's tags name, sorted."""
    found = {
        AssetKey.from_user_string(tag[len(prefix) :])
        for tag in tags
        for prefix in INPUT_TAG_PREFIXES
        if tag.startswith(prefix)
    }
    return tuple(sorted(found))
