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

TOPIC, SUBSCRIPTION = dataset.PubSubResourceType


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
        ("s3://bucket/a#1.csv", ("s3://bucket", "a#1.csv")),
        ("s3://bucket/a?b#c?d", ("s3://bucket", "a?b#c?d")),
        ("s3://bucket/a%3Fb%23c", ("s3://bucket", "a?b#c")),
        ("gs://bucket/a?b", ("gs://bucket", "a?b")),
        ("file:///a#1/b?c", ("file", "/a#1/b?c")),
        ("dbfs:/a#b", ("dbfs", "/a#b")),
        ("hdfs://name/a?b", ("hdfs://name:8020", "/a?b")),
        ("file:////a", ("file", "//a")),
        ("sftp://host/a#1?b", ("sftp://host", "a#1?b")),
        ("https://host/a%20b/?q=1%262&r#gid=0", ("https://host", "a b?q=1%262&r#gid=0")),
        ("https://host/?q=1", ("https://host", "?q=1")),
        ("postgres://host/db/s/t?sslmode=require", ("postgres://host:5432", "db.s.t")),
        ("file://nas1/x", ("file://nas1", "/x")),
        ("file://NAS1/x", ("file://nas1", "/x")),
        ("file://localhost/x", ("file", "/x")),
        ("file://C:/x", ("file", "/C:/x")),
        ("bigquery:project.shop.orders", ("bigquery", "project.shop.orders")),
        ("pubsub:topic:project:orders", ("pubsub", "topic:project:orders")),
        ("mssql+pymssql://host/db/dbo/t", ("mssql://host:1433", "db.dbo.t")),
        ("sqlserver://host/db/dbo/t", ("sqlserver://host:1433", "db.dbo.t")),
        ("sqlserver://host:14;a=b;databaseName=db/dbo.t", ("sqlserver://host:14", "db.dbo.t")),
        ("unitycatalog://host/c/s/t", ("unitycatalog://host", "c.s.t")),
        ("fabric-warehouse://host:1433/db/s/t", ("fabric-warehouse://host:1433", "db.s.t")),
        ("milvus://host/db/docs", ("milvus://host:19530", "db.docs")),
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
        ("azurecosmos://h/dbs/db/colls/c", dataset.AzureCosmosDB("h", "db", "c")),
        ("azurecosmos://h:443/db/c", dataset.AzureCosmosDB("h", "db", "c")),
        ("azurekusto://h.kusto.windows.net/db/t", dataset.AzureDataExplorer("h", "db", "t")),
        ("awsathena://athena.r-1.amazonaws.com/c/db/t", dataset.Athena("r-1", "c", "db", "t")),
        (
            "awsathena+rest://k:s@athena.r-1.amazonaws.com:443/c/db/t?s3_staging_dir=s3://x",
            dataset.Athena("r-1", "c", "db", "t"),
        ),
        ("sqlserver://h/dbo/t", dataset.AzureSynapse("h", "1433", "dbo", "t")),
        ("sqlserver://h:99/dbo.t", dataset.AzureSynapse("h", "99", "dbo", "t")),
        ("pubsub://p/t", dataset.PubSubNaming(TOPIC, "p", "t")),
        ("pubsub://projects/p/topics/t", dataset.PubSubNaming(TOPIC, "p", "t")),
        ("pubsub://p/subscriptions/s", dataset.PubSubNaming(SUBSCRIPTION, "p", "s")),
        ("file://nas1/x", dataset.RemoteFileSystem("nas1", "/x")),
        ("wasbs://box@a.blob.core.windows.net/x/y", dataset.WASBS("box", "a", "x/y")),
        ("abfss://box@a.dfs.core.windows.net/x/y", dataset.ABFSS("box", "a", "x/y")),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, str) else each.split(":")[0],
)
def test_an_address_is_named_as_openlineage_python_names_it(uri: str, naming: Any) -> None:
    found = physical_name(asset(uri=uri), "orders", {})
    assert found == (naming.get_namespace(), naming.get_name(), False)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("a", "a.dfs.core.windows.net"),
        ("a.dfs.core.windows.net", "a.dfs.core.windows.net"),
        ("a.blob.core.windows.net", "a.dfs.core.windows.net"),
        ("onelake.dfs.fabric.microsoft.com", "onelake.dfs.fabric.microsoft.com"),
        ("a.dfs.core.chinacloudapi.cn", "a.dfs.core.chinacloudapi.cn"),
    ],
)
@pytest.mark.parametrize(
    ("scheme", "secure"), [("abfs", "abfss"), ("abfss", "abfss"), ("wasb", "wasbs")]
)
def test_a_container_of_azure_keeps_the_host_of_its_cloud(
    scheme: str, secure: str, host: str, named: str
) -> None:
    found = physical_name(asset(uri=f"{scheme}://Box@{host}/a/b#c"), "orders", {})
    assert found == (f"{secure}://Box@{named}", "a/b#c", False)


SIGNED_BY_AWS = (
    "X-Amz-Algorithm=A&X-Amz-Credential=a%2Fb&X-Amz-Date=2026&X-Amz-Expires=60"
    "&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=s"
)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://h/x?token=1&id=2", "x?id=2"),
        ("https://h/x?id=2&token=1#gid=3", "x?id=2#gid=3"),
        ("https://h/x?token=1", "x"),
        ("https://h/x?api_key=a/b", "x"),
        (f"https://h/x?id=ghp_{'a1B2' * 9}", "x"),
        (f"https://h/x?versionId=7&{SIGNED_BY_AWS}", "x?versionId=7"),
        ("https://h/x?AWSAccessKeyId=a&Signature=s&Expires=1", "x"),
        ("https://h/x?Expires=1&Key-Pair-Id=k&Policy=p&Signature=s", "x"),
        ("https://h/x?X-Goog-Expires=1&x-goog-signature=s&generation=2", "x?generation=2"),
        ("https://h/x?snapshot=1&sv=2&st=a&se=b&sr=b&sp=r&spr=https&sig=a%2Fb", "x?snapshot=1"),
        ("https://h/x?st=NY&se=1&expires=2&policy=3", "x?st=NY&se=1&expires=2&policy=3"),
    ],
)
def test_what_only_grants_access_is_no_part_of_the_name(uri: str, name: str) -> None:
    assert physical_name(asset(uri=uri), "orders", {}) == ("https://h", name, False)


def test_a_folder_with_the_name_of_a_secret_does_not_swallow_what_is_in_it() -> None:
    found = physical_name(asset(uri="s3://b/a/token=hunter2/b.csv?x"), "orders", {})
    assert found == ("s3://b", "a/token=***/b.csv?x", False)


@pytest.mark.parametrize("secret", ["1", "hunter2", "a1B2" * 12, "correct horse battery staple"])
def test_a_name_has_nothing_of_a_secret_that_could_be_guessed(secret: str) -> None:
    uris = [f"https://h/x?token={secret}", f"https://h/x?token={secret[::-1]}0"]
    assert len({physical_name(asset(uri=uri), "orders", {}) for uri in uris}) == 1


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
