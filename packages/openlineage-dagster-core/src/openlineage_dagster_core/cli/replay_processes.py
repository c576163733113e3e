"""Replays runs in several processes: Python computes one thread at a time."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import Deployment, opened
from openlineage_dagster_core.cli.failure import CommandError, cause_of

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.replay.replay import Progress, Replay

MOST_PROCESSES = 4
REPORT_SECONDS = 0.2

_NEXT_STEP = "The same command goes on from there."


@dataclass(frozen=True)
class Task:
    """What every process does with its runs.

    Args:
        home: of the instance.
        code: where the definitions are.
        assets: the patterns of those that are sent; none takes all.
        destination: where to; None is the configured backend.
        patience: how long a backend that takes nothing is tried again, in seconds.
        connections: how many each process has.
    """

    home: Path
    code: CodeTarget
    assets: tuple[str, ...]
    destination: str | None
    patience: float
    connections: int = 1


@dataclass(frozen=True)
class _Report:
    """How far a process is.

    Args:
        number: of the process.
        progress: what it has done.
        finished: the runs that it has finished since its last report.
        is_over: whether it is at its end.
        stopped_by: why it ended early.
        failure: why it could not work at all.
    """

    number: int
    progress: Progress
    finished: tuple[str, ...] = ()
    is_over: bool = False
    stopped_by: str | None = None
    failure: str | None = None


def processes_of(runs: int | None) -> int:
    """Choose how many processes are worth their start.

    Args:
        runs: how many there are; None where that is not known.

    Returns:
        As many as there are processors, within reason.
    """
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    return min(MOST_PROCESSES, processors or 1, MOST_PROCESSES if runs is None else runs)


def replay_of(task: Task, deployment: Deployment, **options: Any) -> Replay:
    """Make what replays runs in this process.

    Args:
        task: what is done.
        deployment: opened.
        options: of `Replay`, beside those that the task gives.

    Returns:
        The replay; `sinks` are to be closed by the caller.
    """
    from openlineage_dagster_core.replay.replay import Replay

    conversion = deployment.conversion(task.assets)
    return Replay(deployment.instance, conversion, patience=task.patience, **options)


def replay_in_processes(
    task: Task,
    run_ids: Iterable[str],
    count: int,
    *,
    on_progress: Callable[[Progress], None],
    on_finished: Callable[[str], None],
) -> str | None:
    """Replay runs, several at a time.

    Args:
        task: what is done.
        run_ids: the runs.
        count: how many processes.
        on_progress: is told how far all of them are together.
        on_finished: is told of each run that has ended and is done.

    Returns:
        Why it ended early; None where all was dealt with.

    Raises:
        CommandError: a process could not work, or died.
    """
    from openlineage_dagster_core.delivery.connections import CONNECTIONS

    # Runs that are under way are sent anew where the replay is stopped: not more than need be.
    task = replace(task, connections=max(1, CONNECTIONS // count))
    context = multiprocessing.get_context("spawn")
    todo, reports = context.Queue(), context.Queue()
    processes = [
        context.Process(target=_work, args=(number, task, todo, reports), daemon=True)
        for number in range(count)
    ]
    feeding = _Feeding(run_ids, todo, count)
    try:
        for process in processes:
            process.start()
        feeding.start()
        stopped_by = _follow(processes, reports, on_progress, on_finished)
    finally:
        feeding.stop()
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        for each in (todo, reports):
            each.cancel_join_thread()
            each.close()
    feeding.check()
    return stopped_by


class _Feeding:
    """Finds runs in a thread, while processes work on those before."""

    def __init__(self, run_ids: Iterable[str], todo: Any, count: int) -> None:
        self._run_ids = run_ids
        self._todo = todo
        self._count = count
        self._error: Exception | None = None
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="openlineage-runs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _feed(self) -> None:
        try:
            for run_id in self._run_ids:
                if self._is_stopped.is_set():
                    return
                self._todo.put(run_id)
        except Exception as error:
            # Of the database: it is raised in the main thread.
            self._error = error
        for _ in range(self._count):
            self._todo.put(None)


def _follow(
    processes: list[Any],
    reports: Any,
    on_progress: Callable[[Progress], None],
    on_finished: Callable[[str], None],
) -> str | None:
    from openlineage_dagster_core.replay.replay import Progress

    latest: dict[int, _Report] = {}
    while not (len(latest) == len(processes) and all(each.is_over for each in latest.values())):
        try:
            report: _Report = reports.get(timeout=REPORT_SECONDS)
        except queue.Empty:
            _check_alive(processes, latest)
            continue
        latest[report.number] = report
        for run_id in report.finished:
            on_finished(run_id)
        on_progress(sum((each.progress for each in latest.values()), Progress()))
        if report.failure is not None:
            raise CommandError(report.failure, _NEXT_STEP)
    return next((each.stopped_by for each in latest.values() if each.stopped_by), None)


def _check_alive(processes: list[Any], latest: dict[int, _Report]) -> None:
    for number, process in enumerate(processes):
        is_over = number in latest and latest[number].is_over
        if not is_over and process.exitcode is not None:
            raise CommandError(
                f"A process of the replay died (exit code {process.exitcode}).", _NEXT_STEP
            )


def _work(number: int, task: Task, todo: Any, reports: Any) -> None:
    # Ctrl-C reaches all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from openlineage_dagster_core.replay.replay import Progress

    try:
        with opened(task.home, task.code) as deployment:
            reports.put(_replay(number, task, deployment, todo, reports))
    except click.ClickException as error:
        failure = error.format_message()
    except Exception as error:
        # The boundary of the process: what it says reaches the user through the first one.
        failure = f"{cause_of(error)}."
    else:
        return
    reports.put(_Report(number, Progress(), is_over=True, failure=failure))


def _replay(number: int, task: Task, deployment: Deployment, todo: Any, reports: Any) -> _Report:
    from openlineage_dagster_core.replay.destination import clients_to

    finished: queue.SimpleQueue[str] = queue.SimpleQueue()
    clients = clients_to(task.destination, deployment.settings, task.connections)
    replay = replay_of(task, deployment, sinks=clients, on_finished=finished.put)
    is_over = threading.Event()

    def report(**end: Any) -> _Report:
        count = finished.qsize()
        done = tuple(finished.get() for _ in range(count))
        return _Report(number, replay.snapshot(), done, **end)

    def tell() -> None:
        while not is_over.wait(REPORT_SECONDS):
            reports.put(report())

    telling = threading.Thread(target=tell, name="openlineage-progress", daemon=True)
    telling.start()
    try:
        stopped_by = replay.run(_runs(deployment.instance, todo))
    finally:
        is_over.set()
        telling.join()
        for client in clients:
            client.close()
    return report(is_over=True, stopped_by=stopped_by)


def _runs(instance: DagsterInstance, todo: Any) -> Iterator[RunRecord]:
    from dagster import RunsFilter

    parent = multiprocessing.parent_process()
    while True:
        try:
            run_id = todo.get(timeout=1.0)
        except queue.Empty:
            if parent is not None and not parent.is_alive():
                return
            continue
        if run_id is None:
            return
        yield from instance.get_run_records(RunsFilter(run_ids=[run_id]), limit=1)
