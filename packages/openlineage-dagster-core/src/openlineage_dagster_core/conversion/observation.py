"""Events about a dataset that no run writes: observations, and wiped assets.

They are DatasetEvents, or runs that read the dataset for backends that take RunEvents only.
"""

from collections.abc import Callable
from functools import partial

from dagster import AssetKey
from openlineage.client.event_v2 import DatasetEvent, InputDataset, RunState, StaticDataset

from openlineage_dagster_core.conversion import custom, envelope, policy
from openlineage_dagster_core.conversion.dataset import observed_dataset, read_dataset
from openlineage_dagster_core.conversion.envelope import Draft, Event, Source
from openlineage_dagster_core.conversion.nominal_time import asset_nominal_time
from openlineage_dagster_core.facets.dataset_state import wiped_facet
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import asset_run_id
from openlineage_dagster_core.options import ObservationEvents
from openlineage_dagster_core.version import PRODUCER


def observed(source: Source) -> list[Draft]:
    """Return the drafts for ASSET_OBSERVATION."""
    observation = source.entry.get_dagster_event().asset_observation_data.asset_observation
    read = partial(observed_dataset, source, observation)
    return _drafts(source, observation.asset_key, observation.partition, read)


def wiped(source: Source) -> list[Draft]:
    """Return the drafts for ASSET_WIPED: Dagster deleted its records of an asset or partitions."""
    data = source.entry.get_dagster_event().asset_wiped_data

    def read() -> InputDataset:
        dataset = read_dataset(source, data.asset_key, partitions=data.partition_keys)
        dataset.facets = {**(dataset.facets or {}), "lifecycleStateChange": wiped_facet()}
        return dataset

    return _drafts(source, data.asset_key, None, read)


def _drafts(
    source: Source, key: AssetKey, partition: str | None, read: Callable[[], InputDataset]
) -> list[Draft]:
    """Return a DatasetEvent, or START and COMPLETE of a run that reads the dataset.

    Each event has a dataset of its own, because users' functions may add to it.
    """
    if not policy.allows_asset(source, key, Family.OBSERVATION):
        return []
    if source.identity.settings.observation_events is ObservationEvents.DATASET:
        return [partial(_dataset_event, source, key, read)]
    return [
        partial(_run_event, source, key, partition, read, state)
        for state in (RunState.START, RunState.COMPLETE)
    ]


def _dataset_event(source: Source, key: AssetKey, read: Callable[[], InputDataset]) -> Event:
    dataset = read()
    static = StaticDataset(namespace=dataset.namespace, name=dataset.name, facets=dataset.facets)
    at = envelope.event_time(source.entry.timestamp)
    event = DatasetEvent(eventTime=at, dataset=static, producer=PRODUCER)
    return custom.with_additions(event, source, key)


def _run_event(
    source: Source,
    key: AssetKey,
    partition: str | None,
    read: Callable[[], InputDataset],
    state: RunState,
) -> Event:
    entry, facts, identity = source.entry, source.facts, source.identity
    about = envelope.Envelope(
        source,
        run_id=asset_run_id(facts.run, key, partition, "observation", entry.timestamp),
        name=identity.observations_job_name(key, facts.assets.get(key)),
        family=Family.OBSERVATION,
        asset=key,
        step_key=entry.step_key,
        partition=partition,
        run_facets=asset_nominal_time(facts.assets.get(key), partition),
    )
    event = about.event(state, lineage=envelope.Lineage((read(),)))
    return custom.with_additions(event, source, key)
