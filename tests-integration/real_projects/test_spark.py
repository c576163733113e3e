"""Spark in a step: its jobs are in one graph with Dagster's assets, below the asset's run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

pytest.importorskip("pyspark")

from openlineage_dagster_core.parents import OpenLineageResource
from spark_agent import properties
from started_programs import DEPLOYMENTS, Deployment, deployed

Json = dict[str, Any]

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

PROGRAM = Path(__file__).with_name("spark_program.py")


@pytest.fixture(params=DEPLOYMENTS, ids="-".join)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    mechanism, backend = request.param
    with deployed(request, tmp_path, mechanism, backend) as found:
        yield found


def test_spark(deployment: Deployment) -> None:
    source, target = deployment.folder / "orders", deployment.folder / "totals"
    clients: list[Path] = []
    if deployment.transport["type"] == "kafka":
        jars: Path = deployment.request.getfixturevalue("kafka_jars")
        clients = [*jars.glob("kafka-clients-*.jar")]
    agent = properties(deployment.transport, deployment.namespace, clients)

    @dg.asset(key=["raw", "orders"], metadata={"dagster/uri": source.as_uri()})
    def orders() -> None:
        source.mkdir()
        rows = ({"shop": shop, "pieces": shop} for shop in (1, 2, 2))
        (source / "part.json").write_text("\n".join(map(json.dumps, rows)))

    @dg.asset(key=["marts", "totals"], deps=[orders], metadata={"dagster/uri": target.as_uri()})
    def totals(context: dg.AssetExecutionContext, openlineage: OpenLineageResource) -> None:
        given = {**agent, **openlineage.step_parents(context).spark_conf()}
        command = [sys.executable, str(PROGRAM), json.dumps(given), str(source), str(target)]
        subprocess.run(command, check=True)

    @dg.asset(deps=[totals])
    def report() -> None: ...

    def project(options: Json) -> dg.Definitions:
        return dg.Definitions(
            assets=[orders, totals, report],
            resources={"openlineage": OpenLineageResource(**options)},
            jobs=[dg.define_asset_job("everything")],
        )

    shown = deployment.run(project, "everything", {"dataset_identity": "physical"})
    namespace = deployment.namespace
    read, written = ("file", str(source)), ("file", str(target))
    query = (namespace, "add_up")
    if not shown.has_operations:
        [query] = {
            job
            for job, dataset in shown.graph.writes or ()
            if dataset == written and job[1].startswith("add_up.")
        }
        shown.check_children(query[1], "add_up")
    shown.check_edges(
        ((namespace, "raw/orders"), read),
        (read, query),
        (query, written),
        ((namespace, "marts/totals"), written),
        (written, (namespace, "report")),
    )
    shown.check_chain(
        "add_up", "marts/totals", "everything.marts__totals", "everything", refused="everything"
    )
