"""The nominal time of Dagster runs and steps, from their partition or schedule."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.nominal_time_run import NominalTimeRunFacet

from openlineage_dagster_core.caches import PerObject
from openlineage_dagster_core.facts.model import AssetFacts, Facts, RunFacts
from openlineage_dagster_core.facts.partitions import Partitions
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER

PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
SCHEDULED_TAG = ".dagster/scheduled_execution_time"
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ISO_DATE_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})[-T](\d{2}:\d{2})(?::\d{2})?")

Window = tuple[datetime, datetime]


def run_nominal_time(facts: Facts) -> Mapping[str, RunFacet]:
    """Return the `nominalTime` facet of a run's partitions or schedule by its name, if any."""
    # Cached, as each step asks. The planned assets decide, and grow until the run starts.
    found = _of_run(facts.run)
    planned = len(facts.progress.planned_keys)
    if planned not in found:
        found[planned] = _run_nominal_time(facts)
    return found[planned]


def _run_nominal_time(facts: Facts) -> dict[str, RunFacet]:
    tags = facts.run.tags
    first, last = (tags.get(tag) for tag in RANGE_TAGS)
    if PARTITION_TAG in tags:
        window = _window(facts, tags[PARTITION_TAG])
        return _facet(*window) if window else {}
    if first is not None and last is not None:
        begin, end = _window(facts, first), _window(facts, last)
        return _facet(begin[0], end[1]) if begin and end else {}
    try:
        return _facet(datetime.fromisoformat(tags[SCHEDULED_TAG]), None)
    except (KeyError, ValueError):
        return {}


def asset_nominal_time(asset: AssetFacts | None, partition: str | None) -> dict[str, RunFacet]:
    """Return the `nominalTime` facet of an asset's partition by its name.

    The definition tells whether the key is a time; without a definition, an ISO date is a day in
    UTC, and an ISO date with a time of day an hour.
    """
    if partition is None:
        return {}
    if asset is None:
        window = guessed_window(partition)
    else:
        window = asset.partitions.window(partition) if asset.partitions else None
    return _facet(*window) if window else {}


def _window(facts: Facts, partition: str) -> Window | None:
    if not facts.assets and facts.job is None:
        return guessed_window(partition)
    windows = (partitions.window(partition) for partitions in _partitions(facts))
    return next((window for window in windows if window is not None), None)


def _partitions(facts: Facts) -> Iterator[Partitions]:
    # One partitioned asset is enough, because all of a run are alike.
    for key in sorted(facts.progress.planned_keys):
        asset = facts.assets.get(key)
        if asset is not None and asset.partitions is not None:
            yield asset.partitions
            break
    if facts.job is not None and facts.job.partitions is not None:
        yield facts.job.partitions


def _facet(start: datetime, end: datetime | None) -> dict[str, RunFacet]:
    return {"nominalTime": nominal_time_facet(start, end)}


@lru_cache(maxsize=1024)
def nominal_time_facet(start: datetime, end: datetime | None) -> NominalTimeRunFacet:
    """Build the facet (NominalTimeRunFacet 1-0-1), in UTC; a time without a zone is one in UTC."""
    until = _in_utc(end) if end is not None else None
    return shared(NominalTimeRunFacet(_in_utc(start), until, producer=PRODUCER))


def _in_utc(time: datetime) -> str:
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return time.astimezone(timezone.utc).isoformat()


def guessed_window(partition: str) -> tuple[datetime, datetime] | None:
    """Read an ISO date as a day in UTC, and one with a time of day as an hour."""
    # A date may not exist, such as 2026-02-31, or be the last day of `datetime`.
    with contextlib.suppress(ValueError, OverflowError):
        if _ISO_DATE.fullmatch(partition):
            start = datetime.fromisoformat(partition).replace(tzinfo=timezone.utc)
            return start, start + timedelta(days=1)
        if match := _ISO_DATE_HOUR.fullmatch(partition):
            text = "T".join(match.groups())
            start = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
            return start, start + timedelta(hours=1)
    return None


# By the number of planned assets, the nominal time of a run
_of_run = PerObject[RunFacts, dict[int, dict[str, RunFacet]]](lambda _: {})
