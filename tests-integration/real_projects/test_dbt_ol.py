"""dbt-ol in steps: its models are in one graph with Dagster's assets, below the asset's run."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

pytest.importorskip("openlineage.dbt")
pytest.importorskip("dagster_dbt")

from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from dagster_duckdb_pandas import DuckDBPandasIOManager

from lineage_graph import LineageGraph, Name, check_graph
from openlineage_dagster_core.parents import OpenLineagePipesContextInjector, OpenLineageResource
from real_projects.with_dbt import bakery, close_connections, orders
from started_programs import DEPLOYMENTS, TASK_ID, Deployment, Shown, deployed

Json = dict[str, Any]

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

PROGRAM = Path(sys.executable).with_name("dbt-ol")
PIPES_PROGRAM = Path(__file__).parents[1] / "pipes_child.py"


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


DBT = "dbt-run-bakery"
STAGING, MARTS = "bakery.main_staging.bakery", "bakery.main_marts.bakery"
ONE_GRAPH = {
    "everything": ("dag.task", "", ""),
    "everything.raw__orders": ("everything", "", ""),
    "raw/orders": ("everything.raw__orders", "", "raw.orders"),
    "everything.marts__revenue": ("everything", "", ""),
    "marts/revenue": ("everything.marts__revenue", "raw.orders", "main_marts.revenue"),
    DBT: ("marts/revenue", "", ""),
    "bakery.raw.source.bakery.raw.orders.build.test": (DBT, "raw.orders", ""),
    f"{STAGING}.stg_orders.build.run": (DBT, "raw.orders", "main_staging.stg_orders"),
    f"{STAGING}.stg_orders.build.test": (DBT, "main_staging.stg_orders", ""),
    f"{STAGING}.stg_stores.build.run": (DBT, "raw.stores", "main_staging.stg_stores"),
    f"{STAGING}.stg_stores.build.test": (DBT, "main_staging.stg_stores", ""),
    f"{MARTS}.order_history.build.run": (
        DBT,
        "main_staging.stg_orders",
        "main_marts.order_history",
    ),
    f"{MARTS}.orders_by_store.build.run": (
        DBT,
        "main_staging.stg_orders main_staging.stg_stores",
        "main_marts.orders_by_store",
    ),
    f"{MARTS}.revenue.build.run": (DBT, "main_staging.stg_orders", "main_marts.revenue"),
    f"{MARTS}.revenue.build.test": (DBT, "main_marts.revenue", ""),
    f"{MARTS}.best_stores.build.run": (
        DBT,
        "main_marts.revenue main_staging.stg_stores",
        "main_marts.best_stores",
    ),
    f"{MARTS}.best_stores.build.test": (DBT, "main_marts.best_stores", ""),
    "everything.bread": ("everything", "", ""),
    "bread": ("everything.bread", "main_marts.revenue", "bread"),
    "oven": ("bread", "main_marts.revenue", "bread"),
}
"""Of each job, the parent, what it reads and what it writes; dbt-ol leaves seeds out."""


def options_for(database: Path) -> Json:
    return {
        "dataset_identity": "physical",
        "dataset_namespaces": {"kind:duckdb": f"duckdb://{database}"},
    }


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
        cwd=Path(os.environ["BAKERY_DATABASE"]).parent,
        check=True,
    )


def test_one_asset(deployment: Deployment, database: Path) -> None:
    """An asset runs dbt-ol."""

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
        DBT, "marts/revenue", "everything.marts__revenue", "everything", refused="everything"
    )
    shown.check_edges(
        (table(database, "raw.orders"), (deployment.namespace, "marts/revenue")),
        ((deployment.namespace, "marts/revenue"), table(database, "main_marts.revenue")),
        (table(database, "main_marts.revenue"), (deployment.namespace, "report")),
    )


@pytest.mark.parametrize(
    "deployment", [("storage", "http"), ("sensor", "http")], ids="-".join, indirect=True
)
def test_one_graph(deployment: Deployment, database: Path) -> None:
    """An Airflow task starts Dagster, which starts dbt-ol and a Pipes process."""
    namespace, target = deployment.namespace, ("file", str(database.with_name("bread")))

    @dg.asset(deps=[revenue], metadata={"dagster/uri": "://".join(target)})
    def bread(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> Any:
        names = [namespace, *table(database, "main_marts.revenue"), *target]
        command = [sys.executable, str(PIPES_PROGRAM), *names]
        return pipes.run(command=command, context=context).get_materialize_result()

    def project(options: Json) -> dg.Definitions:
        identity = OpenLineagePipesContextInjector(dg.PipesTempFileContextInjector(), **options)
        return dg.Definitions(
            assets=[orders, revenue, bread],
            resources={
                "io_manager": DuckDBPandasIOManager(database=str(database), schema="raw"),
                "openlineage": OpenLineageResource(**options),
                "pipes": dg.PipesSubprocessClient(context_injector=identity),
            },
            jobs=[dg.define_asset_job("everything")],
        )

    def edges(side: int) -> Iterator[tuple[Name, Name]]:
        """Yield job and dataset."""
        for job, row in ONE_GRAPH.items():
            for name in row[side].split():
                yield (namespace, job), target if name == "bread" else table(database, name)

    shown = deployment.run(project, "everything", options_for(database))
    assert deployment.backend.events is not None
    events = deployment.backend.events()
    expected = LineageGraph(
        "the test",
        reads=frozenset((dataset, job) for job, dataset in edges(1)),
        writes=frozenset(edges(2)),
        runs={(namespace, job): Counter(COMPLETE=1) for job in ONE_GRAPH},
        without_duration=frozenset(),
    )
    check_graph(shown.graph, expected, events)

    task = ("airflow", "dag.task")
    jobs = {event["run"]["runId"]: name_of(event["job"]) for event in events}
    parents = {
        # By its run and by its name, the parent is the same job.
        (
            name_of(event["job"]),
            {TASK_ID: task, **jobs}[facet["run"]["runId"]],
            name_of(facet["job"]),
            name_of(facet["root"]["job"]),
        )
        for event in events
        for facet in [event["run"]["facets"]["parent"]]
    }
    assert parents == {
        ((namespace, job), parent, parent, ("airflow", "dag"))
        for job, (name, _, _) in ONE_GRAPH.items()
        for parent in [(namespace, name) if name in ONE_GRAPH else task]
    }


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
    shown.check_chain(DBT, "everything.models", "everything", refused="everything")
    # Both sides name each table alike.
    orders_job = (deployment.namespace, "staging/stg_orders")
    shown.check_edges(
        (table(database, "raw.orders"), orders_job),
        (orders_job, table(database, "main_staging.stg_orders")),
        ((deployment.namespace, "marts/revenue"), table(database, "main_marts.revenue")),
    )


def table(database: Path, name: str) -> tuple[str, str]:
    return f"duckdb://{database}", f"bakery.{name}"


def name_of(described: Json) -> Name:
    return described["namespace"], described["name"]


def check_models(shown: Shown, namespace: str, database: Path) -> None:
    """Fail the test unless dbt's models read what Dagster writes, and each other."""
    staging = (namespace, f"{STAGING}.stg_orders.build.run")
    revenue = (namespace, f"{MARTS}.revenue.build.run")
    if shown.has_operations:
        staging = revenue = (namespace, DBT)
    for _, model in {staging, revenue} - {(namespace, DBT)}:
        shown.check_children(model, DBT)
    shown.check_edges(
        ((namespace, "raw/orders"), table(database, "raw.orders")),
        (table(database, "raw.orders"), staging),
        (staging, table(database, "main_staging.stg_orders")),
        (table(database, "main_staging.stg_orders"), revenue),
        (revenue, table(database, "main_marts.revenue")),
    )
