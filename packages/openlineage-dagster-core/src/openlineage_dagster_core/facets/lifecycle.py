"""The `lifecycleStateChange` dataset facet, from a wiped asset."""

from __future__ import annotations

from openlineage.client.generated.lifecycle_state_change_dataset import (
    LifecycleStateChange,
    LifecycleStateChangeDatasetFacet,
)

from openlineage_dagster_core.version import PRODUCER


def wiped_facet() -> LifecycleStateChangeDatasetFacet:
    """Build the facet (LifecycleStateChangeDatasetFacet 1-0-1) of an asset that was wiped.

    Returns:
        The facet, with TRUNCATE: Dagster forgets what was made, and the asset stays defined.
    """
    return LifecycleStateChangeDatasetFacet(
        lifecycleStateChange=LifecycleStateChange.TRUNCATE, producer=PRODUCER
    )
