"""Sensors evaluated tick by tick, each in a process of its own, as their parent sees them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.backends import Backend
from benchmarks.deployments import Deployment, Deployments, Subject
from benchmarks.workers import Worker, working

WORKER = "benchmarks.sensor.worker"
LONGEST_SECONDS = 600.0
"""Nothing that is waited for without a limit takes so long."""


@dataclass(frozen=True)
class Setting:
    """Who is measured, and how it is set.

    Args:
        subject: ours or the predecessor.
        limit: the predecessor's `record_filter_limit`, 0 for none; ours is as it is by default.
    """

    subject: Subject
    limit: int | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `openlineage_sensor`, so that the predecessor sends what ours sends."""
        if self.subject is Subject.OURS:
            return {}
        return {"include_asset_events": True, "record_filter_limit": self.limit}

    @property
    def name(self) -> str:
        """As tables show it."""
        return "as it is" if self.limit is None else f"limit {self.limit or 'none'}"


OURS = Setting(Subject.OURS)


@dataclass(frozen=True)
class Tick:
    """One evaluation.

    Args:
        seconds: it took.
        cpu: seconds of the processor, of all threads.
        queries: statements sent to the database.
        cursor: afterwards.
        peak: the most memory that the process has had until then, in bytes.
    """

    seconds: float
    cpu: float
    queries: int
    cursor: str
    peak: int


class Sensor:
    """A sensor in a process of its own.

    Args:
        worker: that process.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.dagster = worker.started()

    def tick(self, cursor: str | None, timeout: float = LONGEST_SECONDS) -> Tick:
        """Evaluate it once.

        Args:
            cursor: where it is.
            timeout: how long at most, in seconds.

        Returns:
            What happened.

        Raises:
            NoAnswerError: it took longer; the process was ended.
        """
        return Tick(**self._worker.ask(timeout, cursor=cursor))


@contextlib.contextmanager
def evaluating(
    deployments: Deployments, deployment: Deployment, setting: Setting, backend: Backend
) -> Iterator[Sensor]:
    """Start a sensor.

    Args:
        deployments: know the interpreters.
        deployment: whose log it reads.
        setting: who, and how.
        backend: where it sends.

    Yields:
        The sensor.
    """
    own = replace(deployment, python=deployments.python_of(setting.subject))
    arguments = json.dumps(setting.arguments)
    with working(own, backend.url, WORKER, arguments) as worker:
        yield Sensor(worker)


def predecessors_cursor(storage_id: int) -> str:
    """Write the cursor of 0.2.1 after an event, with no run under way.

    Args:
        storage_id: of the event.

    Returns:
        The cursor.
    """
    return json.dumps({"last_storage_id": storage_id, "running_pipelines": {}})


def position(cursor: str) -> int:
    """Read how far a sensor is.

    Args:
        cursor: of either.

    Returns:
        The storage id that it is past.
    """
    content = json.loads(cursor)
    return int(content.get("last_storage_id", content.get("seen", content.get("low", 0))))
