"""A project of sixty assets of half a second each, for measuring how fresh lineage is."""

# No annotations as text: Dagster looks at them.

import os
import time

import dagster as dg

ASSETS_VARIABLE = "BENCH_ASSETS"
"""The environment variable that holds another number of assets."""

ASSETS = int(os.environ.get(ASSETS_VARIABLE, "60"))
SECONDS = 0.5
JOB = "multiprocess"
PREFIX = "bench"
COLUMNS = dg.TableSchema([dg.TableColumn(f"column_{number}", "string") for number in range(10)])


def _asset(number: int) -> dg.AssetsDefinition:
    # Half of the schemas come with the materialization alone: START of those assets waits for it.
    is_defined = number % 2 == 0

    @dg.asset(
        name=f"asset_{number:02}",
        key_prefix=PREFIX,
        deps=[dg.AssetKey([PREFIX, f"asset_{number - 10:02}"])] if number >= 10 else [],
        metadata={"dagster/column_schema": COLUMNS} if is_defined else {},
    )
    def made() -> dg.MaterializeResult[None]:
        time.sleep(SECONDS)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": number, "dagster/column_schema": COLUMNS}
        )

    return made


definitions = dg.Definitions(
    assets=[_asset(number) for number in range(ASSETS)],
    jobs=[dg.define_asset_job(JOB, executor_def=dg.multiprocess_executor)],
)
