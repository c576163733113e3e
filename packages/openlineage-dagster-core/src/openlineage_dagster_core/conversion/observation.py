"""What is said of a dataset without making it: observations, and wiped assets.

A DatasetEvent, or a run that reads the dataset, for backends that take nothing else.
"""

from __future__ import annotations

import attr
from dagster import AssetKey, AssetObservation
from openlineage.client.event_v2 import DatasetEvent, InputDataset, RunState, StaticDataset

from openlineage_dagster_core.conversion import custom, policy
from openlineage_dagster_core.conversion.dataset import observed_dataset, read_dataset
from openlineage_dagster_core.conversion.envelope import (
    Envelope,
    Event,
    Lineage,
    Source,
    event_time,
)
from openlineage_dagster_core.conversion.nominal_time import asset_nominal_time
from openlineage_dagster_core.facets.lifecycle import wiped_facet
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import observations_job_name
from openlineage_dagster_core.settings import ObservationEvents
from openlineage_dagster_core.version import PRODUCER


def observed(source: Source, observation: AssetObservation) -> list[Event]:
    """Convert ASSET_OBSERVATION.

    Args:
        source: the event and its facts.
        observation: what the event holds.

    Returns:
        A DatasetEvent; or START and COMPLETE of a run that reads the dataset.
    """
    key = observation.asset_key
    if not policy.allows_asset(source, key, Family.OBSERVATION):
        return []
    return _events(source, key, observation.partition, observed_dataset(source, observation))


def wiped(source: Source) -> list[Event]:
    """Convert ASSET_WIPED: Dagster has forgotten what was made of an asset, or of some partitions.

    Args:
        source: the event and its facts.

    Returns:
        A DatasetEvent; or START and COMPLETE of a run that reads the dataset.
    """
    data = source.entry.get_dagster_event().asset_wiped_data
    key: AssetKey = data.asset_key
    if not policy.allows_asset(source, key, Family.OBSERVATION):
        return []
    dataset = read_dataset(source, key, partitions=data.partition_keys)
    dataset.facets = {**(dataset.facets or {}), "lifecycleStateChange": wiped_facet()}
    return _events(source, key, None, dataset)


def _events(
    source: Source, key: AssetKey, partition: str | None, dataset: InputDataset
) -> list[Event]:
    entry, facts, identity = source.entry, source.facts, source.identity
    if identity.settings.observation_events is ObservationEvents.DATASET:
        event = DatasetEvent(
            eventTime=event_time(entry.timestamp),
            dataset=StaticDataset(
                namespace=dataset.namespace, name=dataset.name, facets=dataset.facets
            ),
            producer=PRODUCER,
        )
        return [custom.with_additions(event, source, key)]
    envelope = Envelope(
        source,
        run_id=identity.observation_run_id(facts.run, key, partition, entry.timestamp),
        name=observations_job_name(key),
        family=Family.OBSERVATION,
        asset=key,
        step_key=entry.step_key,
        partition=partition,
        run_facets=asset_nominal_time(facts.assets.get(key), partition),
    )
    # A dataset each: users' functions may add to them.
    return [
        custom.with_additions(
            envelope.event(state, lineage=Lineage((attr.evolve(dataset),))), source, key
        )
        for state in (RunState.START, RunState.COMPLETE)
    ]
