"""dagster-dbt with dbt-duckdb: seeds, sources, staging and marts of a bakery, with tests.

A Dagster asset writes the source `raw.orders` with an I/O manager; nothing in Dagster writes the
source `raw.stores`. Tags of a run choose what goes wrong in it.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from dagster_duckdb_pandas import DuckDBPandasIOManager
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters

from real_projects.project import Integration, Project, Run, Table
from real_projects.with_duckdb_pandas import OF_PANDAS

BROKEN_MODEL = "bakery/revenue_is_broken"
BAD_ORDERS = "bakery/orders_are_bad"
"""Tags of runs. Of a bad order, a test warns of the status, and another fails on the store."""


@dg.asset(key=["raw", "orders"])
def orders(context: dg.AssetExecutionContext) -> pd.DataFrame:
    is_bad = BAD_ORDERS in context.run.tags
    return pd.DataFrame(
        {
            "order_id": [1, 1, 2],
            "store_id": [1, 1, 3 if is_bad else 2],
            "product_id": [1, 2, 3],
            "pieces": [1, 12, 2],
            "status": ["sold", "sold", "lost" if is_bad else "baked"],
            "ordered_on": ["2026-01-05", "2026-01-05", "2026-01-06"],
        }
    )


@contextmanager
def bakery(folder: Path) -> Iterator[Path]:
    """Make dbt's project in the folder `dbt`, and yield the database with the source `stores`."""
    database = folder / "bakery.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create schema raw")
        connection.execute(
            "create table raw.stores as select * from (values (1, 'Ulm'), (2, 'Bonn')) "
            "as stores (store_id, town)"
        )
    # dbt writes into the folder of its project.
    shutil.copytree(Path(__file__).with_name("bakery_dbt"), folder / "dbt")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BAKERY_DATABASE", str(database))
        patched.setenv("DO_NOT_TRACK", "1")
        yield database


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    with bakery(folder) as database:
        yield Project(
            _definitions(folder / "dbt", database), database, TABLES, release=close_connections
        )


def close_connections() -> None:
    """Close dagster-dbt's connection: other processes cannot write to the database until then."""
    reset_adapters()
    DuckDBConnectionManager.close_all_connections()


def _definitions(folder: Path, database: Path) -> dg.Definitions:
    dbt_project = DbtProject(folder)
    resource = DbtCliResource(
        dbt_project, dbt_executable=str(Path(sys.executable).with_name("dbt"))
    )
    # Not `parse`: the manifest then has the compiled queries.
    compiled = resource.cli(["--quiet", "compile"], target_path=dbt_project.target_path)
    assert compiled.wait().is_successful()

    @dbt_assets(manifest=dbt_project.manifest_path, project=dbt_project)
    def models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        variables = {"revenue_is_broken": BROKEN_MODEL in context.run.tags}
        invocation = dbt.cli(["build", "--vars", json.dumps(variables)], context=context)
        yield from invocation.stream().fetch_column_metadata()

    return dg.Definitions(
        assets=[orders, models],
        resources={
            "dbt": resource,
            "io_manager": DuckDBPandasIOManager(database=str(database), schema="raw"),
        },
        jobs=[
            dg.define_asset_job("everything"),
            dg.define_asset_job(
                "subset", dg.AssetSelection.assets("staging/stg_stores", "marts/best_stores")
            ),
        ],
    )


OF_DBT = {"VARCHAR": "character varying(256)"}

TABLES = {
    "raw/orders": Table("raw", "orders", OF_PANDAS),
    "raw/stores": Table("raw", "stores"),
    "seeds/products": Table("main_seeds", "products", OF_DBT),
    "staging/stg_orders": Table("main_staging", "stg_orders", OF_DBT),
    "staging/stg_stores": Table("main_staging", "stg_stores", OF_DBT),
    "marts/orders_by_store": Table("main_marts", "orders_by_store", OF_DBT),
    "marts/revenue": Table("main_marts", "revenue", OF_DBT),
    "marts/best_stores": Table("main_marts", "best_stores", OF_DBT),
    "marts/order_history": Table("main_marts", "order_history", OF_DBT),
}

INTEGRATION = Integration(
    "dbt",
    project,
    {
        "first": Run(),
        "second": Run(),
        "subset": Run("subset"),
        "broken model": Run(tags={BROKEN_MODEL: "yes"}, succeeds=False),
        "failing tests": Run(tags={BAD_ORDERS: "yes"}, succeeds=False),
    },
)
