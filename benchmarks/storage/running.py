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
from itertools import combinations_with_replacement
from pathlib import Path
from statistics import mean, median

from benchmarks.backends import Backend, Behaviour, running
from benchmarks.deliverer.running import delivering
from benchmarks.deployments import Database, Deployment, Deployments, Subject

PROJECT = Path(__file__).parents[1] / "fifty_assets.py"
LAST_CHARACTERS = 2000
QUIET_SECONDS = 2.0
"""Seconds without a receipt after which all is delivered."""

Variant = tuple[Subject, Behaviour | None]
"""What runs against which backend; a bare run has none."""


@dataclass(frozen=True)
class Taken:
    """What one run took.

    Args:
        wall: seconds of the process.
        inside: seconds from RUN_START to RUN_SUCCESS.
        cpu: seconds of the processor, of the process and of those it waited for.
    """

    wall: float
    inside: float
    cpu: float


@dataclass
class RunTimes:
    """What the runs of one variant took, and the bare runs around them.

    Args:
        runs: what each took.
        around: what the bare run before each and the one after it took.
        delivered: events of the first run that the backend took until the run's process ended.
        delivered_in_all: all events of the first run that the backend took.
        afterwards: seconds from the end of the first run's process to the last receipt.
        given_up_after: seconds after which a run that did not end was given up.
    """

    runs: list[Taken] = field(default_factory=list)
    around: list[tuple[Taken, Taken]] = field(default_factory=list)
    delivered: int = 0
    delivered_in_all: int = 0
    afterwards: float = 0.0
    given_up_after: float | None = None

    def ratio(self, of: Callable[[Taken], float]) -> float:
        """Compare each run with the bare ones right before and after it.

        Args:
            of: chooses which of the times.

        Returns:
            How many times as long it took: the median of all means of two runs' ratios, that of
            Hodges and Lehmann, which needs a third fewer runs than the plain one to be as exact.
        """
        ratios = [
            of(taken) / mean(map(of, around))
            for taken, around in zip(self.runs, self.around, strict=True)
        ]
        return median(map(mean, combinations_with_replacement(ratios, 2)))


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


def run(
    deployments: Deployments,
    database: Database,
    executor: str,
    variants: Mapping[Variant, int],
    cap: float,
) -> RunScene:
    """Run all variants in turn, with a bare run between any two.

    Ours has a deliverer that was alive before the run.

    Args:
        deployments: makes one for each run.
        database: where Dagster keeps the run.
        executor: `in_process` or `multiprocess`.
        variants: the number of runs of each.
        cap: seconds after which a run of 0.2.1 is given up.

    Returns:
        What was measured.
    """
    scene = RunScene(database, executor, {variant: RunTimes() for variant in variants})

    def bare() -> Taken:
        with deployments.new(database, Subject.BARE) as deployment:
            return _to_end(deployment, executor, None)

    with contextlib.ExitStack() as stack:
        backends = {
            variant: stack.enter_context(running(variant[1]))
            for variant in variants
            if variant[1] is not None
        }
        before = bare()
        for number in range(max(variants.values())):
            for variant in (each for each, times in variants.items() if number < times):
                subject, times = variant[0], scene.times[variant]
                limit = cap if subject is Subject.PREDECESSOR else None
                try:
                    taken = _run_one(
                        deployments,
                        database,
                        executor,
                        subject,
                        backends.get(variant),
                        times,
                        limit,
                    )
                except subprocess.TimeoutExpired:
                    times.given_up_after = limit
                    before = bare()
                    continue
                after = bare()
                times.runs.append(taken)
                times.around.append((before, after))
                before = after
    return scene


def _run_one(
    deployments: Deployments,
    database: Database,
    executor: str,
    subject: Subject,
    backend: Backend | None,
    times: RunTimes,
    limit: float | None,
) -> Taken:
    is_ours = subject is Subject.OURS
    with contextlib.ExitStack() as stack:
        deployment = stack.enter_context(
            deployments.new(database, subject, starts_deliverer=is_ours)
        )
        if is_ours and backend is not None:
            stack.enter_context(delivering(deployment, backend.url))
        taken_before = backend.taken() if backend else 0
        taken = _to_end(deployment, executor, backend, limit)
        if not times.runs and backend is not None and backend.behaviour.answers:
            times.delivered = backend.taken() - taken_before
            ended = time.perf_counter()
            times.delivered_in_all = backend.wait_until_quiet(QUIET_SECONDS) - taken_before
            times.afterwards = max(0.0, time.perf_counter() - ended - QUIET_SECONDS)
        return taken


def _to_end(
    deployment: Deployment, executor: str, backend: Backend | None, limit: float | None = None
) -> Taken:
    """Wait for one run.

    Raises:
        TimeoutExpired: it took longer than the limit, and was killed.
        RuntimeError: it failed.
    """
    log = deployment.home / "run.log"
    with log.open("w") as output:
        used_before = _processor_seconds()
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
            process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        wall = time.perf_counter() - begin
    if process.returncode != 0:
        raise RuntimeError(log.read_text()[-LAST_CHARACTERS:])
    return Taken(wall, deployment.run_seconds(), _processor_seconds() - used_before)


def _processor_seconds() -> float:
    """Return the processor time of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _command(python: str, executor: str) -> Sequence[str]:
    return [python, "-m", "dagster", "job", "execute", "-f", str(PROJECT), "-j", executor]
