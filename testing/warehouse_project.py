"""A small warehouse: three assets with tables, columns and where these come from, and a file."""

from __future__ import annotations

import dagster as dg

HOST = "postgres://db.example.org:5432"
RAW, ORDERS, REVENUE, REPORT = (
    dg.AssetKey(["raw", "orders"]),
    dg.AssetKey(["staging", "orders"]),
    dg.AssetKey(["marts", "revenue"]),
    dg.AssetKey("report"),
)


def _schema(**columns: str) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])


def _table(
    key: dg.AssetKey,
    schema: dg.TableSchema,
    deps: list[dg.AssetKey],
    **lineage: tuple[dg.AssetKey, str],
) -> dg.AssetsDefinition:
    """Make an asset with a table in the database `shop` and the schema of its key."""
    metadata = {
        "dagster/table_name": ".".join(["shop", *key.path]),
        "dagster/column_schema": schema,
    }
    columns = {name: [dg.TableColumnDep(*made_from)] for name, made_from in lineage.items()}

    @dg.asset(key=key, deps=deps, metadata=metadata, kinds={"postgres"}, group_name=key.path[0])
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(
            metadata={"dagster/column_lineage": dg.TableColumnLineage(columns)} if columns else {}
        )

    return made


@dg.asset(key=REPORT, deps=[REVENUE], metadata={"dagster/uri": "s3://lake/reports/daily.csv"})
def report() -> None:
    """Write a file."""


@dg.asset_check(asset=REVENUE)
def is_positive() -> dg.AssetCheckResult:
    """Pass."""
    return dg.AssetCheckResult(passed=True)


JOB = "warehouse"
DEFINITIONS = dg.Definitions(
    assets=[
        _table(RAW, _schema(id="bigint", amount="numeric"), []),
        _table(ORDERS, _schema(id="bigint", amount="numeric"), [RAW], amount=(RAW, "amount")),
        _table(REVENUE, _schema(total="numeric"), [ORDERS], total=(ORDERS, "amount")),
        report,
    ],
    asset_checks=[is_positive],
    jobs=[dg.define_asset_job(JOB)],
)
