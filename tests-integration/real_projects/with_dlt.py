"""dagster-dlt: a source with a nested table, loaded into DuckDB, and an asset that reads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import dlt
import pytest
from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
from dagster_dlt.translator import DltResourceTranslatorData

from real_projects.project import Integration, Project, Run, Table


@dlt.source
def till() -> Any:
    @dlt.resource(write_disposition="replace")
    def receipts() -> Iterator[Any]:
        yield [
            {"receipt_id": 1, "paidAt": "2026-01-05T08:00:00Z", "items": [{"product": "roll"}]},
            {"receipt_id": 2, "paidAt": "2026-01-05T08:01:00Z", "items": []},
        ]

    @dlt.resource(write_disposition="append")
    def refunds() -> Iterator[Any]:
        yield [{"receipt_id": 1, "amount": 0.45}]

    return receipts, refunds


class WithDatabase(DagsterDltTranslator):
    """Name the database, which dagster-dlt does not store."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        table = f"bakery.raw.{data.resource.name}"
        return super().get_asset_spec(data).merge_attributes(metadata={"dagster/table_name": table})


@dg.asset(deps=["dlt_till_receipts", "dlt_till_refunds"])
def daily_report() -> None: ...


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    database = folder / "bakery.duckdb"
    with pytest.MonkeyPatch.context() as patched:
        # dlt keeps its state in the user's home otherwise.
        patched.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        patched.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
        yield Project(_definitions(folder, database), database, TABLES)


def _definitions(folder: Path, database: Path) -> dg.Definitions:
    def pipeline() -> dlt.Pipeline:
        return dlt.pipeline(
            pipeline_name="till",
            dataset_name="raw",
            destination=dlt.destinations.duckdb(str(database)),
            pipelines_dir=str(folder / "pipelines"),
        )

    @dlt_assets(
        dlt_source=till(),
        dlt_pipeline=pipeline(),
        name="till",
        dagster_dlt_translator=WithDatabase(),
    )
    def loaded(context: dg.AssetExecutionContext, loader: DagsterDltResource) -> Iterator[Any]:
        # dagster-dlt spoils the schema of what it has loaded; in a deployment the process ends.
        yield from loader.run(context=context, dlt_source=till(), dlt_pipeline=pipeline())

    return dg.Definitions(
        assets=[loaded, daily_report],
        resources={"loader": DagsterDltResource()},
        jobs=[
            dg.define_asset_job("everything"),
            dg.define_asset_job("subset", dg.AssetSelection.assets("dlt_till_refunds")),
        ],
    )


OF_DLT = {
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "VARCHAR": "text",
}

TABLES = {
    "dlt_till_receipts": Table("raw", "receipts", OF_DLT, children=("receipts__items",)),
    "dlt_till_refunds": Table("raw", "refunds", OF_DLT),
}

INTEGRATION = Integration(
    "dlt",
    project,
    {"first": Run(), "second": Run(), "subset": Run("subset")},
)
