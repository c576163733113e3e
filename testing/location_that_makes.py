"""A code location that makes assets, with a sensor of its own; see `location_that_names`."""

import dagster as dg

from openlineage_dagster_sensor import openlineage_sensor

BREAKS = "mid/breaks"
"""The tag of runs in which `mid` fails."""


@dg.asset
def raw() -> None:
    """Succeed."""


@dg.asset(deps=[raw], group_name="core", description="Made here.")
def mid(context: dg.AssetExecutionContext) -> None:
    """Succeed, or fail as the run's tag says."""
    if BREAKS in context.run.tags:
        msg = "at once"
        raise ValueError(msg)


DEFINITIONS = dg.Definitions(
    assets=[raw, mid],
    jobs=[dg.define_asset_job("make")],
    sensors=[
        openlineage_sensor(
            name="where_it_is_made",
            namespace="makes",
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=1,
        )
    ],
)
