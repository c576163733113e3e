"""The names of `dagster-openlineage` 0.2, so that configurations written for it work unchanged.

Each part comes from the distribution that holds it, when it is asked for.
"""

import importlib
from typing import Any

from openlineage_dagster_core.version import __version__

_PARTS = {
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
    "__version__",
    "openlineage_sensor",
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
