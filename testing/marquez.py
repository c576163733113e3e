"""A real Marquez for tests: the one that `MARQUEZ_URL` names, or one that docker starts here."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

import docker_compose

COMPOSE = Path(__file__).resolve().parents[1] / "tests-integration" / "compose.yaml"
SECONDS = 60.0
"""How long one answer may take."""
PAGE = 100
"""How many things Marquez is asked for at once."""

NO_MARQUEZ = (
    "there is no Marquez: set MARQUEZ_URL to one (http://HOST:PORT), or install docker with its "
    "compose plug-in, which then starts tests-integration/compose.yaml"
)

Json = dict[str, Any]
Name = tuple[str, str]
"""Namespace and name of a job or a dataset."""
Column = tuple[Name, str]
"""A dataset and its column."""


@dataclass(frozen=True)
class Run:
    """A run, as Marquez shows it.

    Args:
        id: OpenLineage's run id.
        state: NEW, RUNNING, COMPLETED, FAILED or ABORTED; it gives the job its colour.
        started_at: when; None without a START.
        ended_at: when; None without an end.
        duration_ms: between both, in milliseconds; None where one of them is missing.
        facets: by name.
        job_version: the version of the job that it was a run of; None before the run's end.
        inputs: the versions of the datasets that it read.
        outputs: the versions of those that it wrote.
    """

    id: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    facets: Json
    job_version: str | None
    inputs: frozenset[tuple[Name, str]]
    outputs: frozenset[tuple[Name, str]]

    @classmethod
    def from_json(cls, run: Json) -> Run:
        """Read what Marquez says.

        Args:
            run: its JSON.

        Returns:
            The run.
        """
        return cls(
            run["id"],
            run["state"],
            _time(run["startedAt"]),
            _time(run["endedAt"]),
            run["durationMs"],
            run.get("facets") or {},
            (run.get("jobVersion") or {}).get("version"),
            _versions(run.get("inputDatasetVersions")),
            _versions(run.get("outputDatasetVersions")),
        )


@dataclass(frozen=True)
class Job:
    """A job, as Marquez shows it.

    Args:
        name: namespace and name.
        parent: the name of the job that it is shown under; None of most.
        description: its documentation.
        location: of its source code.
        inputs: the datasets that its current version reads.
        outputs: the datasets that its current version writes.
        latest_run: the last one; None where it had none.
        facets: by name.
    """

    name: Name
    parent: str | None
    description: str | None
    location: str | None
    inputs: frozenset[Name]
    outputs: frozenset[Name]
    latest_run: Run | None
    facets: Json

    @classmethod
    def from_json(cls, job: Json) -> Job:
        """Read what Marquez says.

        Args:
            job: its JSON.

        Returns:
            The job.
        """
        return cls(
            _name(job),
            job["parentJobName"],
            job["description"],
            job["location"],
            frozenset(map(_name, job["inputs"])),
            frozenset(map(_name, job["outputs"])),
            Run.from_json(job["latestRun"]) if job["latestRun"] else None,
            job.get("facets") or {},
        )


@dataclass(frozen=True)
class Dataset:
    """A dataset, as Marquez shows it.

    Args:
        name: namespace and name.
        description: its documentation.
        columns: names of its columns, as often as Marquez shows each.
        fields: by column, the type.
        tags: Marquez's own, which are not OpenLineage's.
        facets: by name.
        version: the current one; None where no run has written it.
    """

    name: Name
    description: str | None
    columns: tuple[str, ...]
    fields: Mapping[str, str]
    tags: frozenset[str]
    facets: Json
    version: str | None

    @property
    def assertions(self) -> list[Json]:
        """What the last checks said: each with `assertion` and `success`."""
        facet = self.facets.get("dataQualityAssertions")
        return list(facet["assertions"]) if facet else []

    @classmethod
    def from_json(cls, dataset: Json) -> Dataset:
        """Read what Marquez says.

        Args:
            dataset: its JSON.

        Returns:
            The dataset.
        """
        return cls(
            _name(dataset),
            dataset["description"],
            tuple(sorted(field["name"] for field in dataset["fields"])),
            {field["name"]: field["type"] for field in dataset["fields"]},
            frozenset(dataset["tags"]),
            dataset.get("facets") or {},
            dataset["currentVersion"],
        )


@dataclass(frozen=True)
class DatasetVersion:
    """A version of a dataset, as Marquez shows it.

    Args:
        id: of the version.
        run: the id of the run that wrote it; None where Marquez knows no such run.
        schema: names and types of the columns.
    """

    id: str
    run: str | None
    schema: tuple[tuple[str, str], ...]

    @classmethod
    def from_json(cls, version: Json) -> DatasetVersion:
        """Read what Marquez says.

        Args:
            version: its JSON.

        Returns:
            The version.
        """
        return cls(
            version["version"],
            (version["createdByRun"] or {}).get("id"),
            tuple((field["name"], field["type"]) for field in version["fields"]),
        )


@dataclass(frozen=True)
class Lineage:
    """A graph, as Marquez draws it.

    Args:
        states: by job, the state of its latest run, which is its colour; None where it had none.
        datasets: the nodes that are none of jobs.
        reads: the edges from dataset to job.
        writes: the edges from job to dataset.
    """

    states: Mapping[Name, str | None]
    datasets: frozenset[Name]
    reads: frozenset[tuple[Name, Name]]
    writes: frozenset[tuple[Name, Name]]

    @classmethod
    def from_json(cls, graph: list[Json]) -> Lineage:
        """Read what Marquez says.

        Args:
            graph: the nodes, each with its edges.

        Returns:
            The graph.
        """
        named = {node["id"]: _name(node["data"]) for node in graph}
        jobs = {node["id"]: node["data"] for node in graph if node["type"] == "JOB"}
        edges = {
            (edge["origin"], edge["destination"])
            for node in graph
            for edge in (*node["inEdges"], *node["outEdges"])
        }
        return cls(
            {named[each]: (job["latestRun"] or {}).get("state") for each, job in jobs.items()},
            frozenset(named[each] for each in named.keys() - jobs.keys()),
            frozenset((named[one], named[other]) for one, other in edges if other in jobs),
            frozenset((named[one], named[other]) for one, other in edges if one in jobs),
        )


class Marquez:
    """Asks a Marquez over its REST API.

    Every method raises `requests.HTTPError` where Marquez refuses, also for what it does not know.

    Args:
        url: where it is, such as `http://127.0.0.1:5000`; it takes events there.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()

    def namespaces(self) -> list[str]:
        """List the namespaces.

        Returns:
            Their names, without those that were deleted.
        """
        return [each["name"] for each in self._all("namespaces") if not each["isHidden"]]

    def delete_namespace(self, namespace: str) -> None:
        """Hide a namespace, and all jobs and datasets in it.

        Args:
            namespace: its name.
        """
        self._request("DELETE", f"namespaces/{_quoted(namespace)}")

    def jobs(self, namespace: str) -> dict[str, Job]:
        """List the jobs of a namespace.

        Args:
            namespace: its name.

        Returns:
            By name, the jobs.
        """
        jobs = self._all("jobs", f"namespaces/{_quoted(namespace)}/jobs")
        return {job["name"]: Job.from_json(job) for job in jobs}

    def runs(self, namespace: str, job: str) -> list[Run]:
        """List the runs of a job.

        Args:
            namespace: of the job.
            job: its name.

        Returns:
            The newest first.
        """
        path = f"namespaces/{_quoted(namespace)}/jobs/{_quoted(job)}/runs"
        return [Run.from_json(run) for run in self._all("runs", path)]

    def job_versions(self, namespace: str, job: str) -> list[str]:
        """List the versions of a job: a new one where its sides have changed.

        Args:
            namespace: of the job.
            job: its name.

        Returns:
            The newest first.
        """
        path = f"namespaces/{_quoted(namespace)}/jobs/{_quoted(job)}/versions"
        return [version["version"] for version in self._all("versions", path)]

    def datasets(self, namespace: str) -> dict[str, Dataset]:
        """List the datasets of a namespace.

        Args:
            namespace: its name.

        Returns:
            By name, the datasets.
        """
        # Marquez's list has the facets of ten of them only.
        datasets = self._all("datasets", f"namespaces/{_quoted(namespace)}/datasets")
        return {each["name"]: self.dataset(namespace, each["name"]) for each in datasets}

    def dataset(self, namespace: str, name: str) -> Dataset:
        """Show a dataset.

        Args:
            namespace: of the dataset.
            name: its name.

        Returns:
            The dataset.
        """
        path = f"namespaces/{_quoted(namespace)}/datasets/{_quoted(name)}"
        return Dataset.from_json(self._get(path))

    def dataset_versions(self, namespace: str, name: str) -> list[DatasetVersion]:
        """List the versions of a dataset.

        Args:
            namespace: of the dataset.
            name: its name.

        Returns:
            The newest first.
        """
        path = f"namespaces/{_quoted(namespace)}/datasets/{_quoted(name)}/versions"
        return [DatasetVersion.from_json(version) for version in self._all("versions", path)]

    def sources(self) -> set[str]:
        """List where datasets are; Marquez refuses while any dataset of it has no source.

        Returns:
            The names of the sources.
        """
        return {source["name"] for source in self._all("sources")}

    def lineage(self, node_id: str, depth: int = 20) -> Lineage:
        """Show the graph around a job or a dataset.

        Args:
            node_id: what `job_node` and `dataset_node` give.
            depth: how many jobs away the graph goes on.

        Returns:
            What hangs together with it.
        """
        return Lineage.from_json(self._get("lineage", nodeId=node_id, depth=depth)["graph"])

    def column_lineage(
        self, namespace: str, name: str, depth: int = 20
    ) -> frozenset[tuple[Column, Column]]:
        """Show where the columns of a dataset come from.

        Args:
            namespace: of the dataset.
            name: its name.
            depth: how many datasets away the graph goes on.

        Returns:
            The edges, from column to column.
        """
        node_id = dataset_node(namespace, name)
        graph = self._get("column-lineage", nodeId=node_id, depth=depth)["graph"]
        return frozenset(
            (_column(source), _column(node["data"]))
            for node in graph
            for source in node["data"]["inputFields"]
        )

    def _all(self, key: str, path: str | None = None) -> Iterator[Json]:
        offset, count = 0, PAGE
        while count == PAGE:
            page = self._get(path or key, limit=PAGE, offset=offset)[key]
            yield from page
            count = len(page)
            offset += count

    def _get(self, path: str, **query: str | int) -> Json:
        answer: Json = self._request("GET", path, **query).json()
        return answer

    def _request(self, method: str, path: str, **query: str | int) -> requests.Response:
        answer = self._session.request(
            method, f"{self.url}/api/v1/{path}", params=query, timeout=SECONDS
        )
        answer.raise_for_status()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def job_node(namespace: str, name: str) -> str:
    """Name a job in a graph.

    Args:
        namespace: of the job.
        name: its name.

    Returns:
        The id of its node.
    """
    return f"job:{namespace}:{name}"


