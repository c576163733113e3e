"""Turns lineage into the JSON that `web/page.js` draws."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from openlineage_dagster_core.cli.foreign_json import Json
from openlineage_dagster_core.cli.graph.layout import arrange
from openlineage_dagster_core.cli.graph.model import Dataset, Job, Lineage, Name

# Pixels that set the width of a box by its name; a longer name is shortened
CHARACTER_WIDTH, BESIDE_NAME, LEAST_WIDTH, MOST_WIDTH = 8, 48, 130, 230
HEIGHT = 46  # Pixels of a box, for two lines
WIDTH_WITHOUT_NAME = 36  # Pixels of the box of a job with the name of a dataset that it writes
Edge = tuple[int, int]


def drawing(lineage: Lineage, source: str) -> Json:
    """Arrange lineage in each view of the page; `source` tells people where it comes from.

    Nodes have numbers: their places in the list of all datasets, then all jobs.
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
    longest = max((len(text) for name in (*datasets, *jobs) for text in name), default=0)
    width = max(LEAST_WIDTH, min(MOST_WIDTH, longest * CHARACTER_WIDTH + BESIDE_NAME))
    named_alike = {job for job, dataset in lineage.writes if job[1] == dataset[1]}
    widths = [width] * len(datasets)
    widths += [WIDTH_WITHOUT_NAME if name in named_alike else width for name in jobs]
    beginnings = {job_at[job] for job, _ in lineage.writes} - {target for _, target in flow}
    with_datasets = {number for edge in flow for number in edge} | set(dataset_at.values())
    everything = range(len(datasets) + len(jobs))
    view = partial(_view, widths=widths, beginnings=beginnings)
    between = _between_datasets(lineage, dataset_at)
    views = {"datasets": view(dataset_at.values(), between), "jobs": view(with_datasets, flow)}
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


def _view(
    shown: Iterable[int],
    flow: Sequence[Edge],
    parents: Sequence[Edge] = (),
    *,
    widths: Sequence[int],
    beginnings: Collection[int],
) -> Json:
    nodes = sorted(shown)
    place = {number: index for index, number in enumerate(nodes)}
    # A job that reads nothing gets an invisible input, which keeps it in a layer of jobs: a layer
    # of jobs without names is narrow.
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
    written = ((inputs.get(job, ()), dataset_at[dataset]) for job, dataset in lineage.writes)
    return sorted({(source, target) for sources, target in written for source in sources})


def _dataset_node(name: Name, dataset: Dataset, namespace_at: Mapping[str, int]) -> Json:
    return {
        "namespace": namespace_at[name[0]],
        "name": name[1],
        "kind": dataset.kind,
        "about": dataset.description,
        "columns": [[each.name, each.type, each.description] for each in dataset.columns],
    }


def _job_node(
    name: Name, job: Job, namespace_at: Mapping[str, int], job_at: Mapping[Name, int]
) -> Json:
    run = job.run
    at = run.at.isoformat() if run is not None and run.at else None
    return {
        "namespace": namespace_at[name[0]],
        "name": name[1],
        "kind": job.kind,
        "about": job.description,
        "run": run and {"id": run.id, "state": run.state.value, "at": at},
        "parent": job_at.get(job.parent) if job.parent else None,
    }
