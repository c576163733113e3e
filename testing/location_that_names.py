"""A code location that only names an asset of another one, with a sensor of its own."""

import dagster as dg

from openlineage_dagster_sensor import openlineage_sensor


@dg.asset(deps=["mid"])
def far() -> None:
    """Succeed."""


DEFINITIONS = dg.Definitions(
    assets=[far],
    sensors=[
        openlineage_sensor(
            name="where_it_is_named",
            namespace="names",
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=1,
        )
    ],
)
