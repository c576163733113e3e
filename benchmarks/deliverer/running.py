"""Deliverers in processes of their own, as their parent sees them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deployments import Deployment
from benchmarks.workers import Worker, working

PROCESS = "benchmarks.deliverer.process"
LEAD_SECONDS = 60.0
"""Seconds after which a deliverer that does not lead counts as failed."""

STOP_SECONDS = 60.0
LONGEST_SECONDS = 7200.0
"""Seconds after which a deliverer that does not end counts as failed."""


@dataclass(frozen=True)
class Figures:
    """What a deliverer has done so far.

    Args:
        queries: statements sent to the database.
        decoded: events of the log that were decoded, each time they were.
        has_led: whether it was the deliverer; known when it has ended.
        at: when it answered, in seconds since the epoch.
        cpu: seconds of processor time of all its threads.
        peak: the most memory that it has had, in bytes.
    """

    queries: int
    decoded: int
    has_led: bool
    at: float
    cpu: float
    peak: int


class DelivererProcess:
    """A deliverer in a process of its own.

    Args:
        worker: the process.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def lead(self) -> Figures:
        """Wait until it leads.

        Returns:
            What it has done.
        """
        return self._ask(LEAD_SECONDS, "lead")

    def figures(self) -> Figures:
        """Ask what it has done.

        Returns:
            The figures.
        """
        return self._ask(LEAD_SECONDS, "figures")

    def wait(self) -> Figures:
        """Wait until it ends.

        Returns:
            What it has done.
        """
        return self._ask(LONGEST_SECONDS, "wait")

    def stop(self) -> Figures:
        """End it.

        Returns:
            What it has done.
        """
        return self._ask(STOP_SECONDS, "stop")

    def _ask(self, timeout: float, what: str) -> Figures:
        return Figures(**self._worker.ask(timeout, do=what))


@contextlib.contextmanager
def delivering(
    deployment: Deployment, address: str, *, once: bool = False, profile: Path | None = None
) -> Iterator[DelivererProcess]:
    """Run a deliverer.

    Args:
        deployment: whose log it delivers.
        address: of the backend.
        once: whether it ends when all is delivered; otherwise it runs as a service.
        profile: the file for the profile of its main thread.

    Yields:
        The deliverer, which leads unless it ends by itself.
    """
    argument = json.dumps({"once": once, "profile": str(profile) if profile else None})
    with working(deployment, address, PROCESS, argument) as worker:
        worker.started()
        process = DelivererProcess(worker)
        if not once:
            process.lead()
        yield process
