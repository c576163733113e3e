"""Reads lineage from Marquez's REST API."""

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

import requests

from openlineage_dagster_core.cli.foreign_json import Json, mapping, mappings, moment, name_of, text
from openlineage_dagster_core.cli.graph import model
from openlineage_dagster_core.cli.graph.model import ColumnName, Dataset, Job, Lineage, Name, State
from openlineage_dagster_core.cli.terminal import CommandError, cause_of
from openlineage_dagster_core.validation import without_credentials

SECONDS = 60.0  # Seconds that one answer may take
PAGE = 100  # Items in one answer
CONNECTIONS = 8  # Requests at a time for the column lineage of datasets
# How Marquez names the states of runs
NAMES = {
    State.RUNNING: "RUNNING",
    State.COMPLETE: "COMPLETED",
    State.FAIL: "FAILED",
    State.ABORT: "ABORTED",
}
STATES = {"NEW": State.RUNNING, **{name: state for state, name in NAMES.items()}}


@dataclass(frozen=True)
class Marquez:
    """A Marquez; each request raises CommandError where it gets no answer of Marquez."""

    url: str
    session: requests.Session
    seconds: float

    def list_all(self, key: str, path: str | None = None) -> Iterator[Json]:
        """Yield all items under a key, page by page; the key is also the path by default."""
        offset, count = 0, PAGE
        while count == PAGE:
            page = self.get(path or key, limit=PAGE, offset=offset).get(key)
            if not isinstance(page, list):
                raise self._error("its answer has no " + key)
            yield from mappings(page)
            count = len(page)
            offset += count

    def get(self, path: str, *, or_nothing: bool = False, **query: str | int) -> Json:
        """Return an answer; with `or_nothing`, an empty one where Marquez has nothing (404)."""
        try:
            address = f"{self.url}/api/v1/{path}"
            answer = self.session.get(address, params=query, timeout=self.seconds)
        except requests.RequestException as error:
            raise CommandError(
                f"Marquez at {without_credentials(self.url)} does not answer: {cause_of(error)}.",
                "Check that it runs and that the address is that of its API, such as "
                "http://localhost:5000.",
            ) from error
        if or_nothing and answer.status_code == 404:
            return {}
        if not answer.ok:
            raise self._error(f"HTTP {answer.status_code}")
        try:
            return mapping(answer.json())
        except ValueError:
            raise self._error("its answer is not JSON") from None

    def _error(self, why: str) -> CommandError:
        return CommandError(
            f"The server at {without_credentials(self.url)} is not a Marquez, or it fails: {why}.",
            "Name the address of its API, such as http://localhost:5000, not that of its web page.",
        )


@contextlib.contextmanager
def marquez_at(url: str, seconds: float = SECONDS) -> Iterator[Marquez]:
    """Open a session with a Marquez, each of whose answers may take so many seconds."""
    with requests.Session() as session:
        session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))
        yield Marquez(url.rstrip("/"), session, seconds)


def lineage_of_marquez(url: str) -> Lineage:
    """Read everything that the Marquez at an address shows; raise CommandError if it fails."""
    datasets: dict[Name, Dataset] = {}
    jobs: dict[Name, Job] = {}
    reads: set[tuple[Name, Name]] = set()
    writes: set[tuple[Name, Name]] = set()
    with marquez_at(url) as marquez, ThreadPoolExecutor(CONNECTIONS) as pool:
        shown = [each for each in marquez.list_all("namespaces") if not each.get("isHidden")]
        for namespace in filter(None, (text(each, "name") for each in shown)):
            path = f"namespaces/{quote(namespace, safe='')}"
            for name, dataset in _named(marquez.list_all("datasets", f"{path}/datasets")):
                datasets[name] = Dataset(
                    text(mapping(dataset, "facets", "datasetType"), "datasetType"),
                    text(dataset, "description"),
                    tuple(model.columns_of(dataset.get("fields"))),
                )
            for name, job in _named(marquez.list_all("jobs", f"{path}/jobs")):
                jobs[name] = _job(namespace, job)
                reads |= {(each, name) for each, _ in _named(mappings(job.get("inputs")))}
                writes |= {(name, each) for each, _ in _named(mappings(job.get("outputs")))}
        written = {name for _, name in writes if name in datasets and datasets[name].columns}
        found = pool.map(lambda name: _columns_of(marquez, name), written)
        columns = frozenset(pair for pairs in found for pair in pairs)
    return Lineage(datasets, jobs, frozenset(reads), frozenset(writes), columns).with_all_ends()


def _columns_of(marquez: Marquez, dataset: Name) -> list[tuple[ColumnName, ColumnName]]:
    node = f"dataset:{dataset[0]}:{dataset[1]}"
    # Marquez answers 404 for a dataset without column lineage.
    answer = marquez.get("column-lineage", or_nothing=True, nodeId=node, depth=1)
    return [
        (source, target)
        for described in mappings(answer.get("graph"))
        if (target := _column(mapping(described, "data"))) is not None
        for field in mappings(mapping(described, "data").get("inputFields"))
        if (source := _column(field)) is not None
    ]


def _named(described: Iterable[Json]) -> Iterator[tuple[Name, Json]]:
    return ((name, each) for each in described if (name := name_of(each)) is not None)


def _job(namespace: str, described: Json) -> Job:
    run = mapping(described, "latestRun")
    state = STATES.get(text(run, "state"))
    times = (moment(run.get(key)) for key in ("endedAt", "startedAt", "createdAt"))
    parent = text(described, "parentJobName")
    return Job(
        text(mapping(described, "facets", "jobType"), "jobType"),
        text(described, "description"),
        (namespace, parent) if parent else None,
        model.Run(text(run, "id"), state, next(filter(None, times), None)) if state else None,
    )


def _column(described: Json) -> ColumnName | None:
    namespace, dataset, field = (text(described, key) for key in ("namespace", "dataset", "field"))
    return ((namespace, dataset), field) if namespace and dataset and field else None
