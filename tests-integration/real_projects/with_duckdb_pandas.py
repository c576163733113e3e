"""dagster-duckdb-pandas: an I/O manager writes data frames to tables of DuckDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pandas as pd
from dagster_duckdb_pandas import DuckDBPandasIOManager

from real_projects.project import Integration, Project, Run, Table


@dg.asset(key_prefix="raw")
def orders() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": [1, 2],
            "ordered_on": pd.to_datetime(["2026-01-05", "2026-01-06"]),
            "amount": [4.2, 3.1],
            "Paid By": ["cash", "card"],
        }
    )


@dg.asset(key_prefix="marts")
def days(orders: pd.DataFrame) -> pd.DataFrame:
    return orders.groupby("ordered_on", as_index=False)["amount"].sum()


@dg.asset(key_prefix="marts", deps=[days])
def report(context: dg.AssetExecutionContext) -> None:
    if context.run.tags.get("report") == "fails":
        msg = "the printer has no paper"
        raise ValueError(msg)


OF_PANDAS = {
    "BIGINT": "int64",
    "DOUBLE": "float64",
    "TIMESTAMP_NS": "datetime64[ns]",
    "VARCHAR": "object",
}


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    database = folder / "bakery.duckdb"
    yield Project(
        dg.Definitions(
            assets=[orders, days, report],
            resources={"io_manager": DuckDBPandasIOManager(database=str(database))},
            jobs=[
                dg.define_asset_job("everything"),
                dg.define_asset_job("only_days", dg.AssetSelection.assets("marts/days")),
            ],
        ),
        database,
        {
            "raw/orders": Table("raw", "orders", OF_PANDAS),
            "marts/days": Table("marts", "days", OF_PANDAS),
        },
    )


INTEGRATION = Integration(
    "duckdb_pandas",
    project,
    {
        "first": Run(),
        "second": Run(),
        "subset": Run("only_days"),
        "failing": Run(tags={"report": "fails"}, succeeds=False),
    },
)
