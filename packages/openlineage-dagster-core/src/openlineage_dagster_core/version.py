"""The version of all three distributions: this is the one place that holds it."""

__version__ = "0.3.0.dev0"

REPOSITORY_URL = "https://github.com/openlineage-dagster/openlineage-dagster"

PRODUCER = f"{REPOSITORY_URL}/tree/v{__version__}"
"""The `producer` of every event and facet (OpenLineage spec, `BaseEvent`): the released sources."""

SCHEMAS_URL = f"{REPOSITORY_URL}/blob/main/docs/schemas"
"""Where the schemas of our own facets are: the same for all releases, each schema has a version."""
