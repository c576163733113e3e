"""A process that Dagster Pipes starts: what it sends itself is below the asset's run."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.parents import OpenLineagePipesContextInjector
from started_programs import DEPLOYMENTS, Deployment, deployed

Json = dict[str, Any]

PROGRAM = Path(__file__).with_name("pipes_child.py")
INJECTORS = (dg.PipesTempFileContextInjector, dg.PipesEnvContextInjector)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("injector", INJECTORS)
@pytest.mark.parametrize(("mechanism", "backend"), DEPLOYMENTS)
def test_pipes(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    mechanism: str,
    backend: str,
    injector: type[dg.PipesContextInjector],
) -> None:
    with deployed(request, tmp_path, mechanism, backend) as deployment:
        check(deployment, injector)


def check(deployment: Deployment, injector: type[dg.PipesContextInjector]) -> None:
    source, target = deployment.folder / "dough", deployment.folder / "bread"

    @dg.asset(key=["raw", "dough"], metadata={"dagster/uri": source.as_uri()})
    def dough() -> None: ...

    @dg.asset(key=["baked", "bread"], deps=[dough], metadata={"dagster/uri": target.as_uri()})
    def bread(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> Any:
        names = [deployment.namespace, "file", str(source), "file", str(target)]
        command = [sys.executable, str(PROGRAM), *names]
        return pipes.run(command=command, context=context).get_materialize_result()

    def project(options: Json) -> dg.Definitions:
        identity = OpenLineagePipesContextInjector(injector(), **options)
        return dg.Definitions(
            assets=[dough, bread],
            resources={"pipes": dg.PipesSubprocessClient(context_injector=identity)},
            jobs=[dg.define_asset_job("everything")],
        )

    shown = deployment.run(project, "everything", {"dataset_identity": "physical"})
    shown.check_chain(
        "oven", "baked/bread", "everything.baked__bread", "everything", refused="everything"
    )
    namespace = deployment.namespace
    shown.check_edges(
        ((namespace, "raw/dough"), ("file", str(source))),
        (("file", str(source)), (namespace, "oven")),
        ((namespace, "oven"), ("file", str(target))),
        ((namespace, "baked/bread"), ("file", str(target))),
    )
