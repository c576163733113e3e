import dagster as dg
import pytest

from openlineage_dagster_core.facts.metadata import (
    additions,
    column_lineage,
    named_assets,
    place,
    source_code,
    table_schema,
    text_of,
)

SCHEMA = dg.TableSchema([dg.TableColumn("id", "int", "The key")])
LINEAGE = dg.TableColumnLineage({"id": [dg.TableColumnDep(dg.AssetKey("a"), "id")]})


@pytest.mark.parametrize("value", [SCHEMA, dg.MetadataValue.table_schema(SCHEMA)])
def test_a_schema_is_found_bare_and_as_a_metadata_value(value: object) -> None:
    assert table_schema({"dagster/column_schema": value}) == SCHEMA


@pytest.mark.parametrize("key", ["dagster/column_lineage", "column_lineage"])
@pytest.mark.parametrize("value", [LINEAGE, dg.MetadataValue.column_lineage(LINEAGE)])
def test_column_lineage_is_found_bare_and_as_a_metadata_value(value: object, key: str) -> None:
    assert column_lineage({key: value}) == LINEAGE


@pytest.mark.parametrize("value", ["id int", None, 3, dg.MetadataValue.text("id int")])
def test_what_is_something_else_is_passed_over(value: object) -> None:
    assert table_schema({"dagster/column_schema": value}) is None
    assert column_lineage({"dagster/column_lineage": value}) is None
    assert source_code({"dagster/code_references": value}) is None


def test_the_first_text_that_is_not_empty_is_taken() -> None:
    metadata = {"a": dg.MetadataValue.text(" "), "b": dg.MetadataValue.path("/tmp/b"), "c": "c"}
    assert text_of(metadata, "a", "b", "c") == "/tmp/b"
    assert text_of(metadata, "a", "missing") is None


def test_a_url_of_the_code_comes_before_a_file() -> None:
    file = dg.LocalFileCodeReference(file_path="/project/a b.py", line_number=3)
    url = dg.UrlCodeReference(url="https://example.org/a.py")
    both = dg.CodeReferencesMetadataValue(code_references=[file, url])
    assert source_code({"dagster/code_references": both}) == "https://example.org/a.py"
    only = dg.CodeReferencesMetadataValue(code_references=[file])
    assert source_code({"dagster/code_references": only}) == "file:///project/a%20b.py"
    relative = dg.CodeReferencesMetadataValue(
        code_references=[dg.LocalFileCodeReference(file_path="a.py")]
    )
    assert source_code({"dagster/code_references": relative}) is None


@pytest.mark.parametrize(
    "value",
    [
        dg.AssetKey("a"),
        dg.MetadataValue.asset(dg.AssetKey("a")),
        dg.MetadataValue.table_schema(SCHEMA),
        dg.MetadataValue.column_lineage(LINEAGE),
        b"bytes",
        object(),
    ],
)
def test_an_addition_that_is_none_is_told_as_what_it_is(value: object) -> None:
    assert "which is not JSON" in str(additions({"openlineage/inputs": value})["inputs"])


def test_the_assets_that_additions_name_are_found() -> None:
    added = {"inputs": ["a/b", {"namespace": "n", "name": "m"}, "/"], "outputs": "c"}
    assert named_assets(added) == (dg.AssetKey(["a", "b"]),)


def test_additions_are_what_json_can_hold() -> None:
    metadata = {
        "openlineage/inputs": dg.MetadataValue.json([{"a": (1, 2)}]),
        "openlineage/outputs": {"bare"},
        "other/inputs": 1,
    }
    assert additions(metadata) == {
        "inputs": [{"a": [1, 2]}],
        "outputs": "(set, which is not JSON)",
    }


@pytest.mark.parametrize(
    ("stored", "kind", "name"),
    [
        ("/data/bakery.duckdb.raw.orders", "duckdb", "bakery.raw.orders"),
        ("C:\\data\\bakery.v2.duckdb.raw.orders", "duckdb", "bakery.raw.orders"),
        ("bakery.db.raw.orders", "duckdb", "bakery.raw.orders"),
        ("/data/bakery.raw.orders", "duckdb", "bakery.raw.orders"),
        (":memory:.raw.orders", "duckdb", "memory.raw.orders"),
        ("md:bakery?motherduck_token=secret.raw.orders", None, "bakery.raw.orders"),
        ("md:?motherduck_token=secret.raw.orders", None, "raw.orders"),
        ("bakery.raw.orders", "duckdb", "bakery.raw.orders"),
        ("raw.orders", "duckdb", "raw.orders"),
        ("orders", "duckdb", "orders"),
        ("/data/bakery.duckdb.raw.orders", None, "bakery.raw.orders"),
        ("/data/bakery.raw.orders", "other", "/data/bakery.raw.orders"),
        ("a.b.raw.orders", "other", "a.b.raw.orders"),
    ],
)
def test_a_table_of_duckdb_has_the_databases_name_for_its_file(
    stored: str, kind: str | None, name: str
) -> None:
    metadata = {"dagster/table_name": stored, "dagster/storage_kind": kind}
    assert place(metadata).table_name == name
