import pytest
from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import AssetFacts, PhysicalFacts
from openlineage_dagster_core.physical import physical_name


def asset(kind: str = "", **physical: str) -> AssetFacts:
    tags = {f"dagster/kind/{kind}": ""} if kind else {}
    return AssetFacts(AssetKey("orders"), tags=tags, physical=PhysicalFacts(**physical))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/a/b.parquet", ("s3://bucket", "a/b.parquet")),
        ("s3a://bucket/a", ("s3://bucket", "a")),
        ("s3://key:secret@Bucket/a", ("s3://Bucket", "a")),
        ("gs://bucket/a%20b", ("gs://bucket", "a b")),
        (
            "abfss://box@account.dfs.core.windows.net/a",
            ("abfss://box@account.dfs.core.windows.net", "a"),
        ),
        ("file:///data/a.csv", ("file", "/data/a.csv")),
        ("hdfs://name/a", ("hdfs://name:8020", "/a")),
        ("https://user:secret@host:8443/a/b", ("https://host:8443", "a/b")),
        ("postgres://host:5432/db", ("postgres://host:5432", "db")),
        ("s3://AKIAABCDEFGHIJKLMNOP:wJalr/XUtn@bucket/path", ("s3://bucket", "path")),
        ("postgresql://user:123/w@host/db", ("postgresql://host", "db")),
        ("https://host/p;password=hunter2", ("https://host", "p;password=***")),
        ("not a uri", None),
        ("http://[::1", None),
        ("", None),
    ],
)
def test_a_uri_names_a_dataset(uri: str, expected: tuple[str, str] | None) -> None:
    assert physical_name(asset(uri=uri), "orders", {}) == expected


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        ({"kind:snowflake": "snowflake://a"}, "snowflake://a"),
        ({"kind:duckdb": "duckdb", "raw/*": "by-key"}, "by-key"),
        ({"*": "first", "kind:snowflake": "second"}, "first"),
        ({"kind:duckdb": "duckdb"}, None),
        ({}, None),
    ],
)
def test_the_first_entry_that_fits_gives_a_table_its_namespace(
    namespaces: dict[str, str], expected: str | None
) -> None:
    found = physical_name(asset("snowflake", table_name="a.b.c"), "raw/orders", namespaces)
    assert found == ((expected, "a.b.c") if expected else None)


def test_a_storage_kind_counts_as_a_kind() -> None:
    table = asset(table_name="t", storage_kind="duckdb")
    assert physical_name(table, "orders", {"kind:duckdb": "duckdb://f"}) == ("duckdb://f", "t")


def test_a_table_without_a_namespace_may_have_a_uri() -> None:
    both = asset(table_name="t", uri="s3://bucket/t")
    assert physical_name(both, "orders", {}) == ("s3://bucket", "t")


@given(st.text() | st.from_regex(r"[a-z0-9]+://[^ ]*", fullmatch=True))
def test_no_uri_breaks_it(uri: str) -> None:
    physical_name(asset(uri=uri), "orders", {})
