"""The shop's assets: raw, staging and marts, with one that fails."""

from typing import Any

import dagster as dg

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-02-01")


def _schema(**columns: str) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])


@dg.observable_source_asset(
    key="supplier_prices", group_name="external", description="A price list we only look at."
)
def supplier_prices() -> dg.DataVersion:
    """Observe the list's version."""
    return dg.DataVersion("2026-01")


warehouse_stock = dg.AssetSpec(
    ["erp", "stock"], group_name="external", description="Kept by the ERP system."
)


@dg.asset(
    key=["raw", "customers"],
    group_name="raw",
    description="Customers, as the shop knows them.",
    metadata={"dagster/column_schema": _schema(id="bigint", name="text", email="text")},
)
def raw_customers() -> list[dict[str, Any]]:
    """Load customers."""
    return [
        {"id": 1, "name": "Ada", "email": "ada@example.org"},
        {"id": 2, "name": "Bea", "email": "ada@example.org"},
    ]


@dg.asset(
    key=["raw", "products"],
    group_name="raw",
    deps=["supplier_prices", warehouse_stock],
    metadata={"dagster/column_schema": _schema(sku="text", price="numeric")},
)
def raw_products() -> list[dict[str, Any]]:
    """Load products."""
    return [{"sku": "bread", "price": 3}, {"sku": "cake", "price": 12}]


@dg.asset(key=["raw", "orders"], group_name="raw", partitions_def=DAYS)
def raw_orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Load one day's orders; the schema is known only once they are loaded."""
    rows = [
        {"id": 7, "customer_id": 1, "day": context.partition_key, "sku": "cake", "count": 2},
        {"id": 8, "customer_id": 2, "day": context.partition_key, "sku": "bread", "count": -1},
    ]
    schema = _schema(id="bigint", customer_id="bigint", day="date", sku="text", count="int")
    return dg.MaterializeResult(value=rows, metadata={"dagster/column_schema": schema})


@dg.multi_asset(
    group_name="staging",
    partitions_def=DAYS,
    specs=[
        dg.AssetSpec(["staging", "sales"], deps=[["raw", "orders"], ["raw", "products"]]),
        dg.AssetSpec(["staging", "refunds"], deps=[["raw", "orders"]]),
        dg.AssetSpec(["staging", "balance"], deps=[["staging", "sales"], ["staging", "refunds"]]),
    ],
)
def staging():  # Dagster reads a return annotation as the outputs
    """Split orders into sales and refunds, then balance them: three assets of one step."""
    for name in ("sales", "refunds", "balance"):
        yield dg.MaterializeResult(
            asset_key=["staging", name],
            metadata={"dagster/column_schema": _schema(sku="text", amount="numeric")},
        )


@dg.asset(
    key=["marts", "revenue"],
    group_name="marts",
    partitions_def=DAYS,
    deps=[["staging", "balance"], ["raw", "customers"]],
    description="Revenue by customer and day.",
    check_specs=[
        dg.AssetCheckSpec("is_positive", asset=["marts", "revenue"]),
        dg.AssetCheckSpec("is_complete", asset=["marts", "revenue"]),
    ],
)
def revenue():
    """Add up the day and check it on the way."""
    lineage = dg.TableColumnLineage(
        deps_by_column={
            "customer": [dg.TableColumnDep(dg.AssetKey(["raw", "customers"]), "name")],
            "amount": [dg.TableColumnDep(dg.AssetKey(["staging", "balance"]), "amount")],
        }
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/column_schema": _schema(customer="text", amount="numeric"),
            "dagster/column_lineage": lineage,
        },
        check_results=[
            dg.AssetCheckResult(check_name="is_positive", passed=True),
            dg.AssetCheckResult(
                check_name="is_complete", passed=False, severity=dg.AssetCheckSeverity.WARN
            ),
        ],
    )


@dg.asset_check(
    asset=dg.AssetKey(["raw", "customers"]), description="One account for each address."
)
def emails_are_unique(customers: list[dict[str, Any]]) -> dg.AssetCheckResult:
    """Compare the addresses."""
    emails = [customer["email"] for customer in customers]
    return dg.AssetCheckResult(
        passed=len(emails) == len(set(emails)), metadata={"dagster/column": "email"}
    )


@dg.asset(key=["marts", "forecast"], group_name="marts", deps=[["marts", "revenue"]])
def forecast() -> None:
    """Fail, as forecasts do."""
    msg = "not enough history: 1 day, need 90"
    raise ValueError(msg)


@dg.asset(key=["marts", "report"], group_name="marts", deps=[["marts", "forecast"]])
def report() -> None:
    """Never run, because the forecast fails."""
