"""Lineage → what the page's script draws: a JSON object, whose form is known to `web/page.js`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from openlineage_dagster_core.cli.graph.layout import arrange
from openlineage_dagster_core.cli.graph.model import Dataset, Job, Lineage, Name, Run

CHARACTER_WIDTH, BESIDE_NAME, LEAST_WIDTH, MOST_WIDTH = 8, 48, 130, 230
"""Of a box, in pixels. A longer name is shortened in it."""

HEIGHT = 46
"""Of a box, in pixels: two lines fit in."""

WIDTH_WITHOUT_NAME = 36
"""Of the box of a job that is called as what it writes, as that of an asset is, in pixels."""

Edge = tuple[int, int]
Json = Mapping[str, Any]


def drawing(lineage: Lineage, source: str) -> Json:
    """Arrange lineage for the page, in each of the views that it has.

    Args:
        lineage: what is shown.
        source: where it comes from, for people.

    Returns:
        JSON's values. Nodes are named by their place in the list of all: datasets, then jobs.

    Raises:
        CommandError: igraph is not installed.
    """
    datasets, jobs = sorted(lineage.datasets), sorted(lineage.jobs)
    namespaces = sorted({namespace for namespace, _ in (*datasets, *jobs)})
    namespace_at = {name: number for number, name in enumerate(namespaces)}
    dataset_at = {name: number for number, name in enumerate(datasets)}
    job_at = {name: number for number, name in enumerate(jobs, len(datasets))}
    flow = [
        *((dataset_at[dataset], job_at[job]) for dataset, job in sorted(lineage.reads)),
        *((job_at[job], dataset_at[dataset]) for job, dataset in sorted(lineage.writes)),
    ]
    parents = [
        (job_at[parent], job_at[name])
        for name in jobs
        if (parent := lineage.jobs[name].parent) is not None and parent != name and parent in job_at
    ]
    width = _width([*datasets, *jobs])
    named_alike = {job for job, dataset in lineage.writes if job[1] == dataset[1]}
    widths = [width] * len(datasets) + [
        WIDTH_WITHOUT_NAME if name in named_alike else width for name in jobs
    ]
    beginnings = {job_at[job] for job, _ in lineage.writes} - {target for _, target in flow}
    with_datasets = {number for edge in flow for number in edge} | set(dataset_at.values())
    everything = range(len(datasets) + len(jobs))

    def view(nodes: Iterable[int], edges: Sequence[Edge], parents: Sequence[Edge] = ()) -> Json:
        return _view(sorted(nodes), edges, parents, widths, beginnings)

    views = {
        "datasets": view(dataset_at.values(), _between_datasets(lineage, dataset_at)),
        "jobs": view(with_datasets, flow),
    }
    if len(with_datasets) < len(everything):
        views["all"] = view(everything, flow, parents)
    return {
        "source": source,
        "width": width,
        "narrow_width": WIDTH_WITHOUT_NAME,
        "height": HEIGHT,
        "namespaces": namespaces,
        "nodes": [
            *(_dataset_node(name, lineage.datasets[name], namespace_at) for name in datasets),
            *(_job_node(name, lineage.jobs[name], namespace_at, job_at) for name in jobs),
        ],
        "narrow": [number for number, each in enumerate(widths) if each < width],
        "columns": [
            [dataset_at[source_dataset], source_column, dataset_at[dataset], column]
            for (source_dataset, source_column), (dataset, column) in sorted(lineage.columns)
        ],
        "flow": flow,
        "views": views,
    }


def _width(names: Sequence[Name]) -> int:
    longest = max((max(map(len, name)) for name in names), default=0)
    return max(LEAST_WIDTH, min(MOST_WIDTH, longest * CHARACTER_WIDTH + BESIDE_NAME))


def _view(
    nodes: Sequence[int],
    flow: Sequence[Edge],
    parents: Sequence[Edge],
    widths: Sequence[int],
    beginnings: Collection[int],
) -> Json:
    place = {number: index for index, number in enumerate(nodes)}
    # A job that reads nothing gets something to read, which nobody sees: so it is in a layer of
    # jobs, not of datasets, and layers of jobs that show no name are narrow.
    before = list(enumerate((place[each] for each in nodes if each in beginnings), len(nodes)))
    edges = list(dict.fromkeys([*flow, *parents]))
    arranged = arrange(
        [*(widths[number] for number in nodes), *(0 for _ in before)],
        HEIGHT,
        [*((place[source], place[target]) for source, target in edges), *before],
    )
    return {
        "nodes": [[number, *map(round, arranged.nodes[place[number]])] for number in nodes],
        "edges": [
            [*edge, [round(coordinate) for point in route for coordinate in point]]
            for edge, route in zip(edges, arranged.routes[: len(edges)], strict=True)
        ],
        "parents": len(edges) - len(flow),
    }


def _between_datasets(lineage: Lineage, dataset_at: Mapping[Name, int]) -> list[Edge]:
    inputs: dict[Name, list[int]] = {}
    for dataset, job in lineage.reads:
        inputs.setdefault(job, []).append(dataset_at[dataset])
    pairs = {
        (source, dataset_at[dataset])
        for job, dataset in lineage.writes
        for source in inputs.get(job, ())
    }
    return sorted(pairs)


def _dataset_node(name: Name, dataset: Dataset, namespace_at: Mapping[str, int]) -> Json:
    return {
        **_named(name, namespace_at),
        "kind": dataset.kind,
        "about": dataset.description,
        "columns": [[each.name, each.type, each.description] for each in dataset.columns],
    }


def _job_node(
    name: Name, job: Job, namespace_at: Mapping[str, int], job_at: Mapping[Name, int]
) -> Json:
    return {
        **_named(name, namespace_at),
        "kind": job.kind,
        "about": job.description,
        "run": _run(job.run) if job.run else None,
        "parent": job_at.get(job.parent) if job.parent else None,
    }


def _named(name: Name, namespace_at: Mapping[str, int]) -> Json:
    return {"namespace": namespace_at[name[0]], "name": name[1]}


def _run(run: Run) -> Json:
    return {
        "id": run.id,
        "state": run.state.value,
        "at": run.at.isoformat() if run.at else None,
    }
