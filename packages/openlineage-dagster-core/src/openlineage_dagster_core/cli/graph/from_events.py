"""OpenLineage events → lineage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from openlineage_dagster_core.cli.graph.json_values import (
    columns_of,
    mapping,
    mappings,
    moment,
    name_of,
    text,
)
from openlineage_dagster_core.cli.graph.model import (
    ColumnName,
    Dataset,
    Job,
    Lineage,
    Name,
    Run,
    State,
    with_all_ends,
)

Event = Mapping[str, Any]

STATES = {
    "START": State.RUNNING,
    "RUNNING": State.RUNNING,
    "COMPLETE": State.COMPLETE,
    "FAIL": State.FAIL,
    "ABORT": State.ABORT,
}
"""What an `eventType` says; others, such as `OTHER`, say nothing."""

LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
"""When something without a time happened."""


@dataclass
class _Run:
    began: datetime
    state: State | None = None
    at: datetime = LONG_AGO
    inputs: set[Name] = field(default_factory=set)
    outputs: set[Name] = field(default_factory=set)


@dataclass
class _Facets:
    """The newest of each name."""

    times: dict[str, datetime] = field(default_factory=dict)
    contents: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, facets: Mapping[str, Any], time: datetime) -> None:
        for name in facets:
            if time >= self.times.get(name, LONG_AGO):
                self.times[name], self.contents[name] = time, mapping(facets, name)


class Gathering:
    """Puts together what events say, in whatever order they come."""

    def __init__(self) -> None:
        self._runs: defaultdict[Name, dict[str, _Run]] = defaultdict(dict)
        self._datasets: defaultdict[Name, _Facets] = defaultdict(_Facets)
        self._jobs: defaultdict[Name, _Facets] = defaultdict(_Facets)
        self._parents: dict[Name, tuple[datetime, Name]] = {}

    def add(self, event: object) -> bool:
        """Take an event.

        Args:
            event: what was read.

        Returns:
            Whether it is one of OpenLineage: a RunEvent, a JobEvent or a DatasetEvent.
        """
        said = mapping(event)
        time = moment(said.get("eventTime")) or LONG_AGO
        dataset = name_of(mapping(said, "dataset"))
        job = name_of(mapping(said, "job"))
        if job is not None:
            self._add_job(job, said, time)
        elif dataset is not None:
            self._datasets[dataset].add(mapping(said, "dataset", "facets"), time)
        return job is not None or dataset is not None

    def _add_job(self, job: Name, event: Event, time: datetime) -> None:
        self._jobs[job].add(mapping(event, "job", "facets"), time)
        # A JobEvent is of no run: what it says of datasets holds until a run says more.
        run_id = text(mapping(event, "run"), "runId")
        run = self._runs[job].setdefault(run_id, _Run(time))
        run.began = min(run.began, time)
        state = STATES.get(text(event, "eventType").upper())
        # Of two at the same time, the end is the later one.
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
        """Put it together.

        Returns:
            The lineage. What a job reads and writes is what its latest run that names datasets
            says; its state is that of its latest run.
        """
        reads: set[tuple[Name, Name]] = set()
        writes: set[tuple[Name, Name]] = set()
        for job, runs in self._runs.items():
            naming = [run for run in runs.values() if run.inputs or run.outputs]
            if naming:
                latest = max(naming, key=_recency)
                reads.update((dataset, job) for dataset in latest.inputs)
                writes.update((job, dataset) for dataset in latest.outputs)
        return with_all_ends(
            Lineage(
                {name: _dataset(facets.contents) for name, facets in self._datasets.items()},
                {name: self._job(name, facets.contents) for name, facets in self._jobs.items()},
                frozenset(reads),
                frozenset(writes),
                frozenset(
                    pair
                    for name, facets in self._datasets.items()
                    for pair in _column_pairs(name, facets.contents)
                ),
            )
        )

    def _job(self, name: Name, facets: Mapping[str, Mapping[str, Any]]) -> Job:
        states = [
            (run, Run(run_id, run.state, run.at if run.at > LONG_AGO else None))
            for run_id, run in self._runs[name].items()
            if run.state is not None and run_id
        ]
        latest = max(states, key=lambda each: _recency(each[0]))[1] if states else None
        parent = self._parents.get(name)
        return Job(
            text(mapping(facets, "jobType"), "jobType"),
            text(mapping(facets, "documentation"), "description"),
            parent[1] if parent else None,
            latest,
        )


def lineage_of_events(events: Iterable[object]) -> Lineage:
    """Put together what events say.

    Args:
        events: in any order.

    Returns:
        The lineage.
    """
    gathering = Gathering()
    for event in events:
        gathering.add(event)
    return gathering.lineage()


def _recency(run: _Run) -> tuple[datetime, datetime]:
    return run.began, run.at


def _dataset(facets: Mapping[str, Mapping[str, Any]]) -> Dataset:
    return Dataset(
        text(mapping(facets, "datasetType"), "datasetType"),
        text(mapping(facets, "documentation"), "description"),
        tuple(columns_of(mapping(facets, "schema").get("fields"))),
    )


def _column_pairs(
    dataset: Name, facets: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[ColumnName, ColumnName]]:
    made = mapping(facets, "columnLineage", "fields")
    for column in made:
        for source in mappings(mapping(made, column).get("inputFields")):
            name, source_column = name_of(source), text(source, "field")
            if name is not None and source_column:
                yield (name, source_column), (dataset, column)
