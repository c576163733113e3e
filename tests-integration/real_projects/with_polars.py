"""dagster-polars: an I/O manager writes data frames to Parquet files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import polars as pl
from dagster_polars import PolarsParquetIOManager

from real_projects.project import Described, Integration, Project, Run


@dg.asset(key_prefix="raw")
def visits() -> pl.DataFrame:
    return pl.DataFrame({"store_id": [1, 2], "seen": [["a"], ["b", "c"]], "at": ["08:00", "08:05"]})


@dg.asset(key_prefix="marts")
def visits_by_store(visits: pl.DataFrame) -> pl.DataFrame:
    return visits.group_by("store_id").len()


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    yield Project(
        dg.Definitions(
            assets=[visits, visits_by_store],
            resources={"io_manager": PolarsParquetIOManager(base_dir=str(folder / "lake"))},
            jobs=[
                dg.define_asset_job("everything"),
                dg.define_asset_job("subset", dg.AssetSelection.assets("marts/visits_by_store")),
            ],
        ),
        described={
            path: Described(
                columns,
                frozenset({"dataSource", "tags", "storage", "datasetType"}),
                frozenset({"version", "dataQualityMetrics", "outputStatistics"}),
                folder / "lake" / f"{path}.parquet",
            )
            for path, columns in {
                "raw/visits": {"store_id": "Int64", "seen": "List(String)", "at": "String"},
                "marts/visits_by_store": {"store_id": "Int64", "len": "UInt32"},
            }.items()
        },
    )


INTEGRATION = Integration(
    "polars", project, {"first": Run(), "second": Run(), "subset": Run("subset")}
)
