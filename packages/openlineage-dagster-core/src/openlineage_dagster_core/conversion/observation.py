"""Observations: a DatasetEvent, or a run for backends that take nothing else."""

from __future__ import annotations

from dagster import AssetObservation, EventLogEntry
from openlineage.client.event_v2 import DatasetEvent, RunState, StaticDataset

from openlineage_dagster_core.conversion.dataset import input_dataset
from openlineage_dagster_core.conversion.envelope import Envelope, Event, Lineage, event_time
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, observations_job_name
from openlineage_dagster_core.settings import ObservationEvents
from openlineage_dagster_core.version import PRODUCER


def observed(
    entry: EventLogEntry, facts: Facts, identity: Identity, observation: AssetObservation
) -> list[Event]:
    """Convert ASSET_OBSERVATION.

    Args:
        entry: the event.
        facts: the run and the definitions.
        identity: gives names and ids, and says which form is asked for.
        observation: what the event holds.

    Returns:
        A DatasetEvent; or START and COMPLETE of a run that reads the dataset.
    """
    dataset = input_dataset(facts, identity, observation.asset_key, observed_by=observation)
    if identity.settings.observation_events is ObservationEvents.DATASET:
        return [
            DatasetEvent(
                eventTime=event_time(entry.timestamp),
                dataset=StaticDataset(
                    namespace=dataset.namespace, name=dataset.name, facets=dataset.facets
                ),
                producer=PRODUCER,
            )
        ]
    key, partition = observation.asset_key, observation.partition
    envelope = Envelope(
        run=facts.run,
        run_id=identity.observation_run_id(facts.run, key, partition, entry.timestamp),
        namespace=identity.job_namespace(facts.run),
        name=observations_job_name(key),
        family=Family.OBSERVATION,
        step_key=entry.step_key,
        partition=partition,
    )
    lineage = Lineage(inputs=(dataset,))
    return [
        envelope.event(state, entry.timestamp, lineage)
        for state in (RunState.START, RunState.COMPLETE)
    ]
