"""Mechanism B: a sensor that turns the Dagster event log into OpenLineage events."""

from openlineage_dagster_sensor.sensor import openlineage_sensor

__all__ = ["openlineage_sensor"]
