"""The nominal time of Dagster runs and steps, from their partition or schedule."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache

from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.nominal_time_run import NominalTimeRunFacet

from openlineage_dagster_core.caches import PerObject
from openlineage_dagster_core.facets.nominal_time import guessed_window, nominal_time_facet
from openlineage_dagster_core.facts.model import AssetFacts, Facts, RunFacts
from openlineage_dagster_core.facts.partitions import Partitions
from openlineage_dagster_core.serialisation import shared

PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
SCHEDULED_TAG = ".dagster/scheduled_execution_time"

Window = tuple[datetime, datetime]


def run_nominal_time(facts: Facts) -> Mapping[str, RunFacet]:
    """Return the `nominalTime` facet of a run by its name; empty if it has no nominal time.

    It is the window of the run's partition or range of partitions, else the time of its schedule.
    """
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
    return {"nominalTime": _shared_facet(start, end)}


@lru_cache(maxsize=1024)
def _shared_facet(start: datetime, end: datetime | None) -> NominalTimeRunFacet:
    return shared(nominal_time_facet(start, end))


# By the number of planned assets, the nominal time of a run
_of_run = PerObject[RunFacts, dict[int, dict[str, RunFacet]]](lambda _: {})
