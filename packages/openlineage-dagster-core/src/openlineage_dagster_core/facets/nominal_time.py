"""The `nominalTime` run facet, from a partition."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from openlineage.client.generated.nominal_time_run import NominalTimeRunFacet

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.version import PRODUCER

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ISO_DATE_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})[-T](\d{2}:\d{2})(?::\d{2})?")


def nominal_time_facet(asset: AssetFacts | None, partition: str) -> NominalTimeRunFacet | None:
    """Build the facet (NominalTimeRunFacet 1-0-1).

    Args:
        asset: the asset's definition, where it is known: it says what is a time and what is not.
        partition: the partition key.

    Returns:
        The window of the partition, in UTC; None where it is no time. Without a definition, an ISO
        date is a day in UTC, and an ISO date with a time of day an hour.
    """
    if asset is not None:
        window = asset.time_partitions.window(partition) if asset.time_partitions else None
    else:
        window = _guessed_window(partition)
    if window is None:
        return None
    start, end = (time.astimezone(timezone.utc).isoformat() for time in window)
    return NominalTimeRunFacet(nominalStartTime=start, nominalEndTime=end, producer=PRODUCER)


def _guessed_window(partition: str) -> tuple[datetime, datetime] | None:
    try:
        if _ISO_DATE.fullmatch(partition):
            start = datetime.fromisoformat(partition).replace(tzinfo=timezone.utc)
            return start, start + timedelta(days=1)
        if match := _ISO_DATE_HOUR.fullmatch(partition):
            text = "T".join(match.groups())
            start = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
            return start, start + timedelta(hours=1)
    except (ValueError, OverflowError):
        # It looked like a date: 2026-02-31, or the last day that there is.
        return None
    return None
