"""The same shop with the OpenLineage sensor (Mechanism B)."""

import dagster as dg

from openlineage_dagster_sensor import openlineage_sensor
from shop import definitions

defs = dg.Definitions.merge(
    definitions.defs,
    dg.Definitions(sensors=[openlineage_sensor(namespace="shop", minimum_interval_seconds=1)]),
)
