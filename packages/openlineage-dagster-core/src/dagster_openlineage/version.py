"""`dagster_openlineage.version` of 0.2."""

from openlineage_dagster_core.version import __version__

__all__ = ["__version__"]
