import json
from typing import Any

import pytest
from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.storage import (
    data_source_facet,
    dataset_type_facet,
    hierarchy_facet,
    storage_facet,
    symlinks_facet,
)
from openlineage_dagster_core.facts.model import KIND_PREFIX, AssetFacts, PhysicalFacts
from openlineage_spec import facet_faults


def checked(name: str, built: Any) -> dict[str, Any] | None:
    if built is None:
        return None
    facet = json.loads(Serde.to_json(built))
    assert facet_faults(name, facet) == []
    return {key: value for key, value in facet.items() if not key.startswith("_")}


def asset(kinds: tuple[str, ...], place: PhysicalFacts) -> AssetFacts:
    return AssetFacts(
        AssetKey("a"), tags={KIND_PREFIX + kind: "" for kind in kinds}, physical=place
    )


def dataset_type(
    *kinds: str,
    table_name: str | None = None,
    uri: str | None = None,
    materialization: str | None = None,
) -> tuple[str, str | None] | None:
    place = PhysicalFacts(table_name, uri, materialization=materialization)
    facet = checked("datasetType", dataset_type_facet(asset(kinds, place)))
    return (facet["datasetType"], facet.get("subType")) if facet else None


def storage(
    *kinds: str, storage_kind: str | None = None, uri: str | None = None
) -> tuple[str, str | None] | None:
    place = PhysicalFacts(uri=uri, storage_kind=storage_kind)
    facet = checked("storage", storage_facet(asset(kinds, place)))
    return (facet["storageLayer"], facet.get("fileFormat")) if facet else None


@pytest.mark.parametrize(
    ("materialization", "expected"),
    [
        ("view", ("VIEW", None)),
        ("materialized_view", ("VIEW", "MATERIALIZED")),
        ("materializedview", ("VIEW", "MATERIALIZED")),
        ("table", ("TABLE", None)),
        ("incremental", ("TABLE", None)),
        ("snapshot", ("TABLE", None)),
        ("seed", ("TABLE", None)),
        ("ephemeral", ("VIEW", "TEMPORARY")),
    ],
)
def test_what_dbt_makes_counts_first(materialization: str, expected: tuple[str, str]) -> None:
    kinds = ("view", "table", "parquet")
    assert dataset_type(*kinds, materialization=materialization) == expected


@pytest.mark.parametrize(
    ("kinds", "table_name", "uri", "expected"),
    [
        (("dbt", "View"), "t", None, "VIEW"),
        (("snowflake",), "db.schema.t", None, "TABLE"),
        (("table", "parquet"), None, None, "TABLE"),
        (("mlmodel",), None, "s3://b/m", "MODEL"),
        (("kafka",), None, None, "TOPIC"),
        (("topic",), None, None, "TOPIC"),
        (("csv", "python"), None, None, "FILE"),
        ((), None, "s3a://bucket/x", "FILE"),
        ((), None, "DBFS:/x", "FILE"),
    ],
)
def test_kinds_then_table_then_address_tell_the_type(
    kinds: tuple[str, ...], table_name: str | None, uri: str | None, expected: str
) -> None:
    assert dataset_type(*kinds, table_name=table_name, uri=uri) == (expected, None)


def test_what_nothing_tells_has_no_type() -> None:
    assert dataset_type("python", "model", materialization="mine", uri="https://h/x.csv") is None


@pytest.mark.parametrize(
    ("kinds", "storage_kind", "uri", "expected"),
    [
        (("snowflake",), "Iceberg", None, ("iceberg", None)),
        ((), "my store", None, ("my_store", None)),
        (("databricks", "deltalake"), None, None, ("delta", None)),
        (("s3", "parquet"), None, None, ("s3", "parquet")),
        (("snowflake", "bigquery"), None, None, ("bigquery", None)),
        (("postgresql",), None, None, ("postgres", None)),
        (("csv",), None, "gs://b/x.parquet", ("gcs", "csv")),
        ((), None, "s3://b/x.JSON.gz", ("s3", "json")),
        ((), None, "postgresql+psycopg2://h/db", ("postgres", None)),
        ((), None, "jdbc:mysql://h/db", ("mysql", None)),
    ],
)
def test_storage_kind_then_kinds_then_address_tell_the_layer(
    kinds: tuple[str, ...],
    storage_kind: str | None,
    uri: str | None,
    expected: tuple[str, str | None],
) -> None:
    assert storage(*kinds, storage_kind=storage_kind, uri=uri) == expected


def test_without_a_layer_there_is_no_storage() -> None:
    assert storage("parquet", "python", uri="https://h/x.parquet") is None


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("s3://lake", "s3://lake"),
        ("postgres://u:p@db:5432", "postgres://db:5432"),
        ("file", "file:///"),
        ("bigquery", "urn:dagster:bigquery"),
        ("dagster/acme", "urn:dagster:dagster/acme"),
        ("my shop", "urn:dagster:my%20shop"),
    ],
)
def test_a_data_source_always_has_an_address(name: str, uri: str) -> None:
    assert checked("dataSource", data_source_facet(name)) == {"name": name, "uri": uri}


any_text = st.text(st.characters(exclude_categories=()))


@given(st.sets(any_text), any_text, any_text | any_text.map("s3://".__add__))
def test_no_text_breaks_it(kinds: set[str], text: str, uri: str) -> None:
    dataset_type(*kinds, table_name=text, uri=uri, materialization=text)
    dataset_type(*kinds, uri=uri)
    storage(*kinds, storage_kind=text, uri=uri)
    storage(*kinds, uri=uri)
    checked("dataSource", data_source_facet(text or uri))


@pytest.mark.parametrize(
    ("table_name", "levels"),
    [
        ("shop.orders", [("SCHEMA", "shop"), ("TABLE", "orders")]),
        ("db.shop.orders", [("DATABASE", "db"), ("SCHEMA", "shop"), ("TABLE", "orders")]),
        (
            '"my.db".`shop`.[orders]',
            [("DATABASE", "my.db"), ("SCHEMA", "shop"), ("TABLE", "orders")],
        ),
    ],
)
def test_a_table_is_in_its_schema_and_its_database(
    table_name: str, levels: list[tuple[str, str]]
) -> None:
    facet = hierarchy_facet(table_name, "TABLE")
    assert facet is not None
    assert [(level.type, level.name) for level in facet.hierarchy] == levels


@pytest.mark.parametrize("table_name", ["orders", "", ".", "server.db.shop.orders"])
def test_a_name_without_known_levels_has_no_hierarchy(table_name: str) -> None:
    assert hierarchy_facet(table_name, "TABLE") is None


def test_a_symlink_is_made_fit() -> None:
    facet = json.loads(Serde.to_json(symlinks_facet("s3://b", "x\x00", "LOCATION")))
    assert facet_faults("symlinks", facet) == []
    [symlink] = facet["identifiers"]
    assert (symlink["namespace"], symlink["type"]) == ("s3://b", "LOCATION")
    assert "\x00" not in symlink["name"]


@pytest.mark.parametrize("kind", ["TABLE", "table", " Table "])
def test_a_table_is_refused_since_datahub_would_rename_the_dataset(kind: str) -> None:
    with pytest.raises(ValueError, match="TABLE"):
        symlinks_facet("s3://b", "x", kind)
