"""The nominal time of Dagster runs and steps: what they are for, from partition or schedule."""

from __future__ import annotations

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
    """Find out what time a run is for.

    Args:
        facts: the run and its definitions.

    Returns:
        The `nominalTime` facet by its name: the window of the run's partition or range of
        partitions, else the time that its schedule launched it for; empty where it is for none.
    """
    # Asked for each step, and found among all that is planned: until the run starts that grows.
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
    """Find out what time a partition of an asset is for.

    Args:
        asset: its definition, where it is known: it says what is a time and what is not.
        partition: the partition key, None for an asset without partitions.

    Returns:
        The `nominalTime` facet by its name; empty where it is for none. Without a definition, an
        ISO date is a day in UTC, and an ISO date with a time of day an hour.
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
    for partitions in _partitions(facts):
        window = partitions.window(partition)
        if window is not None:
            return window
    return None


def _partitions(facts: Facts) -> Iterator[Partitions]:
    yield from _of_planned(facts)
    if facts.job is not None and facts.job.partitions is not None:
        yield facts.job.partitions


def _of_planned(facts: Facts) -> Iterator[Partitions]:
    # In the order of the keys: the first that has partitions decides, all of a run are alike.
    for key in sorted(facts.progress.planned_keys):
        asset = facts.assets.get(key)
        if asset is not None and asset.partitions is not None:
            yield asset.partitions
            return


def _facet(start: datetime, end: datetime | None) -> dict[str, RunFacet]:
    return {"nominalTime": _shared_facet(start, end)}


@lru_cache(maxsize=1024)
def _shared_facet(start: datetime, end: datetime | None) -> NominalTimeRunFacet:
    return shared(nominal_time_facet(start, end))


def _nothing(_: RunFacts) -> dict[int, dict[str, RunFacet]]:
    return {}


_of_run = PerObject(_nothing)
"""By how much is planned, the nominal time of a run."""
