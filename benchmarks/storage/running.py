"""How long a run of fifty assets takes, as a process of its own, from its start to its exit."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.backends import Backend, Behaviour, running
from benchmarks.deployments import Database, Deployment, Deployments, Subject

PROJECT = Path(__file__).parents[1] / "fifty_assets.py"
LAST_CHARACTERS = 2000
POLL_SECONDS = 0.05

Variant = tuple[Subject, Behaviour | None]
"""Who runs against which backend; a bare one has none."""


@dataclass
class RunTimes:
    """What the runs of one variant took.

    Args:
        wall: seconds of the process.
        inside: seconds from RUN_START to RUN_SUCCESS.
        delivered: how many events the backend took from each, until its process was gone.
        delivered_in_all: of the first, until the process was gone as well that sends what is left.
        afterwards: seconds from the one to the other.
        cpu: seconds of the processor, of the process and of those it waited for.
        given_up_after: seconds after which a run that did not end was given up.
    """

    wall: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    delivered_in_all: int = 0
    afterwards: float = 0.0
    cpu: list[float] = field(default_factory=list)
    given_up_after: float | None = None


@dataclass
class RunScene:
    """One database and one executor, and what was measured there.

    Args:
        database: where Dagster keeps the run.
        executor: the job's.
        times: by variant.
    """

    database: Database
    executor: str
    times: dict[Variant, RunTimes] = field(default_factory=dict)

    def bare(self, of: Callable[[RunTimes], list[float]]) -> float:
        """Find what bare runs take.

        Args:
            of: chooses which of the times.

        Returns:
            Seconds.
        """
        return median(
            each
            for (subject, _), times in self.times.items()
            if subject.is_bare
            for each in of(times)
        )


def run(
    deployments: Deployments,
    database: Database,
    executor: str,
    variants: Mapping[Variant, int],
    cap: float,
) -> RunScene:
    """Let all variants run in turn.

    Args:
        deployments: makes one for each run.
        database: where Dagster keeps the run.
        executor: `in_process` or `multiprocess`.
        variants: how often each is to run.
        cap: after how many seconds the predecessor's run is given up.

    Returns:
        What was measured.
    """
    scene = RunScene(database, executor, {variant: RunTimes() for variant in variants})
    with contextlib.ExitStack() as stack:
        backends = {
            variant: stack.enter_context(running(variant[1]))
            for variant in variants
            if variant[1] is not None
        }
        for number in range(max(variants.values())):
            turns = [variant for variant, times in variants.items() if number < times]
            for variant in reversed(turns) if number % 2 else turns:
                with deployments.new(database, variant[0]) as deployment:
                    limit = cap if variant[0] is Subject.PREDECESSOR else None
                    _execute(
                        deployment, executor, backends.get(variant), scene.times[variant], limit
                    )
                    _end_delivery(deployment.home)
    return scene


def _execute(
    deployment: Deployment,
    executor: str,
    backend: Backend | None,
    times: RunTimes,
    limit: float | None,
) -> None:
    log = deployment.home / "run.log"
    taken_before = backend.taken() if backend else 0
    with log.open("w") as output:
        cpu_before = _cpu_of_children()
        begin = time.perf_counter()
        process = subprocess.Popen(
            _command(deployment.python, executor),
            stdout=output,
            stderr=output,
            cwd=deployment.home,
            env=deployment.environment(backend.url if backend else None),
            # The steps' processes end with it.
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            times.given_up_after = limit
            return
        finally:
            took = time.perf_counter() - begin
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status != 0:
        raise RuntimeError(log.read_text()[-LAST_CHARACTERS:])
    times.wall.append(took)
    times.cpu.append(_cpu_of_children() - cpu_before)
    times.delivered.append(backend.taken() - taken_before if backend else 0)
    times.inside.append(deployment.run_seconds())
    if len(times.wall) == 1:
        # With a backend that takes nothing it takes long: once is enough.
        ended = time.perf_counter()
        while _is_delivery_going_on(deployment.home):
            time.sleep(POLL_SECONDS)
        times.afterwards = time.perf_counter() - ended
        times.delivered_in_all = backend.taken() - taken_before if backend else 0


def _is_delivery_going_on(home: Path) -> bool:
    # Not there where another benchmark runs.
    from openlineage_dagster_storage.delivery_process import LOCK_NAME, locked

    outbox = home / "openlineage"
    if not (outbox / LOCK_NAME).exists():
        return False
    with locked(outbox) as lock:
        return lock is None


def _end_delivery(home: Path) -> None:
    """See that what sends what a run left does not fall into the next run's time."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DAGSTER_HOME") == str(home):
                process.kill()


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _command(python: str, executor: str) -> Sequence[str]:
    return [python, "-m", "dagster", "job", "execute", "-f", str(PROJECT), "-j", executor]
