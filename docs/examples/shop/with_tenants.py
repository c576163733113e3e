"""The same shop with the sensor, where each tenant has a namespace: `shop/acme` for `acme`."""

import dagster as dg

from openlineage_dagster_sensor import openlineage_sensor
from shop import definitions

# The namespace itself is that of `OPENLINEAGE_NAMESPACE`.
sensor = openlineage_sensor(
    namespace_template="{namespace}/{tag:tenant}", minimum_interval_seconds=1
)

defs = dg.Definitions.merge(definitions.defs, dg.Definitions(sensors=[sensor]))
