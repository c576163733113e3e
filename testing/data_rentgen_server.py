"""A real Data.Rentgen for tests: an OpenLineage backend that reads Kafka and answers by REST.

It is started here by the Python that `DATA_RENTGEN_PYTHON` names: it has dependencies of its own.
Not `data_rentgen.py`: the package has that name.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from dagster_home import wait_until
from kafka_server import Topic, make_topic
from process_group import LAST_CHARACTERS
from server_process import ServerProcess, free_ports

Json = dict[str, Any]

VERSION = "0.3.1"
REQUEST_SECONDS = 30.0
LARGEST_PAGE = 50
DEEPEST = 10
READ_SECONDS = 60.0

MIGRATIONS = "data_rentgen.db.migrations"
PARTITIONS = "data_rentgen.db.scripts.create_partitions"

BEFORE_BTREE_GIST, WITH_BTREE_GIST = "61ea5edad711", "56f5a3f9442a"
"""A migration that wants this extension, for a table that nothing of Data.Rentgen reads."""

NO_DATA_RENTGEN = (
    "there is no Data.Rentgen: nox -s integration brings one, or set DATA_RENTGEN_PYTHON to a "
    f"Python with data-rentgen[server,consumer,postgres] {VERSION} and SQLAlchemy before 2.1"
)


SAVING, SAVED = "Saving to database", "Saved successfully"
"""What its consumer logs of each batch, one after the other."""

STATES = {"STARTED": "RUNNING", "SUCCEEDED": "COMPLETE", "FAILED": "FAIL", "KILLED": "ABORT"}
"""What it calls the states of a run."""


@dataclass(frozen=True)
class Job:
    """A job.

    Args:
        id: Data.Rentgen's own.
        namespace: of the job.
        name: of the job.
        type: integration and kind, such as `DAGSTER_ASSET`.
    """

    id: str
    namespace: str
    name: str
    type: str


@dataclass(frozen=True)
class Run:
    """A run.

    Args:
        id: of OpenLineage.
        job_id: its job's.
        parent_id: of the run that is its parent, if any.
        status: one of `STATES`, or UNKNOWN where no event of it came.
        started_at: the time of its START.
        ended_at: the time of its last event.
    """

    id: str
    job_id: str
    parent_id: str | None
    status: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Dataset:
    """A dataset.

    Args:
        id: Data.Rentgen's own.
        namespace: of the dataset.
        name: of the dataset.
        fields: name and type of its columns; only where lineage was asked for.
    """

    id: str
    namespace: str
    name: str
    fields: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class ColumnEdge:
    """A column that another is made of.

    Args:
        source_id: the dataset that is read.
        source: its column.
        target_id: the dataset that is written.
        target: its column; None where the first decides what is in the dataset at all.
    """

    source_id: str
    source: str
    target_id: str
    target: str | None


@dataclass(frozen=True)
class Lineage:
    """What is around a dataset, a job or a run.

    Args:
        datasets: by their ids.
        jobs: by their ids.
        runs: by their ids.
        inputs: ids of dataset and of who reads it: a run, a job, or a dataset that is made of it.
        outputs: ids of who writes and of the dataset.
        columns: edges between columns.
    """

    datasets: dict[str, Dataset]
    jobs: dict[str, Job]
    runs: dict[str, Run]
    inputs: frozenset[tuple[str, str]]
    outputs: frozenset[tuple[str, str]]
    columns: frozenset[ColumnEdge]


class DataRentgen:
    """A client of the REST API.

    Args:
        url: of the server.
        topic: where it reads events.
        refused: where it puts the messages that it cannot read.
        log: of its consumer.
    """

    def __init__(self, url: str, topic: Topic, refused: Topic, log: Path) -> None:
        self.url = url
        self._log = log
        self.topic = topic
        self.refused = refused
        self._session = requests.Session()
        # The server's dummy provider takes any user, and makes one of that name.
        answer = self._session.post(
            f"{url}/v1/auth/token",
            data={"username": "tests", "password": "tests"},
            timeout=REQUEST_SECONDS,
        )
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()

    def jobs(self) -> list[Job]:
        """List all jobs.

        Returns:
            The jobs.
        """
        return [_job(item["data"]) for item in self._items("jobs")]

    def datasets(self) -> list[Dataset]:
        """List all datasets.

        Returns:
            The datasets, without their fields.
        """
        return [_dataset(item["data"]) for item in self._items("datasets")]

    def runs(self, job: Job | None = None, since: datetime | None = None) -> list[Run]:
        """List runs.

        Args:
            job: whose; by default those of all.
            since: created then or later; by default in the last day.

        Returns:
            The runs.
        """
        of_job = {"job_id": job.id} if job else {}
        items = self._items("runs", since=_since(since), **of_job)
        return [_run(item["data"]) for item in items]

    def lineage_of_dataset(
        self,
        dataset: Dataset,
        granularity: Literal["DATASET", "JOB", "RUN", "OPERATION"] = "DATASET",
        since: datetime | None = None,
    ) -> Lineage:
        """Ask for everything that a dataset is connected with.

        Args:
            dataset: where to begin.
            granularity: what stands between datasets; DATASET for nothing.
            since: by runs that were created then or later; by default in the last day.

        Returns:
            The lineage in both directions, columns included.
        """
        return self._lineage("datasets", dataset.id, granularity, since)

    def lineage_of_job(
        self,
        job: Job,
        granularity: Literal["JOB", "RUN"] = "JOB",
        since: datetime | None = None,
        depth: int = 1,
    ) -> Lineage:
        """Ask for everything that a job is connected with.

        Args:
            job: where to begin.
            granularity: whether jobs or their runs read and write.
            since: by runs that were created then or later; by default in the last day.
            depth: how many steps to go; 1 for what it reads and writes itself.

        Returns:
            The lineage in both directions, columns included.
        """
        return self._lineage("jobs", job.id, granularity, since, depth)

    def lineage_of_run(self, run: Run, since: datetime | None = None, depth: int = 1) -> Lineage:
        """Ask for everything that a run is connected with.

        Args:
            run: where to begin.
            since: by runs that were created then or later; by default in the last day.
            depth: how many steps to go; 1 for what it reads and writes itself.

        Returns:
            The lineage in both directions, columns included.
        """
        return self._lineage("runs", run.id, "RUN", since, depth)

    def wait_until_all_is_read(self) -> None:
        """Wait until what is in the topic now has been read: each run, and what it refuses.

        Raises:
            AssertionError: it takes longer; what is not there is named.
        """
        events = self.topic.events()
        wanted = {
            event["run"]["runId"]: event["eventType"]
            for event in events
            if can_read(event) and not is_operation(event)
        }
        refused = sum(not can_read(event) for event in events)
        unread: set[str] = set()

        def is_read() -> bool:
            unread.clear()
            shown = {run.id: STATES.get(run.status) for run in self.runs()}
            unread.update(
                run_id
                for run_id, state in wanted.items()
                if shown.get(run_id) != ("RUNNING" if state == "START" else state)
            )
            if unread or len(self.refused.messages()) < refused:
                return False
            # It stores the runs of a batch first, and what they read and write afterwards.
            said = self._log.read_text()
            return said.count(SAVING) == said.count(SAVED)

        try:
            wait_until(is_read, READ_SECONDS, "Data.Rentgen to read its topic")
        except AssertionError as error:
            jobs = {
                event["job"]["name"]
                for event in events
                if "run" in event and event["run"]["runId"] in unread
            }
            msg = f"{error}; it does not show the runs of {sorted(jobs)} as they are"
            raise AssertionError(msg) from None

    def _lineage(
        self,
        kind: str,
        node: str,
        granularity: str,
        since: datetime | None,
        depth: int = DEEPEST,
    ) -> Lineage:
        answer = self._get(
            f"{kind}/lineage",
            start_node_id=node,
            granularity=granularity,
            since=_since(since),
            depth=depth,
            direction="BOTH",
            include_column_lineage=True,
        )
        nodes, relations = answer["nodes"], answer["relations"]
        return Lineage(
            datasets={key: _dataset(each) for key, each in nodes["datasets"].items()},
            jobs={key: _job(each) for key, each in nodes["jobs"].items()},
            runs={key: _run(each) for key, each in nodes["runs"].items()},
            inputs=frozenset(map(_ends, relations["inputs"])),
            outputs=frozenset(map(_ends, relations["outputs"])),
            columns=frozenset(_column_edges(relations)),
        )

    def _items(self, path: str, **query: str) -> Iterator[Json]:
        page: int | None = 1
        while page is not None:
            answer = self._get(path, page=page, page_size=LARGEST_PAGE, **query)
            yield from answer["items"]
            page = answer["meta"]["next_page"]

    def _get(self, path: str, **query: str | int | bool) -> Json:
        answer = self._session.get(f"{self.url}/v1/{path}", params=query, timeout=REQUEST_SECONDS)
        assert answer.ok, f"{answer.status_code} {answer.url}: {answer.text[:500]}"
        content: Json = answer.json()
        return content


def can_read(event: Json) -> bool:
    """Tell whether Data.Rentgen takes an event.

    Args:
        event: of any kind.

    Returns:
        Whether it is a RunEvent, and has run ids that sort by time: versions 6 and later.
    """
    if "run" not in event:
        return False
    parent = event["run"]["facets"].get("parent", event)
    return min(uuid.UUID(each["run"]["runId"]).version or 0 for each in (event, parent)) >= 6


def is_operation(event: Json) -> bool:
    """Return True if Data.Rentgen makes a run's event part of the run that is its parent.

    Args:
        event: of a run.

    Returns:
        Whether it is of dbt or Spark, and neither of a whole command nor of an application.
    """
    facet = event["job"].get("facets", {}).get("jobType", {})
    is_part = facet.get("jobType") not in ("JOB", "APPLICATION")
    return is_part and facet.get("integration") in ("DBT", "SPARK")


def _since(given: datetime | None) -> str:
    return (given or datetime.now(timezone.utc) - timedelta(days=1)).isoformat()


def _namespace(location: Json) -> str:
    # It takes namespaces for URLs; those that are none have no scheme that it knew.
    if location["type"] == "unknown":
        return str(location["name"])
    if (location["type"], location["name"]) == ("file", "unknown"):
        return "file"
    return f"{location['type']}://{location['name']}"


def _job(data: Json) -> Job:
    return Job(data["id"], _namespace(data["location"]), data["name"], data["type"])


def _run(data: Json) -> Run:
    return Run(
        id=data["id"],
        job_id=data["job_id"],
        parent_id=data["parent_run_id"],
        status=data["status"],
        started_at=_time(data["started_at"]),
        ended_at=_time(data["ended_at"]),
    )


def _time(text: str | None) -> datetime | None:
    # Python 3.10 does not read the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _dataset(data: Json) -> Dataset:
    schema = data["schema"] or {"fields": []}
    fields = tuple((field["name"], field["type"]) for field in schema["fields"])
    return Dataset(data["id"], _namespace(data["location"]), data["name"], fields)


def _ends(relation: Json) -> tuple[str, str]:
    return relation["from"]["id"], relation["to"]["id"]


def _column_edges(relations: Json) -> Iterator[ColumnEdge]:
    for relation in relations["direct_column_lineage"]:
        source, target = _ends(relation)
        for column, fields in relation["fields"].items():
            for field in fields:
                yield ColumnEdge(source, field["field"], target, column)
    for relation in relations["indirect_column_lineage"]:
        source, target = _ends(relation)
        for field in relation["fields"]:
            yield ColumnEdge(source, field["field"], target, None)


@pytest.fixture(scope="session")
def data_rentgen_python() -> str:
    """The Python that has Data.Rentgen."""
    python = os.environ.get("DATA_RENTGEN_PYTHON")
    if not python:
        pytest.skip(NO_DATA_RENTGEN)
    return python


@pytest.fixture(scope="session")
def data_rentgen(
    data_rentgen_python: str,
    kafka_server: str,
    make_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DataRentgen]:
    """A Data.Rentgen that reads a topic of its own; it has partitions for this month and the next.

    What it knows is of all tests of the session: give your jobs a namespace of their own.
    """
    folder = tmp_path_factory.mktemp("data_rentgen")
    (folder / "docs" / "_static").mkdir(parents=True)
    name = f"runs-{uuid.uuid4().hex}"
    topic, refused = make_topic(kafka_server, name), make_topic(kafka_server, f"{name}-refused")
    database = make_database()
    environ = {
        "DATA_RENTGEN__DATABASE__URL": _with_driver(database),
        "DATA_RENTGEN__KAFKA__BOOTSTRAP_SERVERS": json.dumps([kafka_server]),
        "DATA_RENTGEN__CONSUMER__TOPICS_LIST": json.dumps([topic.name]),
        "DATA_RENTGEN__CONSUMER__GROUP_ID": name,
        # What comes before it has joined counts too.
        "DATA_RENTGEN__CONSUMER__AUTO_OFFSET_RESET": "earliest",
        "DATA_RENTGEN__PRODUCER__MALFORMED_TOPIC": refused.name,
        "DATA_RENTGEN__AUTH__ACCESS_TOKEN__SECRET_KEY": secrets.token_hex(),
        "DATA_RENTGEN__SERVER__SESSION__SECRET_KEY": secrets.token_hex(),
    }
    for command in _preparations(database):
        outcome = subprocess.run(
            [data_rentgen_python, "-m", *command],
            env={**os.environ, **environ},
            cwd=folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert outcome.returncode == 0, f"{command}: {outcome.stdout[-LAST_CHARACTERS:]}"
    server_port, consumer_port = free_ports(2)
    server, consumer = (
        ServerProcess(
            f"data_rentgen.{part}",
            [data_rentgen_python, "-m", f"data_rentgen.{part}", "--port", str(port)],
            folder,
            environ,
        )
        for part, port in (("server", server_port), ("consumer", consumer_port))
    )
    url = f"http://127.0.0.1:{server_port}"
    try:
        server.start(lambda: _answers(f"{url}/monitoring/ping"))
        consumer.start(
            lambda: _answers(f"http://127.0.0.1:{consumer_port}/internal/healthcheck/liveness")
        )
        client = DataRentgen(url, topic, refused, consumer.log)
        yield client
        client.close()
    finally:
        consumer.stop()
        server.stop()


def _preparations(database: str) -> list[list[str]]:
    to_head = [MIGRATIONS, "upgrade", "head"]
    if _has_extension(database, "btree_gist"):
        return [to_head, [PARTITIONS]]
    # The PostgreSQL that comes along has no extensions.
    return [
        [MIGRATIONS, "upgrade", BEFORE_BTREE_GIST],
        [MIGRATIONS, "stamp", WITH_BTREE_GIST],
        to_head,
        [PARTITIONS],
    ]


def _has_extension(database: str, name: str) -> bool:
    import psycopg2

    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_available_extensions WHERE name = %s", [name])
        return cursor.rowcount == 1


def _with_driver(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme="postgresql+asyncpg"))


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=REQUEST_SECONDS).ok
    except requests.ConnectionError:
        return False
