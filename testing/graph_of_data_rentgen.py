"""What Data.Rentgen shows, as a lineage graph, and what it can show of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from data_rentgen_server import STATES, DataRentgen, Dataset, Job
from lineage_graph import END_STATES, Column, LineageGraph, Name


def graph_of_data_rentgen(client: DataRentgen, namespace: str) -> LineageGraph:
    """Ask for all jobs of a namespace, their runs and what they read and write.

    Args:
        client: of the REST API.
        namespace: of the jobs.

    Returns:
        The graph, without assertions: it takes none.
    """
    reads: set[tuple[Name, Name]] = set()
    writes: set[tuple[Name, Name]] = set()
    columns: set[tuple[Column, Column]] = set()
    runs: dict[Name, Counter[str]] = {}
    without_duration: set[tuple[Name, str]] = set()
    for job in client.jobs():
        if job.namespace != namespace:
            continue
        name = _name(job)
        lineage = client.lineage_of_job(job)
        datasets = {key: _name(each) for key, each in lineage.datasets.items()}
        reads |= {(datasets[source], name) for source, by in lineage.inputs if by == job.id}
        writes |= {(name, datasets[target]) for by, target in lineage.outputs if by == job.id}
        columns |= {
            ((datasets[edge.source_id], edge.source), (datasets[edge.target_id], edge.target))
            for edge in lineage.columns
            if edge.target is not None
        }
        runs[name] = Counter()
        for run in client.runs(job):
            state = STATES.get(run.status, run.status)
            runs[name][state] += 1
            if state in END_STATES and not (run.started_at and run.ended_at):
                without_duration.add((name, run.id))
    return LineageGraph(
        "Data.Rentgen",
        frozenset(reads),
        frozenset(writes),
        runs,
        frozenset(without_duration),
        frozenset(columns),
    )


def without_jobs(graph: LineageGraph, jobs: Collection[Name]) -> LineageGraph:
    """Leave jobs out of a graph, such as those whose runs a backend does not take.

    Args:
        graph: with or without them.
        jobs: which.

    Returns:
        The graph of all others.
    """
    return replace(
        graph,
        reads=frozenset(edge for edge in graph.reads or () if edge[1] not in jobs),
        writes=frozenset(edge for edge in graph.writes or () if edge[0] not in jobs),
        runs={job: states for job, states in (graph.runs or {}).items() if job not in jobs},
        without_duration=frozenset(
            run for run in graph.without_duration or () if run[0] not in jobs
        ),
    )


def _name(described: Job | Dataset) -> Name:
    return described.namespace, described.name
