"""`dagster_openlineage.sensor` of 0.2, as definitions import it."""

from __future__ import annotations

from typing import Any

import dagster_openlineage


def __getattr__(name: str) -> Any:
    if name != "openlineage_sensor":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(dagster_openlineage, name)
