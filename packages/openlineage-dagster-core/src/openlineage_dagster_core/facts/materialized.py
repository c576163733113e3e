"""What an asset is: its definition, merged with what its latest materialization says of it.

A materialization's part is kept packed, as JSON that is compressed if it is long: a table of 1,000
columns takes 5 KB so, and 1 MB as objects.
"""

import json
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from dagster import AssetKey, AssetMaterialization, TableColumn, TableSchema

from openlineage_dagster_core.caches import PerValue
from openlineage_dagster_core.facts import metadata
from openlineage_dagster_core.facts.model import AssetFacts, Facts, MaterializedFacts, PhysicalFacts

NOTHING = b""  # What is packed of a materialization that says nothing of its asset
LONG_BYTES = 4_000  # JSON from this length on is compressed; shorter JSON gains too little
LENGTH_BYTES = 4  # In front of compressed JSON: its length before compression
UNTYPED = frozenset({"", "?"})  # Types of columns of unknown type; dagster-dbt writes the second
BYTES_KEPT = 1_000_000  # Of JSON whose merged facts are cached; those take some 40 times as much
_Key = tuple[int, bytes]  # The `id` of a definition, and what is packed of a materialization
_SettledKey = tuple[int, bytes, bool, bool]  # The same; whether columns matter, and the query


def packed_materialization(materialization: AssetMaterialization) -> bytes:
    """Return what a materialization says of its asset, packed; `NOTHING` if it says nothing."""
    given = materialization.metadata
    if metadata.DESCRIBING_KEYS.isdisjoint(given):
        return NOTHING
    physical = metadata.place(given)
    columns, sql = metadata.table_schema(given), metadata.text_of(given, *metadata.QUERY)
    where = [
        physical.table_name,
        _whole_uri(physical.uri, materialization.partition),
        physical.storage_kind,
        physical.materialization,
        _whole(physical.path, materialization.partition),
        physical.schema,
    ]
    children = {name: _written(each) for name, each in metadata.child_tables(given).items()}
    if columns is None and sql is None and not any(where):
        return NOTHING
    written = _written(columns) if columns is not None else None
    text = json.dumps([written, where, sql, children], separators=(",", ":")).encode()
    if len(text) < LONG_BYTES:
        return text
    return len(text).to_bytes(LENGTH_BYTES, "big") + zlib.compress(text, level=1)


def _whole(path: str | None, partition: str | None) -> str | None:
    """Return the place of all partitions: the parent, if the path is that of one partition."""
    if path is None or partition is None:
        return path
    parent, _, name = path.rpartition("/")
    names = {name, PurePosixPath(name).stem}
    return parent if names & {partition, quote(partition)} else None


def _whole_uri(uri: str | None, partition: str | None) -> str | None:
    """Return the address of all partitions; one that does not end in the partition is theirs."""
    whole = _whole(uri, partition)
    return uri if whole is None or whole.endswith(":/") else whole


def _written(columns: TableSchema) -> list[list[Any]]:
    return [
        [column.name, column.type, column.description, dict(column.tags)]
        if column.description or column.tags
        else [column.name, column.type]
        for column in columns.columns
    ]


def unpacked_materialization(packed: bytes) -> MaterializedFacts:
    """Return what `packed_materialization` packed."""
    if packed == NOTHING:
        return MaterializedFacts()
    text = packed if packed.startswith(b"[") else zlib.decompress(packed[LENGTH_BYTES:])
    columns, where, sql, children = json.loads(text)
    return MaterializedFacts(
        columns=_columns(columns) if columns is not None else None,
        physical=PhysicalFacts(*where),
        sql=sql,
        children={name: _columns(schema) for name, schema in children.items()},
    )


def _columns(written: list[list[Any]]) -> TableSchema:
    columns = [
        TableColumn(name, kind, more[0] if more else None, tags=more[1] if more else None)
        for name, kind, *more in written
    ]
    return TableSchema(columns)


