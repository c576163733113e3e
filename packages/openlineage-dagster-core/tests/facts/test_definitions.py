import math
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import AssetKey

from openlineage_dagster_core.facts import definitions
from openlineage_dagster_core.facts.definitions import (
    DefinedAssets,
    DefinedJobs,
)
from openlineage_dagster_core.facts.model import (
    AssetFacts,
    CheckFacts,
    JobFacts,
    PhysicalFacts,
    StepFacts,
)
from openlineage_dagster_core.facts.partitions import Partitions

SCHEMA = dg.TableSchema([dg.TableColumn("id", "int", "The key")])
SOURCE = dg.AssetSpec(["erp", "stock"])
PARTITIONS = dg.StaticPartitionsDefinition(["a"])


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin"))
def daily() -> None: ...


@dg.asset(
    deps=[SOURCE, "undefined"],
    group_name="raw",
    owners=["team:sales", "ada@example.org"],
    kinds={"sql"},
    tags={"pii": "yes"},
    description="Orders *of the day*",
    metadata={
        "dagster/column_schema": SCHEMA,
        "dagster/table_name": "shop.raw.orders",
        "dagster/uri": "s3://bucket/orders",
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path="/project/orders.py", line_number=3),
                dg.UrlCodeReference(url="https://github.com/o/r/blob/main/orders.py#L3"),
            ]
        ),
        "dagster-dbt/materialization_type": "view",
        "openlineage/sql": "select 1",
        "openlineage/inputs": [{"namespace": "kafka://h:9092", "name": "orders"}],
        "openlineage/run_facets": math.inf,
    },
    code_version="3",
    partitions_def=PARTITIONS,
)
def orders() -> None: ...


@dg.asset_check(asset=orders, additional_deps=[SOURCE])
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=orders)
def unique() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op(description="Opens", tags={"team": "a"})
def opens() -> int:
    return 1


@dg.op
def plain(number: int) -> None:
    """Closes."""


@dg.graph
def inner(number: int) -> None:
    plain(number)


@dg.job(description="By hand", tags={"team": "b"})
def by_hand() -> None:
    inner(opens())


REPOSITORY = dg.Definitions(
    [orders, daily, SOURCE], asset_checks=[complete, unique], jobs=[by_hand]
).get_repository_def()
ASSETS = DefinedAssets(REPOSITORY.asset_graph)


def test_an_asset_is_read_from_its_definition() -> None:
    assert ASSETS[AssetKey("orders")] == AssetFacts(
        key=AssetKey("orders"),
        upstream=(AssetKey(["erp", "stock"]), AssetKey("undefined")),
        group="raw",
        owners=("team:sales", "ada@example.org"),
        tags={"pii": "yes", "dagster/kind/sql": ""},
        description="Orders *of the day*",
        columns=SCHEMA,
        partitions=Partitions(PARTITIONS),
        checks={"complete": CheckFacts((AssetKey(["erp", "stock"]),)), "unique": CheckFacts()},
        physical=PhysicalFacts(
            table_name="shop.raw.orders",
            uri="s3://bucket/orders",
            storage_kind=None,
            materialization="view",
        ),
        code_version="3",
        source_code="https://github.com/o/r/blob/main/orders.py#L3",
        sql="select 1",
        additions={
            "sql": "select 1",
            "inputs": [{"namespace": "kafka://h:9092", "name": "orders"}],
            "run_facets": math.inf,
        },
    )


def test_the_kinds_are_told_from_the_tags() -> None:
    assert ASSETS[AssetKey("orders")].kinds == ("sql",)
    assert ASSETS[AssetKey("daily")].kinds == ()


def test_the_type_of_an_output_describes_the_columns() -> None:
    described = dg.DagsterType(
        name="Orders",
        type_check_fn=lambda _context, _value: True,
        metadata={"schema": dg.MetadataValue.table_schema(SCHEMA)},
    )

    @dg.asset(dagster_type=described)
    def typed() -> None: ...

    @dg.multi_asset(
        outs={
            "one": dg.AssetOut(dagster_type=described),
            "two": dg.AssetOut(
                dagster_type=described, metadata={"dagster/column_schema": dg.TableSchema([])}
            ),
            "three": dg.AssetOut(),
        }
    )
    def several(): ...

    assets = DefinedAssets(dg.Definitions([typed, several]).get_repository_def().asset_graph)
    found = {key.path[0]: asset.columns for key, asset in assets.items()}
    assert found == {"typed": SCHEMA, "one": SCHEMA, "two": dg.TableSchema([]), "three": None}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"raw_code": "select 2", "compiled_code": None}, "select 2"),
        ({"raw_code": "select * from {{ ref('a') }}"}, None),
        ({"raw_code": "select * from {{ ref('a') }}", "compiled_code": "select 3"}, "select 3"),
        ({"raw_code": "{% set a = 1 %}select 4", "compiled_code": " "}, None),
        ({"raw_code": "def model(dbt, session): ...", "language": "python"}, None),
        ({"raw_code": "select 5", "language": "sql"}, "select 5"),
    ],
)
def test_the_query_of_a_dbt_model_is_in_the_manifest_if_it_is_sql(
    node: dict[str, str | None], expected: str | None
) -> None:
    class Manifest:
        def __init__(self) -> None:
            self.manifest = {"nodes": {"model.shop.orders": node}}

    metadata = {
        "dagster_dbt/manifest": Manifest(),
        "dagster_dbt/unique_id": "model.shop.orders",
    }

    @dg.multi_asset(specs=[dg.AssetSpec("model", metadata=metadata)])
    def model() -> None: ...

    assets = DefinedAssets(dg.Definitions([model]).get_repository_def().asset_graph)
    assert assets[AssetKey("model")].sql == expected


