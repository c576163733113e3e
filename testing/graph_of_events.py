"""What OpenLineage events say, as a lineage graph: those of a file, a receiver or a topic."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from lineage_graph import END_STATES, Column, LineageGraph, Name

Json = dict[str, Any]


def graph_of_events(system: str, events: Iterable[Json]) -> LineageGraph:
    """Gather what events say; one that comes again changes nothing.

    Args:
        system: where they come from.
        events: RunEvents, and DatasetEvents, which say nothing of a graph; in the order of
            arrival.

    Returns:
        The graph, every aspect.
    """
    reads: set[tuple[Name, Name]] = set()
    writes: set[tuple[Name, Name]] = set()
    columns: set[tuple[Column, Column]] = set()
    assertions: dict[Name, dict[str, bool]] = {}
    types: defaultdict[tuple[Name, str], list[str]] = defaultdict(list)
    for event in events:
        if "run" not in event:
            continue
        job = _name(event["job"])
        types[job, event["run"]["runId"]].append(event["eventType"])
        for dataset in event["inputs"]:
            reads.add((_name(dataset), job))
            made = (dataset.get("inputFacets") or {}).get("dataQualityAssertions")
            if made:
                assertions[_name(dataset)] = {
                    each["assertion"]: each["success"] for each in made["assertions"]
                }
        for dataset in event["outputs"]:
            writes.add((job, _name(dataset)))
            columns |= _columns(dataset)
    runs: defaultdict[Name, Counter[str]] = defaultdict(Counter)
    for (job, _), of_run in types.items():
        runs[job][next((each for each in of_run if each in END_STATES), "RUNNING")] += 1
    return LineageGraph(
        system,
        frozenset(reads),
        frozenset(writes),
        dict(runs),
        frozenset(run for run, of_run in types.items() if "START" not in of_run),
        frozenset(columns),
        assertions,
    )


def _columns(dataset: Json) -> set[tuple[Column, Column]]:
    facet = (dataset.get("facets") or {}).get("columnLineage") or {"fields": {}}
    return {
        ((_name(source), source["field"]), (_name(dataset), column))
        for column, made_of in facet["fields"].items()
        for source in made_of["inputFields"]
    }


def _name(described: Json) -> Name:
    return described["namespace"], described["name"]
