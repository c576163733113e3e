"""Tables and column lineage from queries, where Dagster does not say them (`sql_lineage`)."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.conversion import custom
from openlineage_dagster_core.settings import Settings
from recorded_run import check_runs, converted, names, one

pytest.importorskip("sqlglot", reason="it parses queries: the extra `sql`")

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]

NAMESPACES = {"kind:duckdb": "duckdb:///shop.duckdb"}
QUERY = """
select o.id, c.name as customer, sum(o.amount) as total, r.rate
from raw.orders as o
join shop.raw.customers as c on c.id = o.customer_id
join finance.rates as r on r.day = o.day
group by all
"""


def settings(**options: object) -> Settings:
    return Settings.from_options({"sql_lineage": True, **options}, {})


def table(name: str, *columns: str, **metadata: object) -> dict[str, Any]:
    schema = dg.TableSchema([dg.TableColumn(column, "int") for column in columns])
    described = {"dagster/column_schema": schema} if columns else {}
    return {"dagster/table_name": name, "dagster/storage_kind": "duckdb", **described, **metadata}


raw = [
    dg.AssetSpec(["raw", "orders"], metadata=table("shop.raw.orders", "ID", "amount", "day")),
    dg.AssetSpec("customers", metadata=table("shop.raw.customers")),
]


@dg.asset(
    deps=raw,
    metadata=table(
        "shop.mart.report", "id", "customer", "total", "rate", **{"openlineage/sql": QUERY}
    ),
)
def report() -> None: ...


@pytest.fixture(autouse=True)
def _no_mistakes() -> Iterator[None]:
    custom.mistakes.clear()
    yield
    custom.mistakes.clear()


def run(*assets: Any, **options: Any) -> list[Json]:
    given = {key: options.pop(key) for key in ("was_made_before",) if key in options}
    definitions = dg.Definitions([*raw, *assets], jobs=[dg.define_asset_job("all", list(assets))])
    events = converted(definitions, "all", settings=settings(**options), **given)
    check_runs(events)
    return events


def column_lineage(events: list[Json], asset: str) -> dict[str, list[tuple[str, str, str]]]:
    facets = one(events, asset, "COMPLETE")["outputs"][0]["facets"]
    return {
        column: [
            (
                each["name"],
                each["field"],
                ", ".join(way["subtype"] for way in each["transformations"]),
            )
            for each in made["inputFields"]
        ]
        for column, made in facets.get("columnLineage", {"fields": {}})["fields"].items()
    }


def test_a_query_gives_column_lineage_and_the_tables_that_are_no_assets(golden: Golden) -> None:
    events = run(report, dataset_namespaces=NAMESPACES)
    golden("queried", events)
    for state in ("START", "COMPLETE"):
        assert names(one(events, "report", state)["inputs"]) == [
            "customers", "raw/orders", "shop.finance.rates"
        ]  # fmt: skip
    assert column_lineage(events, "report") == {
        "id": [("raw/orders", "ID", "IDENTITY")],
        "customer": [("customers", "name", "IDENTITY")],
        "total": [("raw/orders", "amount", "AGGREGATION")],
        "rate": [("shop.finance.rates", "rate", "IDENTITY")],
    }
    assert custom.mistakes == {}


def test_with_physical_identity_all_have_the_names_of_tables() -> None:
    events = run(report, dataset_identity="physical", dataset_namespaces=NAMESPACES)
    done = one(events, "report", "COMPLETE")
    assert {each["namespace"] for each in done["inputs"]} == {"duckdb:///shop.duckdb"}
    assert names(done["inputs"]) == [
        "shop.raw.customers", "shop.raw.orders", "shop.finance.rates"
    ]  # fmt: skip
    assert column_lineage(events, "report")["id"] == [("shop.raw.orders", "ID", "IDENTITY")]


def test_without_a_namespace_of_the_table_nothing_is_added() -> None:
    events = run(report)
    assert names(one(events, "report", "COMPLETE")["inputs"]) == ["customers", "raw/orders"]
    assert "rate" not in column_lineage(events, "report")


def test_without_the_option_nothing_is_parsed() -> None:
    definitions = dg.Definitions([*raw, report], jobs=[dg.define_asset_job("all", [report])])
    events = converted(definitions, "all", settings=Settings(dataset_namespaces=NAMESPACES))
    assert names(one(events, "report", "COMPLETE")["inputs"]) == ["customers", "raw/orders"]
    assert column_lineage(events, "report") == {}


def test_what_dagster_says_counts() -> None:
    stated = dg.TableColumnLineage({"id": [dg.TableColumnDep(dg.AssetKey("customers"), "id")]})

    @dg.asset(deps=raw, metadata=table("shop.mart.said", **{"openlineage/sql": QUERY}))
    def said() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"dagster/column_lineage": stated})

    facet = one(run(said), "said", "COMPLETE")["outputs"][0]["facets"]["columnLineage"]
    assert list(facet["fields"]) == ["id"]
    assert facet["fields"]["id"]["inputFields"][0]["transformations"] == []


def test_what_the_user_says_counts() -> None:
    facet = {"fields": {"id": {"inputFields": []}}}
    added = {"openlineage/sql": QUERY, "openlineage/dataset_facets": {"columnLineage": facet}}

    @dg.asset(deps=raw, metadata=table("shop.mart.mine", **added))
    def mine() -> None: ...

    found = one(run(mine), "mine", "COMPLETE")["outputs"][0]["facets"]["columnLineage"]
    assert found["fields"] == {"id": {"inputFields": []}}


def test_columns_that_are_not_in_a_schema_are_left_out() -> None:
    query = "select id, status, amount as unknown from raw.orders"

    @dg.asset(
        deps=raw, metadata=table("shop.mart.few", "id", "status", **{"openlineage/sql": query})
    )
    def few() -> None: ...

    assert column_lineage(run(few), "few") == {"id": [("raw/orders", "ID", "IDENTITY")]}


def test_the_query_of_an_io_manager_reads_the_asset_itself() -> None:
    @dg.asset(deps=raw)
    def stored() -> dg.MaterializeResult:
        query = "SELECT * FROM mart.stored"
        return dg.MaterializeResult(metadata=table("shop.mart.stored", "id", Query=query))

    events = run(stored, dataset_namespaces=NAMESPACES)
    assert names(one(events, "stored", "COMPLETE")["inputs"]) == ["customers", "raw/orders"]
    assert column_lineage(events, "stored") == {}


def test_a_start_waits_for_a_query_that_comes_with_the_materialization() -> None:
    @dg.asset
    def late() -> dg.MaterializeResult:
        query = {"openlineage/sql": "select day, rate from finance.rates"}
        return dg.MaterializeResult(metadata=table("shop.mart.late", "day", "rate", **query))

    events = run(late, dataset_namespaces=NAMESPACES, was_made_before=False)
    for state in ("START", "COMPLETE"):
        assert names(one(events, "late", state)["inputs"]) == ["shop.finance.rates"]
    assert column_lineage(events, "late")["rate"] == [("shop.finance.rates", "rate", "IDENTITY")]


def test_a_table_without_its_schema_is_an_asset_or_nothing() -> None:
    query = "select o.id, r.rate from orders o join rates r on r.day = o.day"

    @dg.asset(deps=raw, metadata=table("shop.mart.short", **{"openlineage/sql": query}))
    def short() -> None: ...

    events = run(short, dataset_namespaces=NAMESPACES)
    assert names(one(events, "short", "COMPLETE")["inputs"]) == ["customers", "raw/orders"]
    assert column_lineage(events, "short") == {"id": [("raw/orders", "ID", "IDENTITY")]}


def test_an_asset_without_a_table_is_found_by_its_key() -> None:
    @dg.asset(deps=[["lake", "raw", "visits"]], metadata={
        "openlineage/sql": "select visitor from prod.raw.visits", "dagster/storage_kind": "duckdb"
    })  # fmt: skip
    def visitors() -> None: ...

    assert column_lineage(run(visitors), "visitors") == {
        "visitor": [("lake/raw/visits", "visitor", "IDENTITY")]
    }


def test_a_query_that_cannot_be_parsed_is_a_mistake_and_costs_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @dg.asset(
        deps=raw, metadata=table("shop.mart.odd", **{"openlineage/sql": "selec t 'hunter2' ("})
    )
    def odd() -> None: ...

    events = run(odd)
    assert names(one(events, "odd", "COMPLETE")["inputs"]) == ["customers", "raw/orders"]
    [(about, count)] = custom.mistakes.items()
    assert "odd" in about
    assert count > 1
    assert caplog.text.count("cannot be parsed") == 1
    assert "hunter2" not in caplog.text


def test_an_input_that_the_user_names_is_not_named_twice() -> None:
    rates = {
        "namespace": NAMESPACES["kind:duckdb"],
        "name": "shop.finance.rates",
        "facets": {"x": {"y": 1}},
    }

    @dg.asset(
        deps=raw,
        metadata=table(
            "shop.mart.named", **{"openlineage/sql": QUERY, "openlineage/inputs": [rates]}
        ),
    )
    def named() -> None: ...

    [*_, last] = one(run(named, dataset_namespaces=NAMESPACES), "named", "COMPLETE")["inputs"]
    assert (last["name"], last["facets"]["x"]["y"]) == ("shop.finance.rates", 1)


def test_an_upstream_that_fits_better_than_the_asset_itself_is_meant() -> None:
    query = {"openlineage/sql": "select id from raw.orders"}

    @dg.asset(deps=[["raw", "orders"]], metadata=query)
    def orders() -> None: ...

    assert column_lineage(run(orders), "orders")["id"] == [("raw/orders", "ID", "IDENTITY")]
