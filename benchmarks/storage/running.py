"""How long a run of fifty assets takes, as a process of its own, from its start to its exit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    """What the runs of one variant took, and the bare runs that went on beside them.

    Args:
        wall: seconds of the process.
        inside: seconds from RUN_START to RUN_SUCCESS.
        cpu: seconds of the processor, of the process and of those it waited for.
        delivered: how many events the backend took from the first, until its process was gone.
        delivered_in_all: the same, until the process was gone as well that sends what is left.
        afterwards: seconds from the one to the other.
        given_up_after: seconds after which a run that did not end was given up.
        beside: what the bare run beside each took.
    """

    wall: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    delivered: int = 0
    delivered_in_all: int = 0
    afterwards: float = 0.0
    given_up_after: float | None = None
    beside: RunTimes | None = None

    def ratio(self, of: Callable[[RunTimes], list[float]]) -> float:
        """Compare each run with the one beside it.

        Args:
            of: chooses which of the times.

        Returns:
            How many times as long it took, the median.
        """
        bare = of(self.beside or self)
        return median(ours / each for ours, each in zip(of(self), bare, strict=True))


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
    """Let all variants run in turn, each beside a bare one.

    Args:
        deployments: makes one for each run.
        database: where Dagster keeps the run.
        executor: `in_process` or `multiprocess`.
        variants: how often each is to run.
        cap: after how many seconds the predecessor's run is given up.

    Returns:
        What was measured.
    """
    scene = RunScene(
        database, executor, {variant: RunTimes(beside=RunTimes()) for variant in variants}
    )
    with contextlib.ExitStack() as stack:
        backends = {
            variant: stack.enter_context(running(variant[1]))
            for variant in variants
            if variant[1] is not None
        }
        for number in range(max(variants.values())):
            turns = [variant for variant, times in variants.items() if number < times]
            for variant in reversed(turns) if number % 2 else turns:
                subject = variant[0]
                with (
                    deployments.new(database, Subject.BARE) as bare,
                    deployments.new(database, subject) as deployment,
                ):
                    limit = cap if subject is Subject.PREDECESSOR else None
                    times, backend = scene.times[variant], backends.get(variant)
                    _execute(bare, deployment, executor, backend, times, limit, number)
                    _end_delivery(deployment.home)
    return scene


def _execute(
    bare: Deployment,
    deployment: Deployment,
    executor: str,
    backend: Backend | None,
    times: RunTimes,
    limit: float | None,
    number: int,
) -> None:
    taken_before = backend.taken() if backend else 0
    pair = [_Run(bare, executor, None, None), _Run(deployment, executor, backend, limit)]
    with ThreadPoolExecutor(len(pair)) as threads:
        # Whoever begins first is a little faster.
        for each in list(threads.map(_Run.to_end, pair[::-1] if number % 2 else pair)):
            if each.status is None:
                times.given_up_after = limit
                return
    for each, of_it in zip(pair, (times.beside or RunTimes(), times), strict=True):
        of_it.wall.append(each.wall)
        of_it.cpu.append(each.cpu)
        of_it.inside.append(each.deployment.run_seconds())
    if number == 0:
        times.delivered = backend.taken() - taken_before if backend else 0
        # With a backend that takes nothing it takes long: once is enough.
        ended = time.perf_counter()
        while _is_delivery_going_on(deployment.home):
            time.sleep(POLL_SECONDS)
        times.afterwards = time.perf_counter() - ended
        times.delivered_in_all = backend.taken() - taken_before if backend else 0


class _Run:
    """One run, as a process.

    Args:
        deployment: where.
        executor: the job's.
        backend: where ours sends.
        limit: seconds after which it is given up.
    """

    def __init__(
        self, deployment: Deployment, executor: str, backend: Backend | None, limit: float | None
    ) -> None:
        self.deployment = deployment
        self.wall = self.cpu = 0.0
        self.status: int | None = None
        self._command = _command(deployment.python, executor)
        self._environment = deployment.environment(backend.url if backend else None)
        self._limit = limit

    def to_end(self) -> _Run:
        log = self.deployment.home / "run.log"
        with log.open("w") as output:
            begin = time.perf_counter()
            process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=output,
                cwd=self.deployment.home,
                env=self._environment,
                # The steps' processes end with it.
                start_new_session=True,
            )
            is_over = threading.Event()
            if self._limit is not None:
                threading.Thread(target=self._give_up, args=(process.pid, is_over)).start()
            # Of this one alone, with what it waited for.
            _, status, used = os.wait4(process.pid, 0)
            self.wall = time.perf_counter() - begin
            is_over.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        if self._limit is not None and process.returncode == -signal.SIGKILL:
            return self
        if process.returncode != 0:
            raise RuntimeError(log.read_text()[-LAST_CHARACTERS:])
        self.status = process.returncode
        self.cpu = used.ru_utime + used.ru_stime
        return self

    def _give_up(self, pid: int, is_over: threading.Event) -> None:
        if not is_over.wait(self._limit):
            os.killpg(pid, signal.SIGKILL)


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


def _command(python: str, executor: str) -> Sequence[str]:
    return [python, "-m", "dagster", "job", "execute", "-f", str(PROJECT), "-j", executor]
