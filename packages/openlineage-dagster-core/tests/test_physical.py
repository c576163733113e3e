from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.naming import dataset

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
        ("postgresql://user:123/w@host/db", ("postgres://host:5432", "db")),
        ("postgresql+psycopg2://host/db/public/t", ("postgres://host:5432", "db.public.t")),
        ("wasbs://box@a.blob.core.windows.net/x", ("wasbs://box@a.dfs.core.windows.net", "x")),
        ("wasb://bin@a.blob.core.windows.net/x", ("wasbs://bin@a.dfs.core.windows.net", "x")),
        ("dbfs:/tables/orders", ("dbfs", "/tables/orders")),
        ("dbfs://workspace/orders", ("dbfs://workspace", "orders")),
        ("bigquery://project/shop/orders", ("bigquery", "project.shop.orders")),
        ("snowflake://org-account/DB/S/T", ("snowflake://org-account", "DB.S.T")),
        ("https://host/p;password=hunter2", ("https://host", "p;password=***")),
        ("not a uri", None),
        ("http://[::1", None),
        ("", None),
    ],
)
def test_a_uri_names_a_dataset(uri: str, expected: tuple[str, str] | None) -> None:
    found = physical_name(asset(uri=uri), "orders", {})
    assert found == ((*expected, False) if expected is not None else None)


@pytest.mark.parametrize(
    ("uri", "naming"),
    [
        ("postgres://h:5433/db/s/t", dataset.Postgres("h", "5433", "db", "s", "t")),
        ("mysql://h/db/t", dataset.MySQL("h", "3306", "db", "t")),
        ("trino://h:8443/c/s/t", dataset.Trino("h", "8443", "c", "s", "t")),
        ("kafka://h/topic", dataset.Kafka("h", "9092", "topic")),
        ("hive://h/db/t", dataset.Hive("h", "10000", "db", "t")),
        ("cassandra://h/k/t", dataset.Cassandra("h", "9042", "k", "t")),
        ("oracle://h/service/s/t", dataset.Oracle("h", "1521", "service", "s", "t")),
        ("teradata://h/db/t", dataset.Teradata("h", "1025", "db", "t")),
        ("bigquery://p/d/t", dataset.BigQuery("p", "d", "t")),
        ("snowflake://org-acc/db/s/t", dataset.Snowflake("org", "acc", "db", "s", "t")),
        (
            "redshift://c.abc123.eu-central-1.redshift.amazonaws.com/db/s/t",
            dataset.Redshift("c", "eu-central-1", "5439", "db", "s", "t"),
        ),
        ("wasbs://box@a.blob.core.windows.net/x/y", dataset.WASBS("box", "a", "x/y")),
        ("abfss://box@a.dfs.core.windows.net/x/y", dataset.ABFSS("box", "a", "x/y")),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, str) else each.split(":")[0],
)
def test_an_address_is_named_as_openlineage_python_names_it(uri: str, naming: Any) -> None:
    found = physical_name(asset(uri=uri), "orders", {})
    assert found == (naming.get_namespace(), naming.get_name(), False)


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        ({"kind:snowflake": "a"}, "a"),
        ({"kind:duckdb": "a"}, None),
        ({}, None),
        ({"kind:snowflake": "kind", "raw/*": "pattern"}, "pattern"),
        ({"*": "all", "kind:snowflake": "kind"}, "kind"),
        ({"raw/*": "short", "raw/ord*": "long"}, "long"),
        ({"raw/order?": "pattern", "raw/orders": "key"}, "key"),
        ({"raw/[no]*": "set", "raw/o*": "letter"}, "letter"),
        ({"kind:aaa": "kind", "kind:snowflake": "storage"}, "storage"),
        ({"*": "all", "other/*": "other"}, "all"),
    ],
)
def test_the_most_specific_entry_that_fits_counts_whatever_their_order(
    namespaces: dict[str, str], expected: str | None
) -> None:
    table = replace(
        asset("snowflake", table_name="a.b.c", storage_kind="snowflake"),
        tags={"dagster/kind/snowflake": "", "dagster/kind/aaa": ""},
    )
    for entries in permutations(namespaces.items()):
        found = physical_name(table, "raw/orders", dict(entries))
        assert found == ((expected, "a.b.c", True) if expected else None)


def test_a_storage_kind_counts_as_a_kind() -> None:
    table = asset(table_name="t", storage_kind="duckdb")
    assert physical_name(table, "orders", {"kind:duckdb": "duckdb://f"}) == (
        "duckdb://f",
        "t",
        True,
    )


def test_a_table_without_a_namespace_may_have_a_uri() -> None:
    both = asset(table_name="t", uri="s3://bucket/t")
    assert physical_name(both, "orders", {}) == ("s3://bucket", "t", False)


@given(st.text() | st.from_regex(r"[a-z0-9]+://[^ ]*", fullmatch=True))
def test_no_uri_breaks_it(uri: str) -> None:
    physical_name(asset(uri=uri), "orders", {})
