"""What a Marquez shows of some namespaces, as a lineage graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lineage_graph import Column, LineageGraph, Name
from marquez import Marquez, dataset_node

STATES = {"COMPLETED": "COMPLETE", "FAILED": "FAIL", "ABORTED": "ABORT"}
"""Marquez's names of how a run ends."""


def graph_of_marquez(marquez: Marquez, namespaces: Iterable[str]) -> LineageGraph:
    """Ask for everything that is in namespaces.

    Args:
        marquez: where.
        namespaces: of jobs and datasets.

    Returns:
        The graph, every aspect. Edges are those of the pages of all datasets together, so that what
        any of them shows too much is found.
    """
    reads: set[tuple[Name, Name]] = set()
    writes: set[tuple[Name, Name]] = set()
    runs: dict[Name, Counter[str]] = {}
    without_duration: set[tuple[Name, str]] = set()
    columns: set[tuple[Column, Column]] = set()
    assertions: dict[Name, dict[str, bool]] = {}
    for namespace in namespaces:
        for job in marquez.jobs(namespace):
            of_job = marquez.runs(namespace, job)
            runs[namespace, job] = Counter(STATES.get(run.state, "RUNNING") for run in of_job)
            without_duration.update(
                ((namespace, job), run.id)
                for run in of_job
                if run.state in STATES and run.duration_ms is None
            )
        for name, dataset in marquez.datasets(namespace).items():
            lineage = marquez.lineage(dataset_node(namespace, name))
            reads |= lineage.reads
            writes |= lineage.writes
            # Of a dataset without columns Marquez says that it does not know it.
            if dataset.fields:
                columns |= marquez.column_lineage(namespace, name)
            if dataset.assertions:
                assertions[namespace, name] = {
                    each["assertion"]: each["success"] for each in dataset.assertions
                }
    return LineageGraph(
        "Marquez",
        frozenset(reads),
        frozenset(writes),
        runs,
        frozenset(without_duration),
        frozenset(columns),
        assertions,
    )
