import dagster as dg
import pytest
from dagster import AssetKey

from openlineage_dagster_core.facts.definitions import (
    DefinedAssets,
    decode_assets,
    encode_assets,
    table_schema,
)
from openlineage_dagster_core.facts.model import AssetFacts

SCHEMA = dg.TableSchema([dg.TableColumn("id", "int", "The key")])
SOURCE = dg.AssetSpec(["erp", "stock"])


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin"))
def daily() -> None: ...


@dg.asset(
    deps=[SOURCE, "undefined"],
    group_name="raw",
    owners=["team:sales", "ada@example.org"],
    kinds={"sql"},
    tags={"pii": "yes"},
    description="Orders *of the day*",
    metadata={"dagster/column_schema": SCHEMA},
    partitions_def=dg.StaticPartitionsDefinition(["a"]),
)
def orders() -> None: ...


ASSETS = DefinedAssets(dg.Definitions([orders, daily, SOURCE]).get_repository_def().asset_graph)


def test_an_asset_is_read_from_its_definition() -> None:
    assert ASSETS[AssetKey("orders")] == AssetFacts(
        key=AssetKey("orders"),
        upstream=(AssetKey(["erp", "stock"]), AssetKey("undefined")),
        group="raw",
        owners=("team:sales", "ada@example.org"),
        tags={"pii": "yes", "dagster/kind/sql": ""},
        description="Orders *of the day*",
        columns=SCHEMA,
        is_partitioned=True,
    )


def test_what_no_run_makes_is_known() -> None:
    assert not ASSETS[AssetKey(["erp", "stock"])].is_materializable
    assert ASSETS[AssetKey("orders")].is_materializable


def test_assets_that_are_only_depended_on_are_there() -> None:
    assert {key.to_user_string() for key in ASSETS} == {
        "daily",
        "orders",
        "erp/stock",
        "undefined",
    }
    assert len(ASSETS) == 4


def test_an_asset_of_elsewhere_is_not() -> None:
    assert AssetKey("elsewhere") not in ASSETS
    with pytest.raises(KeyError):
        ASSETS[AssetKey("elsewhere")]


def test_what_is_written_down_is_read_back() -> None:
    assert decode_assets(encode_assets(ASSETS)) == dict(ASSETS)


@pytest.mark.parametrize(
    "metadata",
    [
        {"dagster/column_schema": SCHEMA},
        {"dagster/column_schema": dg.MetadataValue.table_schema(SCHEMA)},
    ],
)
def test_a_schema_is_found_bare_and_as_a_metadata_value(metadata: dict[str, object]) -> None:
    assert table_schema(metadata) == SCHEMA


@pytest.mark.parametrize("value", ["id int", None, dg.MetadataValue.text("id int")])
def test_what_is_no_schema_is_passed_over(value: object) -> None:
    assert table_schema({"dagster/column_schema": value}) is None
