"""dbt-ol in steps: its models are in one graph with Dagster's assets, below the asset's run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

pytest.importorskip("openlineage.dbt")
pytest.importorskip("dagster_dbt")

from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from dagster_duckdb_pandas import DuckDBPandasIOManager

from openlineage_dagster_core.parents import OpenLineageResource
from real_projects.with_dbt import bakery, close_connections, orders
from started_programs import DEPLOYMENTS, Deployment, Shown, deployed

Json = dict[str, Any]

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

PROGRAM = Path(sys.executable).with_name("dbt-ol")


@pytest.fixture(params=DEPLOYMENTS, ids="-".join)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    mechanism, backend = request.param
    with deployed(request, tmp_path, mechanism, backend) as found:
        yield found


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # dbt-ol starts dbt by its name.
    monkeypatch.setenv("PATH", str(PROGRAM.parent), prepend=os.pathsep)
    with bakery(tmp_path) as found:
        yield found


def options_for(database: Path) -> Json:
    return {
        "dataset_identity": "physical",
        "dataset_namespaces": {"kind:duckdb": f"duckdb://{database}"},
    }


def test_one_asset(deployment: Deployment, database: Path) -> None:
    """An asset runs dbt-ol."""

    @dg.asset(
        key=["marts", "revenue"],
        deps=[orders],
        kinds={"duckdb"},
        metadata={"dagster/table_name": "bakery.main_marts.revenue"},
    )
    def revenue(context: dg.AssetExecutionContext, openlineage: OpenLineageResource) -> None:
        subprocess.run(
            [PROGRAM, "build", "--project-dir", "dbt", "--profiles-dir", "dbt"],
            env={**os.environ, **openlineage.step_parents(context).environment()},
            cwd=database.parent,
            check=True,
        )

    @dg.asset(deps=[revenue])
    def report() -> None: ...

    def project(options: Json) -> dg.Definitions:
        return dg.Definitions(
            assets=[orders, revenue, report],
            resources={
                "io_manager": DuckDBPandasIOManager(database=str(database), schema="raw"),
                "openlineage": OpenLineageResource(**options),
            },
            jobs=[dg.define_asset_job("everything")],
        )

    shown = deployment.run(project, "everything", options_for(database))
    check_models(shown, deployment.namespace, database)
    shown.check_chain(
        "dbt-run-bakery",
        "marts/revenue",
        "everything.marts__revenue",
        "everything",
        refused="everything",
    )
    shown.check_edges(
        (table(database, "raw.orders"), (deployment.namespace, "marts/revenue")),
        ((deployment.namespace, "marts/revenue"), table(database, "main_marts.revenue")),
        (table(database, "main_marts.revenue"), (deployment.namespace, "report")),
    )


def test_dbt_assets(deployment: Deployment, database: Path) -> None:
    """dagster-dbt runs dbt-ol in place of dbt."""
    dbt_project = DbtProject(database.parent / "dbt")
    resource = DbtCliResource(dbt_project, dbt_executable=str(PROGRAM.with_name("dbt")))
    parsed = resource.cli(["--quiet", "parse"], target_path=dbt_project.target_path)
    assert parsed.wait().is_successful()

    @dbt_assets(manifest=dbt_project.manifest_path, project=dbt_project)
    def models(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, openlineage: OpenLineageResource
    ) -> Iterator[Any]:
        with openlineage.step_parents(context).in_environment():
            invocation = dbt.cli(["build"], context=context)
        yield from invocation.stream()

    def project(options: Json) -> dg.Definitions:
        return dg.Definitions(
            assets=[orders, models],
            resources={
                "dbt": DbtCliResource(dbt_project, dbt_executable=str(PROGRAM)),
                "io_manager": DuckDBPandasIOManager(database=str(database), schema="raw"),
                "openlineage": OpenLineageResource(**options),
            },
            jobs=[dg.define_asset_job("everything")],
        )

    shown = deployment.run(project, "everything", options_for(database), close_connections)
    check_models(shown, deployment.namespace, database)
    shown.check_chain(
        "dbt-run-bakery",
        "everything.models",
        "everything",
        refused="everything",
    )
    # Both sides name each table alike.
    orders_job = (deployment.namespace, "staging/stg_orders")
    shown.check_edges(
        (table(database, "raw.orders"), orders_job),
        (orders_job, table(database, "main_staging.stg_orders")),
        ((deployment.namespace, "marts/revenue"), table(database, "main_marts.revenue")),
    )


def table(database: Path, name: str) -> tuple[str, str]:
    return f"duckdb://{database}", f"bakery.{name}"


def check_models(shown: Shown, namespace: str, database: Path) -> None:
    """Fail the test unless dbt's models read what Dagster writes, and each other."""
    command = "dbt-run-bakery"
    staging = (namespace, "bakery.main_staging.bakery.stg_orders.build.run")
    revenue = (namespace, "bakery.main_marts.bakery.revenue.build.run")
    if shown.has_operations:
        staging = revenue = (namespace, command)
    for _, model in {staging, revenue} - {(namespace, command)}:
        shown.check_children(model, command)
    shown.check_edges(
        ((namespace, "raw/orders"), table(database, "raw.orders")),
        (table(database, "raw.orders"), staging),
        (staging, table(database, "main_staging.stg_orders")),
        (table(database, "main_staging.stg_orders"), revenue),
        (revenue, table(database, "main_marts.revenue")),
    )
