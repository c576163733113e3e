"""Sends OpenLineage events to Apache Atlas, which has no receiver for them, as Atlas's entities.

Select it as any transport: `type: openlineage_dagster_core.atlas.AtlasTransport`.
"""

from openlineage_dagster_core.atlas.config import AtlasConfig
from openlineage_dagster_core.atlas.transport import AtlasTransport

__all__ = ["AtlasConfig", "AtlasTransport"]
