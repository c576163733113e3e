"""The public names: those of `dagster-openlineage` 0.2, which work unchanged, and later ones.

Each part comes from the distribution that holds it, when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from openlineage_dagster_core.version import __version__

if TYPE_CHECKING:
    from openlineage_dagster_core.child import parent_run_facet
    from openlineage_dagster_core.parents import (
        OpenLineagePipesContextInjector,
        OpenLineageResource,
        StepParents,
        step_parents,
    )

_CORE = "openlineage-dagster-core"
_PARTS = {
    "OpenLineagePipesContextInjector": ("openlineage_dagster_core.parents", _CORE),
    "OpenLineageResource": ("openlineage_dagster_core.parents", _CORE),
    "StepParents": ("openlineage_dagster_core.parents", _CORE),
    "parent_run_facet": ("openlineage_dagster_core.child", _CORE),
    "step_parents": ("openlineage_dagster_core.parents", _CORE),
    "OpenLineageDagsterStorage": ("openlineage_dagster_storage", "openlineage-dagster-storage"),
    "OpenLineageEventLogStorage": ("openlineage_dagster_storage", "openlineage-dagster-storage"),
    "openlineage_sensor": ("openlineage_dagster_sensor", "openlineage-dagster-sensor"),
}

_GONE = {
    "OpenLineageAdapter": "facet_providers and metadata openlineage/… add to events",
    "get_job_origin": "use DagsterRun.remote_job_origin",
    "get_pipeline_origin": "use DagsterRun.remote_job_origin",
    "get_repository_origin": "use RemoteJobOrigin.repository_origin",
    "make_step_job_name": "use openlineage_dagster_core.identity.step_job_name",
    "to_utc_iso_8601": "use openlineage_dagster_core.conversion.envelope.event_time",
}
"""Names of 0.2 that this version does not have, and what to do instead."""

__all__ = [
    "OpenLineageDagsterStorage",
    "OpenLineageEventLogStorage",
    "OpenLineagePipesContextInjector",
    "OpenLineageResource",
    "StepParents",
    "__version__",
    "openlineage_sensor",
    "parent_run_facet",
    "step_parents",
]


def __getattr__(name: str) -> Any:
    if name in _GONE:
        msg = f"{name} of dagster-openlineage 0.2 is gone: {_GONE[name]}"
        raise ImportError(msg)
    if name not in _PARTS:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module, distribution = _PARTS[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        msg = f"{name} is not installed: pip install {distribution}"
        raise ImportError(msg) from error