def merged(asset: AssetFacts, made: MaterializedFacts) -> AssetFacts:
    """Describe an asset by its definition and what was made.

    Columns and types, the place and the query are those of what was made; descriptions and tags are
    those of the definition, column by column, if it has some.
    """
    return replace(
        asset,
        columns=_merged_columns(asset.columns, made.columns),
        physical=_merged_place(asset.physical, made.physical),
        sql=asset.sql or made.sql,
        children=made.children,
    )


def _merged_columns(defined: TableSchema | None, made: TableSchema | None) -> TableSchema | None:
    if defined is None or made is None:
        return made or defined
    # Databases fold the case of names; a definition describes the column all the same.
    by_name = {column.name.lower(): column for column in reversed(defined.columns)}
    by_name |= {column.name: column for column in reversed(defined.columns)}
    columns = [
        _merged_column(by_name.get(column.name) or by_name.get(column.name.lower()), column)
        for column in made.columns
    ]
    return TableSchema(columns)


def _merged_column(defined: TableColumn | None, made: TableColumn) -> TableColumn:
    if defined is None:
        return made
    return TableColumn(
        made.name,
        defined.type if made.type in UNTYPED else made.type,
        defined.description or made.description,
        tags={**made.tags, **defined.tags},
    )


def _merged_place(defined: PhysicalFacts, made: PhysicalFacts) -> PhysicalFacts:
    said = {name: value for name, value in vars(made).items() if value is not None}
    if not said:
        return defined
    found = replace(defined, **said)
    table = found.table_name
    if found.schema is not None and table is not None:
        table = f"{found.schema}.{table.rpartition('.')[2]}"
    whole = defined.table_name
    if whole and table and whole.lower().endswith(f".{table.lower()}"):
        # The definition names the database, too, which dagster-dlt does not know.
        table = whole
    return replace(found, table_name=table)


def _weight(key: _Key) -> int:
    packed = key[1]
    is_plain = packed == NOTHING or packed.startswith(b"[")
    return 100 + (len(packed) if is_plain else int.from_bytes(packed[:LENGTH_BYTES], "big"))


_merged = PerValue[_Key, AssetFacts](
    lambda key, asset: merged(asset, unpacked_materialization(key[1])), _weight, BYTES_KEPT
)
_without_definition = lru_cache(maxsize=16384)(AssetFacts)


def described(facts: Facts, key: AssetKey) -> AssetFacts | None:
    """Describe an asset by its definition and the latest materialization, if either is known."""
    packed = facts.made.get(key)
    if packed is None:
        packed = facts.made_before.get(key, NOTHING)
    definition = facts.assets.get(key)
    if packed == NOTHING:
        return definition
    asset = definition or _without_definition(key)
    return _merged((id(asset), packed), asset)


def is_settled(facts: Facts, key: AssetKey, *, with_columns: bool, with_query: bool) -> bool:
    """Return True if, before an asset is made, its materialization will say nothing new.

    The definition then has all columns with their types, if columns matter, and the query, if that
    matters, or the materialization before the run had none. That one also says where the data is,
    which seldom moves. Nothing is certain of an asset that was never made.
    """
    definition, before = facts.assets.get(key), facts.made_before.get(key)
    if definition is None or before is None:
        return False
    return _settles((id(definition), before, with_columns, with_query), definition)


def _definition_settles(key: _SettledKey, definition: AssetFacts) -> bool:
    _, packed, with_columns, with_query = key
    made = unpacked_materialization(packed)
    if with_query and definition.sql is None and made.sql is not None:
        return False
    if not with_columns:
        return not made.children
    defined = definition.columns.columns if definition.columns is not None else ()
    is_typed = definition.columns is not None and not any(each.type in UNTYPED for each in defined)
    return is_typed and made.columns is None


_settles = PerValue[_SettledKey, bool](
    _definition_settles, lambda key: _weight(key[:2]), BYTES_KEPT
)
