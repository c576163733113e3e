"""`dagster_openlineage.sensor` of 0.2: the names of the package."""

from dagster_openlineage import __getattr__

__all__ = ["__getattr__"]
