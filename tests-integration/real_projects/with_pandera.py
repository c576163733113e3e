"""dagster-pandera: the type of an output describes its columns."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pandas as pd
import pandera.pandas as pa
from dagster_pandera import pandera_schema_to_dagster_type
from pandera.typing import Series

from real_projects.project import Described, Integration, Project, Run


class Prices(pa.DataFrameModel):
    """What the products cost."""

    product: Series[str] = pa.Field(description="As on the price tag")
    price: Series[float] = pa.Field(gt=0, description="In euros")


@dg.asset(dagster_type=pandera_schema_to_dagster_type(Prices))
def prices(context: dg.AssetExecutionContext):
    price = -1.0 if context.run.tags.get("prices") == "are wrong" else 4.2
    return pd.DataFrame({"product": ["rye bread"], "price": [price]})


@dg.asset
def price_list(prices) -> None: ...


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    yield Project(
        dg.Definitions(
            assets=[prices, price_list],
            resources={"io_manager": dg.FilesystemIOManager(base_dir=str(folder / "files"))},
            jobs=[dg.define_asset_job("everything")],
        ),
        described={
            "prices": Described(
                {"product": "str", "price": "float64"},
                frozenset({"dataSource", "tags", "storage", "datasetType"}),
                file=folder / "files" / "prices",
            ),
            "price_list": Described(),
        },
    )


INTEGRATION = Integration(
    "pandera",
    project,
    {
        "first": Run(),
        "second": Run(),
        "failing": Run(tags={"prices": "are wrong"}, succeeds=False),
    },
)
