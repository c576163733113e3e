"""Marquez's REST API → lineage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from openlineage_dagster_core.cli.failure import CommandError, cause_of
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

if TYPE_CHECKING:
    import requests

SECONDS = 60.0
"""How long one answer may take."""

PAGE = 100
"""How many things are asked for at once."""

CONNECTIONS = 8
"""How many datasets are asked about at a time, for the columns that theirs are made of."""

STATES = {
    "NEW": State.RUNNING,
    "RUNNING": State.RUNNING,
    "COMPLETED": State.COMPLETE,
    "FAILED": State.FAIL,
    "ABORTED": State.ABORT,
}

NOT_FOUND = 404


def lineage_of_marquez(url: str) -> Lineage:
    """Ask a Marquez for everything that it shows.

    Args:
        url: where it is, such as `http://localhost:5000`.

    Returns:
        The lineage.

    Raises:
        CommandError: it does not answer, or what answers is no Marquez.
    """
    import requests

    with requests.Session() as session:
        session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))
        return _Marquez(url.rstrip("/"), session).lineage()


class _Marquez:
    def __init__(self, url: str, session: requests.Session) -> None:
        self._url = url
        self._session = session

    def lineage(self) -> Lineage:
        datasets: dict[Name, Dataset] = {}
        jobs: dict[Name, Job] = {}
        reads: set[tuple[Name, Name]] = set()
        writes: set[tuple[Name, Name]] = set()
        for namespace in self._namespaces():
            path = f"namespaces/{quote(namespace, safe='')}"
            datasets.update(_named(_dataset, self._all("datasets", f"{path}/datasets")))
            for name, job in _named(lambda job: job, self._all("jobs", f"{path}/jobs")):
                jobs[name] = _job(namespace, job)
                reads |= {(each, name) for each in _names(job.get("inputs"))}
                writes |= {(name, each) for each in _names(job.get("outputs"))}
        columns = self._columns(
            name
            for name in {name for _, name in writes}
            if name in datasets and datasets[name].columns
        )
        return with_all_ends(
            Lineage(datasets, jobs, frozenset(reads), frozenset(writes), frozenset(columns))
        )

    def _namespaces(self) -> list[str]:
        found = [each for each in self._all("namespaces", "namespaces") if not each.get("isHidden")]
        return [name for each in found if (name := text(each, "name"))]

    def _columns(self, datasets: Iterable[Name]) -> set[tuple[ColumnName, ColumnName]]:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return {pair for pairs in pool.map(self._columns_of, datasets) for pair in pairs}

    def _columns_of(self, dataset: Name) -> list[tuple[ColumnName, ColumnName]]:
        node = f"dataset:{dataset[0]}:{dataset[1]}"
        # Of a dataset that no run told the columns of, it says that there is none.
        answer = self._get("column-lineage", {"nodeId": node, "depth": 1}, or_else=NOT_FOUND)
        return [
            (source, target)
            for described in mappings(answer.get("graph"))
            if (target := _column(mapping(described, "data"))) is not None
            for field in mappings(mapping(described, "data").get("inputFields"))
            if (source := _column(field)) is not None
        ]

    def _all(self, key: str, path: str) -> Iterator[Mapping[str, Any]]:
        offset, count = 0, PAGE
        while count == PAGE:
            page = self._get(path, {"limit": PAGE, "offset": offset}).get(key)
            if not isinstance(page, list):
                raise self._no_marquez("its answer has no " + key)
            yield from mappings(page)
            count = len(page)
            offset += count

    def _get(
        self, path: str, query: Mapping[str, str | int], or_else: int | None = None
    ) -> Mapping[str, Any]:
        import requests

        try:
            answer = self._session.get(
                f"{self._url}/api/v1/{path}", params=dict(query), timeout=SECONDS
            )
        except requests.RequestException as error:
            raise CommandError(
                f"Marquez at {_shown(self._url)} does not answer: {cause_of(error)}.",
                "See that it runs and that the address is that of its API, such as "
                "http://localhost:5000.",
            ) from error
        if answer.status_code == or_else:
            return {}
        if not answer.ok:
            raise self._no_marquez(f"HTTP {answer.status_code}")
        try:
            return mapping(answer.json())
        except ValueError:
            raise self._no_marquez("its answer is no JSON") from None

    def _no_marquez(self, why: str) -> CommandError:
        return CommandError(
            f"What answers at {_shown(self._url)} is no Marquez, or one in trouble: {why}.",
            "Name the address of its API, such as http://localhost:5000, not that of its web page.",
        )


def _shown(url: str) -> str:
    from openlineage_dagster_core.validation import without_credentials

    return without_credentials(url)


def _named(read: Any, described: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Name, Any]]:
    for each in described:
        name = name_of(each)
        if name is not None:
            yield name, read(each)


def _names(described: object) -> Iterator[Name]:
    return (name for each in mappings(described) if (name := name_of(each)) is not None)


def _dataset(described: Mapping[str, Any]) -> Dataset:
    return Dataset(
        text(mapping(described, "facets", "datasetType"), "datasetType"),
        text(described, "description"),
        tuple(columns_of(described.get("fields"))),
    )


def _job(namespace: str, described: Mapping[str, Any]) -> Job:
    run = mapping(described, "latestRun")
    state = STATES.get(text(run, "state"))
    parent = text(described, "parentJobName")
    return Job(
        text(mapping(described, "facets", "jobType"), "jobType"),
        text(described, "description"),
        (namespace, parent) if parent else None,
        Run(text(run, "id"), state, _time_of(run)) if state else None,
    )


def _time_of(run: Mapping[str, Any]) -> Any:
    return next(
        (time for key in ("endedAt", "startedAt", "createdAt") if (time := moment(run.get(key)))),
        None,
    )


def _column(described: Mapping[str, Any]) -> ColumnName | None:
    namespace, dataset = text(described, "namespace"), text(described, "dataset")
    field = text(described, "field")
    return ((namespace, dataset), field) if namespace and dataset and field else None
