"""The load: workers that execute jobs in processes of their own, and reports from outside."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from dagster_home import DagsterHome, wait_until
from reporting_process import KINDS, Reporter, ReporterEndedError

MODULE = "soak.project"
NUMBER = "soak/number"
"""The run tag that tells which execution a run is of."""

RUN_SECONDS = 300.0
"""A run that takes longer hangs."""

ORPHAN_SECONDS = 120.0

REPORTED = ("warehouse", "erp/stock", "platform/asset_5_0")
"""Reported from outside: an asset that is nowhere defined, one that no run makes, and last one that
runs make too."""


@dataclass(frozen=True)
class Job:
    """A job of the project.

    Args:
        name: of the job.
        weight: how often it is executed, compared with others.
        succeeds: how its runs end if nobody kills them.
        partitions: one of these is executed.
    """

    name: str
    weight: int = 1
    succeeds: bool = True
    partitions: tuple[str, ...] = ()


JOBS = (
    Job("platform", weight=3),
    Job("spread", partitions=("north", "south", "east")),
    Job("nightly", succeeds=False, partitions=tuple(f"2026-01-{day:02}" for day in range(1, 32))),
    Job("trouble", succeeds=False),
    Job("fan_out"),
    Job("newsletter"),
    Job("watch_suppliers"),
)


@dataclass
class Execution:
    """A process that executes a job.

    Args:
        number: in the order of their beginnings.
        job: which job.
        process: leads a process group of its own.
        log: what it said.
        is_killed: whether it, or one of its steps, was killed.
    """

    number: int
    job: Job
    process: subprocess.Popen[bytes]
    log: Path
    is_killed: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it: steps go on when their run's process is killed."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    @property
    def fault(self) -> str | None:
        """What is wrong with its end; None where it ended as it should, or was killed."""
        status = self.process.returncode
        if self.is_killed or (status == 0) is self.job.succeeds:
            return None
        return f"run {self.number} of {self.job.name} ended with exit status {status}: {self.log}"

    def kill(self, *, with_steps: bool) -> None:
        """Kill it.

        Args:
            with_steps: False leaves the processes that it has started.
        """
        self.is_killed = True
        if not with_steps:
            self.process.kill()
            return
        # It may have ended by now.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass
class Load:
    """Executes jobs and reports from outside until it is stopped.

    Args:
        home: the Dagster home.
        logs: a folder for what processes say.
        seed: chooses jobs and moments.
        workers: how many jobs are executed at a time.
        executions: all that there have been.
        reports: how many things were reported from outside.
        faults: what went wrong in the load itself.
    """

    home: DagsterHome
    logs: Path
    seed: str
    workers: int
    executions: list[Execution] = field(default_factory=list)
    reports: int = 0
    faults: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _starting: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        for worker in range(self.workers):
            self._begin(self._execute_jobs, random.Random(f"{self.seed} worker {worker}"))
        self._begin(self._report_from_outside, random.Random(f"{self.seed} outside"))

    def stop(self) -> None:
        """Let what has begun end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        orphaned = [execution for execution in self.executions if execution.is_killed]
        try:
            wait_until(
                lambda: all(execution.is_gone for execution in orphaned),
                ORPHAN_SECONDS,
                "the steps of runs whose process was killed",
                interval=0.1,
            )
        except AssertionError as error:
            self.faults.append(str(error))

    def alive(self) -> list[Execution]:
        """List what is being executed.

        Returns:
            The executions that have not ended.
        """
        return [execution for execution in self.executions if execution.is_alive]

    def started(self, instance: dg.DagsterInstance) -> list[Execution]:
        """List what is being executed, and is past its preparations.

        Args:
            instance: of the home.

        Returns:
            The executions whose run has started.
        """
        return [
            execution
            for execution in self.alive()
            if instance.get_runs_count(
                RunsFilter(
                    tags={NUMBER: str(execution.number)}, statuses=[DagsterRunStatus.STARTED]
                )
            )
        ]

    def _begin(self, work: Callable[[random.Random], None], chance: random.Random) -> None:
        def guarded() -> None:
            try:
                work(chance)
            except Exception as error:
                self.faults.append(f"the load failed: {error!r}")
                raise

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _execute_jobs(self, chance: random.Random) -> None:
        weights = [job.weight for job in JOBS]
        while not self._stopping.is_set():
            [job] = chance.choices(JOBS, weights)
            execution = self._execute(job, chance)
            try:
                execution.process.wait(RUN_SECONDS)
            except subprocess.TimeoutExpired:
                self.faults.append(f"run {execution.number} of {job.name} hangs: {execution.log}")
                execution.kill(with_steps=True)
                execution.process.wait()
            self._stopping.wait(chance.uniform(0, 1))

    def _execute(self, job: Job, chance: random.Random) -> Execution:
        tags = {"team": chance.choice(["a", "b"])}
        if job.partitions:
            tags["dagster/partition"] = chance.choice(job.partitions)
        if chance.random() < 0.3:
            tags["openlineage/parent_id"] = (
                f"airflow/load.all/0199a1b2-0000-7000-8000-{chance.randrange(10**12):012}"
            )
        with self._starting:
            number = len(self.executions) + 1
            log = self.logs / f"run-{number:05}-{job.name}.log"
            process = self.home.start_job(
                MODULE, job.name, "--tags", json.dumps({**tags, NUMBER: str(number)}), log=log
            )
            execution = Execution(number, job, process, log)
            self.executions.append(execution)
        return execution

    def _report_from_outside(self, chance: random.Random) -> None:
        """Keep a process for a while that reports now and then, and none for a while."""
        log = self.logs / "reporter.log"
        while not self._stopping.is_set():
            try:
                reporter = Reporter(self.home, log)
                until = time.monotonic() + chance.uniform(3, 20)
                while time.monotonic() < until and not self._stopping.wait(chance.uniform(0.2, 2)):
                    reporter.report(chance.choice(REPORTED), chance.choice(KINDS))
                    self.reports += 1
                reporter.end()
            except ReporterEndedError as error:
                if error.status != -signal.SIGKILL:
                    self.faults.append(f"{error}: {log}")
            self._stopping.wait(chance.uniform(1, 10))
