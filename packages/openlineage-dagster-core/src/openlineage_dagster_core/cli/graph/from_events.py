"""Combines OpenLineage events into lineage."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone

from openlineage_dagster_core.cli.foreign_json import Json, mapping, mappings, moment, name_of, text
from openlineage_dagster_core.cli.graph import model
from openlineage_dagster_core.cli.graph.model import ColumnName, Dataset, Job, Lineage, Name, State

# The state that an `eventType` sets; others, such as `OTHER`, set none
STATES = {"START": State.RUNNING, **{state.value: state for state in State}}
LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)  # The time of an event without a time


@dataclass
class _Run:
    id: str
    began: datetime
    state: State | None = None
    at: datetime = LONG_AGO
    inputs: set[Name] = field(default_factory=set)
    outputs: set[Name] = field(default_factory=set)

    @property
    def recency(self) -> tuple[datetime, datetime]:
        return self.began, self.at


@dataclass
class _Facets:
    """The newest facet of each name."""

    times: dict[str, datetime] = field(default_factory=dict)
    contents: dict[str, Json] = field(default_factory=dict)

    def add(self, facets: Json, time: datetime) -> None:
        for name in facets:
            if time >= self.times.get(name, LONG_AGO):
                self.times[name], self.contents[name] = time, mapping(facets, name)


class Gathering:
    """Combines events, in whatever order they come."""

    def __init__(self) -> None:
        self._runs: defaultdict[Name, dict[str, _Run]] = defaultdict(dict)
        self._datasets: defaultdict[Name, _Facets] = defaultdict(_Facets)
        self._jobs: defaultdict[Name, _Facets] = defaultdict(_Facets)
        self._parents: dict[Name, tuple[datetime, Name]] = {}

    def add(self, event: object) -> bool:
        """Add a RunEvent, JobEvent or DatasetEvent; return False for anything else."""
        content = mapping(event)
        time = moment(content.get("eventTime")) or LONG_AGO
        dataset = name_of(mapping(content, "dataset"))
        job = name_of(mapping(content, "job"))
        if job is not None:
            self._add_job(job, content, time)
        elif dataset is not None:
            self._datasets[dataset].add(mapping(content, "dataset", "facets"), time)
        return job is not None or dataset is not None

    def _add_job(self, job: Name, event: Json, time: datetime) -> None:
        self._jobs[job].add(mapping(event, "job", "facets"), time)
        # A JobEvent has no run: its datasets count until a later run names datasets.
        run_id = text(mapping(event, "run"), "runId")
        run = self._runs[job].setdefault(run_id, _Run(run_id, time))
        run.began = min(run.began, time)
        state = STATES.get(text(event, "eventType").upper())
        # Of two events at the same time, the end is the later one.
        if state and (time, state != State.RUNNING) >= (run.at, run.state != State.RUNNING):
            run.state, run.at = state, time
        run.inputs.update(self._add_datasets(event.get("inputs"), time))
        run.outputs.update(self._add_datasets(event.get("outputs"), time))
        parent = name_of(mapping(event, "run", "facets", "parent", "job"))
        if parent is not None and time >= self._parents.get(job, (LONG_AGO, parent))[0]:
            self._parents[job] = time, parent

    def _add_datasets(self, described: object, time: datetime) -> Iterator[Name]:
        for dataset in mappings(described):
            name = name_of(dataset)
            if name is not None:
                self._datasets[name].add(mapping(dataset, "facets"), time)
                yield name

    def lineage(self) -> Lineage:
        """Return the lineage: each job with the state of its latest run.

        Its datasets are those of the latest run that has some.
        """
        reads: set[tuple[Name, Name]] = set()
        writes: set[tuple[Name, Name]] = set()
        for job, runs in self._runs.items():
            with_datasets = [run for run in runs.values() if run.inputs or run.outputs]
            if with_datasets:
                latest = max(with_datasets, key=lambda run: run.recency)
                reads.update((dataset, job) for dataset in latest.inputs)
                writes.update((job, dataset) for dataset in latest.outputs)
        described = {name: facets.contents for name, facets in self._datasets.items()}
        columns = frozenset(pair for each in described.items() for pair in _column_pairs(*each))
        datasets = {name: _dataset(facets) for name, facets in described.items()}
        jobs = {name: self._job(name, facets.contents) for name, facets in self._jobs.items()}
        return Lineage(datasets, jobs, frozenset(reads), frozenset(writes), columns).with_all_ends()

    def _job(self, name: Name, facets: Json) -> Job:
        runs = sorted(self._runs[name].values(), key=lambda run: run.recency, reverse=True)
        found = (
            model.Run(run.id, run.state, run.at if run.at > LONG_AGO else None)
            for run in runs
            if run.id and run.state
        )
        parent = self._parents.get(name)
        return Job(
            text(mapping(facets, "jobType"), "jobType"),
            text(mapping(facets, "documentation"), "description"),
            parent[1] if parent else None,
            next(found, None),
        )


def _dataset(facets: Json) -> Dataset:
    return Dataset(
        text(mapping(facets, "datasetType"), "datasetType"),
        text(mapping(facets, "documentation"), "description"),
        tuple(model.columns_of(mapping(facets, "schema").get("fields"))),
    )


def _column_pairs(dataset: Name, facets: Json) -> Iterator[tuple[ColumnName, ColumnName]]:
    made = mapping(facets, "columnLineage", "fields")
    for column in made:
        for source in mappings(mapping(made, column).get("inputFields")):
            name, source_column = name_of(source), text(source, "field")
            if name is not None and source_column:
                yield (name, source_column), (dataset, column)
