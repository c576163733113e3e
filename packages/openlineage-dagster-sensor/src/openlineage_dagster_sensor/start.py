"""Reads the argument `start_from`."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from openlineage_dagster_core.errors import ConfigurationError

ALLOWED = "'beginning', 'now', a datetime, a text such as '2026-01-31T12:00:00+00:00', or seconds"


def start_time(value: str | float | datetime | None) -> float | None:
    """Read where to begin.

    Args:
        value: as the user gave it; a time without a zone is UTC.

    Returns:
        Seconds since the epoch; infinity for now, whenever that will be; None for the beginning.

    Raises:
        ConfigurationError: it is none of what is allowed.
    """
    if value is None or value == "beginning":
        return None
    if value == "now":
        return float("inf")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError as error:
            raise ConfigurationError("start_from", value, ALLOWED) from error
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ConfigurationError("start_from", value, ALLOWED)
    return min(float(value), time.time())