def dataset_node(namespace: str, name: str) -> str:
    """Name a dataset in a graph.

    Args:
        namespace: of the dataset.
        name: its name.

    Returns:
        The id of its node.
    """
    return f"dataset:{namespace}:{name}"


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _name(owner: Json) -> Name:
    return owner["namespace"], owner["name"]


def _column(field: Json) -> Column:
    return (field["namespace"], field["dataset"]), field["field"]


def _time(text: str | None) -> datetime | None:
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _versions(versions: list[Json] | None) -> frozenset[tuple[Name, str]]:
    ids = [version["datasetVersionId"] for version in versions or []]
    return frozenset((_name(each), each["version"]) for each in ids)


@cache
def can_be_had() -> bool:
    """Look for a Marquez.

    Returns:
        Whether one is given, or docker can start one.
    """
    return bool(os.environ.get("MARQUEZ_URL")) or docker_compose.is_there()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a Marquez where there is none: by a mark, which makes it one line a file.

    Args:
        items: the tests.
    """
    need_it = [item for item in items if "marquez" in getattr(item, "fixturenames", ())]
    if need_it and not can_be_had():
        for item in need_it:
            item.add_marker(pytest.mark.skip(reason=NO_MARQUEZ))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def marquez() -> Iterator[Marquez]:
    """A Marquez that answers; it may hold what others have sent."""
    with contextlib.ExitStack() as stack:
        if not can_be_had():
            # Asked for by a test that did not name it.
            pytest.skip(NO_MARQUEZ)
        url = os.environ.get("MARQUEZ_URL")
        if not url:
            port = _free_port()
            stack.enter_context(docker_compose.services(COMPOSE, {"MARQUEZ_PORT": str(port)}))
            url = f"http://127.0.0.1:{port}"
        marquez = stack.enter_context(contextlib.closing(Marquez(url)))
        marquez.namespaces()
        yield marquez


@contextlib.contextmanager
def namespace_of_its_own(marquez: Marquez) -> Iterator[str]:
    """Choose a namespace that nobody else has, and delete it at the end, with those below it.

    Args:
        marquez: where it will be.

    Yields:
        Its name; it has a slash.
    """
    name = f"test/{uuid.uuid4().hex}"
    yield name
    for each in marquez.namespaces():
        if each == name or each.startswith(f"{name}/"):
            marquez.delete_namespace(each)


@pytest.fixture
def marquez_namespace(marquez: Marquez) -> Iterator[str]:
    """A namespace of the test's own."""
    with namespace_of_its_own(marquez) as name:
        yield name
