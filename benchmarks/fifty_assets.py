"""A project of fifty small assets, for the runs that are timed."""

# No annotations as text: Dagster looks at them.

import dagster as dg

ASSETS = 50
COLUMNS = dg.TableSchema([dg.TableColumn(f"column_{number}", "string") for number in range(10)])


def _asset(number: int) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"asset_{number:02}",
        key_prefix="bench",
        # Ten chains of five.
        deps=[dg.AssetKey(["bench", f"asset_{number - 10:02}"])] if number >= 10 else [],
        description="One of fifty.",
        owners=["team:bench"],
        metadata={"dagster/column_schema": COLUMNS},
    )
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        context.log.info("making %s", context.asset_key)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": number, "dagster/column_schema": COLUMNS}
        )

    return made


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def without_assets() -> None:
    """Plan nothing."""
    nothing()


definitions = dg.Definitions(
    assets=[_asset(number) for number in range(ASSETS)],
    jobs=[
        without_assets,
        dg.define_asset_job("in_process", executor_def=dg.in_process_executor),
        dg.define_asset_job("multiprocess", executor_def=dg.multiprocess_executor),
    ],
)
