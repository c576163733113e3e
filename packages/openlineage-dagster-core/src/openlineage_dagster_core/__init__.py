"""What Dagster records, as OpenLineage events: facts, conversion, facets and delivery."""

from openlineage_dagster_core.version import __version__

__all__ = ["__version__"]
