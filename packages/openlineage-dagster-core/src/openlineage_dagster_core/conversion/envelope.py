"""What every event has: its time, a run with the facets of all runs, a job with its type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

import attr
from dagster import AssetKey, EventLogEntry
from openlineage.client import event_v2
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.generated.base import JobFacet, RunFacet

from openlineage_dagster_core.caches import PerObject
from openlineage_dagster_core.facets import run as facets_of_run
from openlineage_dagster_core.facets.description import run_tags_facet
from openlineage_dagster_core.facets.run import DagsterRunFacet
from openlineage_dagster_core.facts.model import ErrorFacts, Facts, RunFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.names import limited
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER

Event = RunEvent | event_v2.DatasetEvent  # What conversion makes

Draft = Callable[[], Event]  # Builds one event; one that was delivered before need not be built

END_STATES = frozenset({RunState.COMPLETE, RunState.FAIL, RunState.ABORT})
DAGSTER_RUN_FACETS_KEPT = 256  # Cached facets of one run: those of the steps under way

_DagsterRunKey = tuple[str | None, int | None, str | None, str | None, str | None]


@dataclass(frozen=True)
class Source:
    """What an event is made from; `facts` are those before the event."""

    entry: EventLogEntry
    facts: Facts
    identity: Identity


@dataclass(frozen=True)
class Lineage:
    """What a run reads and writes; all events of one run carry the same."""

    inputs: tuple[InputDataset, ...] = ()
    outputs: tuple[OutputDataset, ...] = ()


@dataclass(frozen=True)
class Envelope:
    """A job's run, ready to be put into events; facets are those beyond the standing ones."""

    source: Source
    run_id: str
    name: str
    family: Family
    asset: AssetKey | None = None
    step_key: str | None = None  # The full step key
    partition: str | None = None
    run_facets: Mapping[str, RunFacet] = field(default_factory=dict)
    job_facets: Mapping[str, JobFacet] = field(default_factory=dict)

    def event(
        self,
        state: RunState,
        timestamp: float | None = None,
        lineage: Lineage = Lineage(),
        error: ErrorFacts | None = None,
    ) -> RunEvent:
        """Make an event of this run, by default at the time of the Dagster event."""
        facts, identity = self.source.facts, self.source.identity
        engine = facets_of_run.processing_engine_facet()
        run_facets: dict[str, RunFacet] = {"processing_engine": engine}
        if facts.run.run_id:
            run_facets["dagster_run"] = self._dagster_run_facet()
            tags = _run_tags(facts.run)
            if tags is not None:
                run_facets["tags"] = tags
        run_facets.update(self.run_facets)
        if error is not None:
            run_facets["errorMessage"] = facets_of_run.error_facet(error)
        job_type = facets_of_run.job_type_facet(self.family)
        when = self.source.entry.timestamp if timestamp is None else timestamp
        job_facets = {"jobType": job_type, **self.job_facets}
        return made_event(
            state,
            event_time(when),
            made_run(self.run_id, run_facets),
            Job(identity.job_namespace(facts.run), self.name, job_facets),
            list(lineage.inputs),
            list(lineage.outputs),
        )

    def _dagster_run_facet(self) -> DagsterRunFacet:
        facts, url = self.source.facts, self.source.identity.settings.dagster_url
        run, step_key = facts.run, self.step_key
        asset = facts.assets.get(self.asset) if self.asset is not None else None
        attempt = facts.progress.retries.get(step_key, 0) + 1 if step_key else None
        code_version = asset.code_version if asset is not None else None
        # START and COMPLETE mostly share one, and so do a step and its assets.
        key = (step_key, attempt, self.partition, code_version, url)
        known = _dagster_run_facets(run)
        if key not in known:
            if len(known) >= DAGSTER_RUN_FACETS_KEPT:
                known.clear()
            facet = DagsterRunFacet(
                runId=run.run_id,
                jobName=run.job_name,
                stepKey=_name(step_key),
                attempt=attempt,
                partition=_name(self.partition),
                codeLocation=run.code_location,
                repository=run.repository,
                codeVersion=_name(code_version),
                parentRunId=run.parent_run_id,
                rootRunId=run.root_run_id,
                launch=facets_of_run.launch_in_tags(run.tags),
                url=f"{url}/runs/{run.run_id}" if url else None,
                producer=PRODUCER,
            )
            known[key] = shared(facet)
        return known[key]


_dagster_run_facets = PerObject[RunFacts, dict[_DagsterRunKey, DagsterRunFacet]](lambda _: {})


def _name(text: str | None) -> str | None:
    return limited(text, facets_of_run.NAME_BYTES) if text is not None else None


_run_tags = PerObject[RunFacts, RunFacet | None](lambda run: shared(run_tags_facet(run.tags)))

_EVENT = RunEvent(
    eventTime="1970-01-01T00:00:00Z",
    run=Run("00000000-0000-0000-0000-000000000000"),
    job=Job("-", "-"),
    producer=PRODUCER,
)
_EVENT_FIELDS = {field.name: getattr(_EVENT, field.name) for field in attr.fields(RunEvent)}
_RUN_FIELDS = {field.name: getattr(_EVENT.run, field.name) for field in attr.fields(Run)}
_put = object.__setattr__


def made_event(
    state: RunState,
    time: str,
    run: Run,
    job: Job,
    inputs: list[InputDataset],
    outputs: list[OutputDataset],
) -> RunEvent:
    """Make an event without the client's validators, which take longer than all the rest.

    They parse the time, the producer and the schema's address anew for each event, but `event_time`
    wrote the first, and the others are constants.
    """
    event = RunEvent.__new__(RunEvent)
    fields = {"eventType": state, "eventTime": time, "run": run, "job": job}
    for name, value in {**_EVENT_FIELDS, **fields, "inputs": inputs, "outputs": outputs}.items():
        _put(event, name, value)
    return event


def made_run(run_id: str, facets: dict[str, RunFacet]) -> Run:
    """Make the run of an event, like `made_event`; `Identity` gives the id, a UUID."""
    run = Run.__new__(Run)
    for name, value in {**_RUN_FIELDS, "runId": run_id, "facets": facets}.items():
        _put(run, name, value)
    return run


def event_time(timestamp: float) -> str:
    """Return a time in seconds since the epoch as ISO 8601 in UTC, with microseconds."""
    return datetime.fromtimestamp(timestamp, timezone.utc).isoformat(timespec="microseconds")
