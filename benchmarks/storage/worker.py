"""The process that is measured: stores what it is told to, and tells how long each call took.

It runs beside any Dagster, with or without our packages: it uses nothing but the instance.
"""

from __future__ import annotations

import gc
import sys
import time

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType

from benchmarks.fifty_assets import definitions
from benchmarks.protocol import requests, take_output
from benchmarks.storage.entries import Entries
from benchmarks.storage.kinds import Kind


def main() -> None:
    """Obey requests, one a line of JSON, until there is none; then dispose of the instance."""
    answer = take_output()
    instance = dg.DagsterInstance.get()
    # Its name: one with assets plans them when its run is created.
    job_name = sys.argv[1]
    entries = Entries(_started_run(instance, job_name), job_name)
    gc.collect()
    answer({"dagster": dg.__version__})
    for request in requests():
        if request["do"] == "warm up":
            answer({"seconds": warm_up(instance, entries, request["seconds"])})
        elif request["do"] == "store":
            kind = Kind(request["kind"])
            answer({"seconds": store(instance, entries, kind, request["count"], request["budget"])})
        elif request["do"] == "dispose":
            begin, cpu_begin = time.perf_counter(), time.thread_time()
            instance.dispose()
            took = time.perf_counter() - begin, time.thread_time() - cpu_begin
            answer({"seconds": [took]})
            return


def store(
    instance: dg.DagsterInstance, entries: Entries, kind: Kind, count: int, budget: float
) -> list[tuple[float, float]]:
    """Store one event after the other, or one batch after the other.

    Args:
        instance: where.
        entries: makes them.
        kind: what.
        count: how many.
        budget: after so many seconds no further one is begun.

    Returns:
        How long each took, and how much of the processor, in seconds.
    """
    storage = instance.event_log_storage
    took = []
    ends_at = time.perf_counter() + budget
    for _ in range(count):
        stored = entries.batch() if kind is Kind.BATCH else [entries.one(kind)]
        begin, cpu_begin = time.perf_counter(), time.thread_time()
        if kind is Kind.BATCH:
            storage.store_event_batch(stored)
        else:
            storage.store_event(stored[0])
        end, cpu_end = time.perf_counter(), time.thread_time()
        took.append((end - begin, cpu_end - cpu_begin))
        if end > ends_at:
            break
    return took


def warm_up(
    instance: dg.DagsterInstance, entries: Entries, seconds: float
) -> list[tuple[float, float]]:
    """Store events of all kinds, so that connections, threads and imports are there.

    Args:
        instance: where.
        entries: makes them.
        seconds: for how long.

    Returns:
        How long each took, and how much of the processor, in seconds.
    """
    took = []
    ends_at = time.perf_counter() + seconds
    while time.perf_counter() < ends_at:
        for kind in (Kind.LOG_LINE, Kind.STEP, Kind.MATERIALIZATION):
            took += store(instance, entries, kind, 1, 0)
    return took


def _started_run(instance: dg.DagsterInstance, job_name: str) -> str:
    run = instance.create_run_for_job(definitions.resolve_job_def(job_name))
    instance.report_dagster_event(
        DagsterEvent(
            event_type_value=DagsterEventType.RUN_START.value,
            job_name=job_name,
            message="Started execution of run.",
        ),
        run.run_id,
    )
    return run.run_id


if __name__ == "__main__":
    main()
