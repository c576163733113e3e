"""The `nominalTime` run facet, from a window of time."""

import re
from datetime import datetime, timedelta, timezone

from openlineage.client.generated.nominal_time_run import NominalTimeRunFacet

from openlineage_dagster_core.version import PRODUCER

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ISO_DATE_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})[-T](\d{2}:\d{2})(?::\d{2})?")


def nominal_time_facet(start: datetime, end: datetime | None) -> NominalTimeRunFacet:
    """Build the facet (NominalTimeRunFacet 1-0-1), in UTC; a time without a zone is one in UTC."""
    return NominalTimeRunFacet(
        nominalStartTime=_in_utc(start),
        nominalEndTime=_in_utc(end) if end is not None else None,
        producer=PRODUCER,
    )


def _in_utc(time: datetime) -> str:
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return time.astimezone(timezone.utc).isoformat()


def guessed_window(partition: str) -> tuple[datetime, datetime] | None:
    """Read a partition key as a time, for an asset without a definition.

    An ISO date is a day in UTC, an ISO date with a time of day an hour. Other keys give None.
    """
    try:
        if _ISO_DATE.fullmatch(partition):
            start = datetime.fromisoformat(partition).replace(tzinfo=timezone.utc)
            return start, start + timedelta(days=1)
        if match := _ISO_DATE_HOUR.fullmatch(partition):
            text = "T".join(match.groups())
            start = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
            return start, start + timedelta(hours=1)
    except (ValueError, OverflowError):
        # A date that does not exist, such as 2026-02-31, or the last day of `datetime`.
        return None
    return None
