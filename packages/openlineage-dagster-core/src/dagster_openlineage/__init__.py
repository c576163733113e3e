"""The names of `dagster-openlineage` 0.2, so that configurations written for it work unchanged.

Each part comes from the distribution that holds it, when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from openlineage_dagster_core.version import __version__

_PARTS = {
    "OpenLineageDagsterStorage": ("openlineage_dagster_storage", "openlineage-dagster-storage"),
    "OpenLineageEventLogStorage": ("openlineage_dagster_storage", "openlineage-dagster-storage"),
    "openlineage_sensor": ("openlineage_dagster_sensor", "openlineage-dagster-sensor"),
}

__all__ = [
    "OpenLineageDagsterStorage",
    "OpenLineageEventLogStorage",
    "__version__",
    "openlineage_sensor",
]


def __getattr__(name: str) -> Any:
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
