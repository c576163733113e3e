"""An asset is what its definition says and what its latest materialization says, merged."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.materialized import (
    NOTHING,
    described,
    is_settled,
    merged,
    packed_materialization,
    unpacked_materialization,
)
from openlineage_dagster_core.facts.model import (
    AssetFacts,
    Facts,
    MaterializedFacts,
    PhysicalFacts,
    RunFacts,
)
from openlineage_dagster_core.facts.progress import ProgressLog
from recorded_run import CREATED_AT

KEY = dg.AssetKey("orders")
RUN = RunFacts("", "", CREATED_AT)


def schema(**types: str) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in types.items()])


def packed(partition: str | None = None, **metadata: Any) -> bytes:
    named = {key.replace("__", "/"): value for key, value in metadata.items()}
    return packed_materialization(dg.AssetMaterialization(KEY, metadata=named, partition=partition))


def said(partition: str | None = None, **metadata: Any) -> MaterializedFacts:
    return unpacked_materialization(packed(partition, **metadata))


def facts(
    definition: AssetFacts | None, *, before: bytes | None = None, made: bytes | None = None
) -> Facts:
    return Facts(
        RUN,
        ProgressLog().progress,
        {} if definition is None else {KEY: definition},
        made_before={} if before is None else {KEY: before},
        made={} if made is None else {KEY: made},
    )


def test_what_says_nothing_of_its_asset_is_written_as_nothing() -> None:
    assert packed() == NOTHING
    assert packed(dagster__row_count=3, path=dg.MetadataValue.int(3)) == NOTHING
    assert unpacked_materialization(NOTHING) == MaterializedFacts()


@pytest.mark.parametrize("key", ["dagster/column_schema", "column_schema", "dataframe_columns"])
def test_columns_are_found_under_each_of_their_names(key: str) -> None:
    [column] = said(**{key: schema(id="int")}).columns.columns  # type: ignore[union-attr]
    assert (column.name, column.type) == ("id", "int")


def test_where_the_data_is_is_found() -> None:
    assert said(dagster__table_name="shop.public.orders", dagster__storage_kind="duckdb") == (
        MaterializedFacts(
            physical=PhysicalFacts(table_name="shop.public.orders", storage_kind="duckdb")
        )
    )
    assert said(dagster__uri="s3://lake/orders").physical.address == "s3://lake/orders"
    assert said(uri=dg.MetadataValue.url("s3://lake/orders")).physical.uri == "s3://lake/orders"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/orders", "file:///data/orders"),
        (Path("/data/my orders"), "file:///data/my%20orders"),
        ("s3://lake/orders.parquet", "s3://lake/orders.parquet"),
        ("dbfs:/tables/orders", "dbfs:/tables/orders"),
        ("bigquery:project.shop.orders", "bigquery:project.shop.orders"),
        ("C:\\data\\orders", "file:///C:/data/orders"),
        ("orders", None),
        ("a: b", None),
    ],
)
def test_a_path_is_an_address_where_others_can_find_it(path: Any, expected: str | None) -> None:
    assert said(path=dg.MetadataValue.path(path)).physical.address == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/orders/2024-01-01", "file:///data/orders"),
        ("s3://lake/orders/2024-01-01.parquet", "s3://lake/orders"),
        ("/data/of-2024-01-01/orders", None),
    ],
)
def test_the_path_of_a_partition_is_none_of_the_asset(path: str, expected: str | None) -> None:
    assert said("2024-01-01", path=dg.MetadataValue.path(path)).physical.path == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://lake/daily/2024-01-01", "s3://lake/daily"),
        ("s3://lake/daily/2024-01-01.parquet", "s3://lake/daily"),
        ("s3://lake/daily", "s3://lake/daily"),
        ("s3://2024-01-01", "s3://2024-01-01"),
    ],
)
def test_the_address_of_a_partition_is_that_of_the_asset(uri: str, expected: str) -> None:
    assert said("2024-01-01", dagster__uri=uri).physical.uri == expected


def test_columns_and_types_are_those_made_and_words_those_of_the_definition() -> None:
    definition = AssetFacts(
        KEY,
        columns=dg.TableSchema(
            [
                dg.TableColumn("id", "?", "The key", tags={"pii": "no"}),
                dg.TableColumn("gone", "int", "Not there any more"),
            ]
        ),
    )
    made = unpacked_materialization(packed(dagster__column_schema=schema(ID="BIGINT", new="TEXT")))
    [first, second] = merged(definition, made).columns.columns  # type: ignore[union-attr]
    assert (first.name, first.type, first.description) == ("ID", "BIGINT", "The key")
    assert first.tags == {"pii": "no"}
    assert (second.name, second.type, second.description) == ("new", "TEXT", None)


def test_a_type_that_was_not_found_out_stays_the_definitions() -> None:
    definition = AssetFacts(KEY, columns=schema(id="int"))
    made = unpacked_materialization(packed(dagster__column_schema=schema(id="?")))
    [column] = merged(definition, made).columns.columns  # type: ignore[union-attr]
    assert column.type == "int"


def test_the_place_is_the_one_that_was_made_and_else_the_definitions() -> None:
    definition = AssetFacts(
        KEY, physical=PhysicalFacts(table_name="items", storage_kind="duckdb"), sql="select 1"
    )
    made = said(dagster__table_name="duckdb.shop.items", Query="SELECT * FROM items")
    found = merged(definition, made)
    assert found.physical == PhysicalFacts(table_name="duckdb.shop.items", storage_kind="duckdb")
    assert found.sql == "select 1"
    assert merged(AssetFacts(KEY), made).sql == "SELECT * FROM items"


def test_the_latest_materialization_counts() -> None:
    definition = AssetFacts(KEY, description="of the shop")
    old, new = packed(dagster__table_name="old"), packed(dagster__table_name="new")

    def table(**made: bytes | None) -> str | None:
        found = described(facts(definition, **made), KEY)
        assert found is not None
        assert found.description == "of the shop"
        return found.physical.table_name

    assert table() is None
    assert table(before=old) == "old"
    assert table(before=old, made=new) == "new"
    assert table(before=old, made=NOTHING) is None


def test_an_asset_without_a_definition_is_what_was_made() -> None:
    assert described(facts(None), KEY) is None
    found = described(facts(None, made=packed(dagster__table_name="a")), KEY)
    assert found == AssetFacts(KEY, physical=PhysicalFacts(table_name="a"))


def test_the_same_asset_is_made_once() -> None:
    definition, made = AssetFacts(KEY), packed(dagster__table_name="a")
    first = described(facts(definition, made=made), KEY)
    assert described(facts(definition, before=bytes(bytearray(made))), KEY) is first


def test_what_is_long_is_compressed_and_read_back() -> None:
    columns = {f"column_{number}": "VARCHAR" for number in range(300)}
    made = packed(dagster__column_schema=schema(**columns))
    assert len(made) < 3000
    assert unpacked_materialization(made).columns == schema(**columns)
    assert made == packed(dagster__column_schema=schema(**columns))
    definition = AssetFacts(KEY)
    first = described(facts(definition, made=made), KEY)
    assert described(facts(definition, before=bytes(bytearray(made))), KEY) is first


TYPED = AssetFacts(KEY, columns=schema(id="int"))


@pytest.mark.parametrize(
    ("definition", "before", "expected"),
    [
        (None, NOTHING, False),
        (AssetFacts(KEY), NOTHING, False),
        (AssetFacts(KEY, columns=schema(id="?")), NOTHING, False),
        (TYPED, None, False),
        (TYPED, NOTHING, True),
        (TYPED, packed(dagster__column_schema=schema(id="int")), False),
        (TYPED, packed(path=dg.MetadataValue.path("/a")), True),
    ],
)
def test_a_start_waits_where_the_materialization_may_say_more(
    definition: AssetFacts | None, before: bytes | None, expected: bool
) -> None:
    found = is_settled(facts(definition, before=before), KEY, with_columns=True, with_query=True)
    assert found is expected


def test_without_columns_their_types_are_not_waited_for() -> None:
    assert is_settled(
        facts(AssetFacts(KEY), before=NOTHING), KEY, with_columns=False, with_query=True
    )
    assert not is_settled(facts(AssetFacts(KEY)), KEY, with_columns=False, with_query=True)
    load = {
        "destination_name": "duckdb",
        "dataset_name": "shop",
        "items__tags": schema(value="text"),
    }
    nested = packed_materialization(dg.AssetMaterialization(KEY, metadata=load))
    assert not is_settled(
        facts(AssetFacts(KEY), before=nested), KEY, with_columns=False, with_query=True
    )


def test_a_start_waits_for_a_query_of_the_materialization_if_queries_are_parsed() -> None:
    before = packed(openlineage__sql="select 1 as id")
    stated = AssetFacts(KEY, columns=schema(id="int"), sql="select 2 as id")
    for definition, with_query, expected in (
        (TYPED, True, False),
        (TYPED, False, True),
        (stated, True, True),
    ):
        known = facts(definition, before=before)
        found = is_settled(known, KEY, with_columns=True, with_query=with_query)
        assert found is expected


def test_a_table_of_dlt_is_in_its_dataset_whether_the_load_names_it_or_not() -> None:
    definition = AssetFacts(KEY, physical=PhysicalFacts(table_name="items"))
    load = {"destination_name": "duckdb", "dataset_name": "shop"}
    first = said(**load, dagster__table_name="duckdb.source.items")
    later = said(**load)
    for made in (first, later):
        assert merged(definition, made).physical.table_name == "shop.items"
    assert merged(AssetFacts(KEY), later).physical.table_name is None


def test_the_tables_that_dlt_makes_of_nested_fields_are_those_of_the_asset() -> None:
    schema = dg.TableSchema([dg.TableColumn("value", "text")])
    load = {"items__tags": schema, "dataset_name": "shop", "dagster/column_schema": schema}
    for metadata, expected in (
        ({**load, "destination_name": "duckdb"}, {"items__tags": schema}),
        (load, {}),
    ):
        written = packed_materialization(dg.AssetMaterialization(KEY, metadata=metadata))
        assert merged(AssetFacts(KEY), unpacked_materialization(written)).children == expected


NAMES = st.text(min_size=1, max_size=20)
COLUMN = st.builds(
    dg.TableColumn,
    NAMES,
    NAMES,
    st.none() | NAMES,
    tags=st.just({}) | st.just({"pii": "yes"}),
)


@given(columns=st.lists(COLUMN, max_size=5), table=st.none() | NAMES)
def test_what_is_written_is_read_back(columns: list[dg.TableColumn], table: str | None) -> None:
    metadata: dict[str, Any] = {"dagster/column_schema": dg.TableSchema(columns)}
    if table is not None:
        metadata["dagster/table_name"] = table
    found = said(**metadata)
    assert found.columns is not None
    assert [
        (column.name, column.type, column.description, column.tags)
        for column in found.columns.columns
    ] == [(column.name, column.type, column.description, column.tags) for column in columns]
    assert found.physical.table_name == (table if table and table.strip() else None)


def test_a_definition_that_names_the_database_as_well_keeps_its_name() -> None:
    definition = AssetFacts(KEY, physical=PhysicalFacts(table_name="Shop.raw.items"))
    load = packed(destination_name="duckdb", dataset_name="raw")

    found = merged(definition, unpacked_materialization(load))
    renamed = merged(definition, unpacked_materialization(packed(dagster__table_name="x.items")))

    assert found.physical.table_name == "Shop.raw.items"
    assert renamed.physical.table_name == "x.items"
