"""Runs a project whose step starts a program with its own lineage; asks a backend for both."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from data_rentgen_server import DataRentgen
from drivers import Driver, SensorDriver, StorageDriver, opened
from lineage_backends import BACKENDS, Backend, Deployed
from lineage_graph import LineageGraph, Name
from recorded_run import execute

Json = dict[str, Any]

SECONDS = 60.0
DEPLOYMENTS = [
    ("storage", "file"),
    ("sensor", "http"),
    ("storage", "data_rentgen"),
    ("sensor", "marquez"),
]
TASK_ID, DAG_ID = (f"0199a1b2-0000-7000-8000-00000000000{last}" for last in "ab")
AIRFLOW = {
    "openlineage/parent_id": f"airflow/dag.task/{TASK_ID}",
    "openlineage/root_parent_id": f"airflow/dag/{DAG_ID}",
}
"""Tags of a run that an Airflow task starts."""


@dataclass(frozen=True)
class Deployment:
    """A mechanism and a backend.

    Args:
        namespace: of all jobs, those of the started program included.
        folder: for the project's files.
        transport: of openlineage-python, to the backend.
        backend: shows what it was sent.
        mechanism: `storage` or `sensor`.
        request: finds Data.Rentgen.
    """

    namespace: str
    folder: Path
    transport: Json
    backend: Backend
    mechanism: str
    request: pytest.FixtureRequest

    def run(
        self,
        project: Callable[[Json], dg.Definitions],
        job: str,
        options: Json,
        release: Callable[[], None] = lambda: None,
    ) -> Shown:
        """Run a job that Airflow starts, deliver its log, and ask the backend.

        Args:
            project: makes the definitions; it gets what its steps hand on needs.
            job: the job.
            options: of the mechanism.
            release: closes what a run leaves open.

        Returns:
            What the backend shows.
        """
        options = {"namespace": self.namespace, "asset_run_parent": "step", **options}
        driver: Driver = SensorDriver(options)
        if self.mechanism == "storage":
            driver = StorageDriver({**options, "timeout": SECONDS})
        # Mechanism A has its options in dagster.yaml.
        definitions = project(options if self.mechanism == "sensor" else {})
        with opened(driver, self.folder / "home") as instance:
            result = execute(definitions, job, instance, tags=AIRFLOW)
            assert result.success, [
                event.step_failure_data.error_display_string
                for event in result.all_events
                if event.is_step_failure
            ]
            release()
            delivery = driver.deliver(instance, definitions, timeout=SECONDS)
        assert not delivery.parked
        if self.backend.events is not None:
            self._check_root(self.backend.events())
        return Shown(self.backend.graph(), self._parents())

    def _check_root(self, events: list[Json]) -> None:
        found = [event["run"]["facets"].get("parent") for event in events if "run" in event]
        roots = {facet["root"]["run"]["runId"] for facet in found if facet is not None}
        assert roots == {DAG_ID}

    def _parents(self) -> dict[str, tuple[str, str | None]] | None:
        """Return by run id the job's name and the id of its parent; None where nothing tells."""
        if self.backend.events is not None:
            return {
                event["run"]["runId"]: (
                    event["job"]["name"],
                    event["run"]["facets"].get("parent", {}).get("run", {}).get("runId"),
                )
                for event in self.backend.events()
                if "run" in event
            }
        if "data_rentgen" not in self.request.fixturenames:
            return None
        client: DataRentgen = self.request.getfixturevalue("data_rentgen")
        jobs = {job.id: job for job in client.jobs() if job.namespace == self.namespace}
        return {
            run.id: (jobs[run.job_id].name, run.parent_id)
            for run in client.runs()
            if run.job_id in jobs
        }


@dataclass(frozen=True)
class Shown:
    """What a backend shows.

    Args:
        graph: of the deployment's namespace.
        parents: by run id, the name of its job and the run id of its parent; None for a backend
            that does not tell.
    """

    graph: LineageGraph
    parents: dict[str, tuple[str, str | None]] | None

    @property
    def has_operations(self) -> bool:
        """Whether a model of dbt and a query of Spark are parts of the run that is their parent."""
        return self.graph.system == "Data.Rentgen"

    def check_chain(self, *jobs: str, refused: str) -> None:
        """Fail the test unless all runs of the first job are children of the second's, and so on.

        Args:
            jobs: names, the child first; the last one is a child of the Airflow task.
            refused: the Dagster job, which Data.Rentgen does not take, nor of whom it is the child.
        """
        if self.parents is None:
            return
        for child, parent in itertools.pairwise(jobs):
            if self.has_operations and parent == refused:
                return
            self.check_children(child, parent)
        assert self._parents_of(jobs[-1]) == {TASK_ID}

    def check_children(self, child: str, parent: str) -> None:
        """Fail the test unless all runs of a job are children of another job's.

        Args:
            child: the job's name.
            parent: the other job's.
        """
        found, parents = self._parents_of(child), self.parents or {}
        runs = {run for run, (name, _) in parents.items() if name == parent}
        assert found <= runs, (child, parent, parents)
        assert found or self.parents is None, (child, parents)

    def _parents_of(self, job: str) -> set[str | None]:
        return {parent for name, parent in (self.parents or {}).values() if name == job}

    def check_edges(self, *edges: tuple[Name, Name]) -> None:
        """Fail the test unless the graph has these edges, of datasets and jobs.

        Args:
            edges: from what is read or from what writes.
        """
        found = {*(self.graph.reads or ()), *(self.graph.writes or ())}
        if self.graph.system == "Marquez":
            # It puts the name of a job's parent before that of the job, with a dot between them.
            found = {edge for renamed in found for edge in itertools.product(*map(_ends, renamed))}
        assert {*edges} <= found, ({*edges} - found, found)


def _ends(place: Name) -> list[Name]:
    """Return a name, and what remains of it behind each dot."""
    namespace, name = place
    parts = name.split(".")
    return [(namespace, ".".join(parts[first:])) for first in range(len(parts))]


@contextlib.contextmanager
def deployed(
    request: pytest.FixtureRequest, folder: Path, mechanism: str, backend: str
) -> Iterator[Deployment]:
    """Let this process, and those that it starts, send to a backend.

    Args:
        request: finds servers, and skips where one is missing.
        folder: for files.
        mechanism: `storage` or `sensor`.
        backend: one of `BACKENDS`.

    Yields:
        The deployment.
    """
    namespace = re.sub(r"\W+", "_", request.node.name).strip("_")
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patched:
        found = BACKENDS[backend](Deployed(request, folder, [namespace], stack))
        patched.setenv("OPENLINEAGE__TRANSPORT", json.dumps(found.transport))
        patched.setenv("OPENLINEAGE_NAMESPACE", namespace)
        yield Deployment(namespace, folder, dict(found.transport), found, mechanism, request)
