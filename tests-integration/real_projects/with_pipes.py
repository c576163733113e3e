"""Dagster Pipes: a process of its own reports the materializations and checks of assets."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from real_projects.project import Described, Integration, Project, Run

PROGRAM = Path(__file__).with_name("pipes_program.py")


@dg.asset
def flour() -> None: ...


@dg.multi_asset(
    specs=[dg.AssetSpec("dough", deps=[flour]), dg.AssetSpec("bread", deps=["dough"])],
    check_specs=[dg.AssetCheckSpec("is_baked", asset="bread")],
)
def oven(
    context: dg.AssetExecutionContext, pipes_subprocess_client: dg.PipesSubprocessClient
) -> Iterator[Any]:
    works = context.run.tags.get("oven", "works")
    command = [sys.executable, str(PROGRAM), works]
    yield from pipes_subprocess_client.run(command=command, context=context).get_results()


@dg.asset(deps=["bread"])
def shelf() -> None: ...


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    yield Project(
        dg.Definitions(
            assets=[flour, oven, shelf],
            resources={"pipes_subprocess_client": dg.PipesSubprocessClient()},
            jobs=[dg.define_asset_job("everything")],
        ),
        described={
            **dict.fromkeys(["flour", "dough", "shelf"], Described()),
            "bread": Described(
                {"loaf": "int", "weight": "float"},
                made_with=frozenset({"version", "outputStatistics"}),
            ),
        },
    )


INTEGRATION = Integration(
    "pipes",
    project,
    {
        "first": Run(),
        "second": Run(),
        "failing": Run(tags={"oven": "breaks"}, succeeds=False),
    },
)