def test_the_function_of_an_asset_is_read_where_asked_for_up_to_a_limit() -> None:
    password = 'connect(password="'

    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    def makes():
        connect(password="s3cret")

    @dg.graph_asset
    def composed() -> int:
        return opens()

    graph = dg.Definitions([makes, composed, SOURCE]).get_repository_def().asset_graph
    shown = DefinedAssets(graph, 10_000)
    text = shown[AssetKey("one")].source_text
    assert text is not None
    assert text.startswith("@dg.multi_asset(")
    assert text.endswith(f'    {password}***")\n')
    assert shown[AssetKey("two")].source_text == text
    assert "return opens()" in (shown[AssetKey("composed")].source_text or "")
    assert shown[AssetKey(["erp", "stock"])].source_text is None
    limit = text.index(password) + len(password) + 3
    cut = DefinedAssets(graph, limit)[AssetKey("one")].source_text or ""
    assert len(cut.encode()) <= limit
    assert "s3" not in cut
    assert DefinedAssets(graph)[AssetKey("one")].source_text is None


def connect(password: str) -> None: ...


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


def test_a_job_is_read_with_what_its_ops_say() -> None:
    assert DefinedJobs(REPOSITORY)["by_hand"] == JobFacts(
        description="By hand",
        tags={"team": "b"},
        steps={
            "inner.plain": StepFacts("Closes."),
            "opens": StepFacts("Opens", {"team": "a"}),
        },
    )


def test_a_job_of_elsewhere_is_not_there() -> None:
    jobs = DefinedJobs(REPOSITORY)
    assert "elsewhere" not in jobs
    assert set(jobs) == {"by_hand", "__ASSET_JOB"}


def test_a_job_that_cannot_be_resolved_is_as_if_it_were_not_there() -> None:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["b"]))
    def others() -> None: ...

    impossible = dg.define_asset_job("impossible", selection=[orders, others])
    repository = dg.Definitions([orders, others, SOURCE], jobs=[impossible]).get_repository_def
    try:
        found = DefinedJobs(repository())
    except dg.DagsterInvalidDefinitionError:
        pytest.skip("this Dagster finds the fault at once")
    assert "impossible" not in found


def test_an_odd_definition_costs_what_is_odd_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(metadata: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(definitions, "additions", odd)
    found = DefinedAssets(REPOSITORY.asset_graph)[AssetKey("orders")]
    assert found.upstream == (AssetKey(["erp", "stock"]), AssetKey("undefined"))
    assert found.partitions is not None
    assert "orders" in caplog.text


@pytest.mark.parametrize(
    ("name", "package", "kind"),
    [
        ("not_null_orders_id", None, "not_null"),
        ("source_not_null_raw_orders_id", None, "not_null"),
        ("dbt_utils_not_null_orders_id", "dbt_utils", "not_null"),
        ("orders_have_an_id", None, None),
    ],
)
def test_a_test_of_dbt_has_its_short_name_unless_the_user_named_it(
    name: str, package: str | None, kind: str | None
) -> None:
    generic = {"name": "not_null", "namespace": package, "kwargs": {"column_name": "id"}}
    manifest = SimpleNamespace(manifest={"nodes": {"test.id": {"test_metadata": generic}}})
    orders = dg.AssetSpec("orders", metadata={"dagster_dbt/manifest": manifest})
    check = dg.AssetCheckSpec(name, asset="orders", metadata={"dagster_dbt/unique_id": "test.id"})

    @dg.multi_asset(specs=[orders], check_specs=[check])
    def models(): ...

    assets = DefinedAssets(dg.Definitions([models]).get_repository_def().asset_graph)
    assert assets[AssetKey("orders")].checks == {name: CheckFacts(kind=kind, column="id")}
