"""The process that is measured: evaluates the sensor when it is told to, one tick a request.

It runs beside 0.2.1 as well as beside ours, which have the same name: it uses nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import sqlalchemy

from benchmarks.fifty_assets import definitions
from benchmarks.memory import peak_memory
from benchmarks.protocol import requests, take_output
from dagster_openlineage import openlineage_sensor


def main() -> None:
    """Obey requests, each of which says where the cursor is; the argument is the sensor's, JSON."""
    answer = take_output()
    sensor = openlineage_sensor(**json.loads(sys.argv[1]))
    instance = dg.DagsterInstance.get()
    statements = _counted(instance)
    answer({"dagster": dg.__version__})
    for request in requests():
        context = dg.build_sensor_context(
            instance=instance, cursor=request["cursor"], definitions=definitions
        )
        before = len(statements)
        begin, cpu_begin = time.perf_counter(), time.process_time()
        result = sensor.evaluate_tick(context)
        end, cpu_end = time.perf_counter(), time.process_time()
        answer(
            {
                "seconds": end - begin,
                "cpu": cpu_end - cpu_begin,
                "queries": len(statements) - before,
                "cursor": result.cursor,
                "peak": peak_memory(),
            }
        )


def _counted(instance: dg.DagsterInstance) -> list[str]:
    """Collect the statements that are sent to the database."""
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    for engine in set(_engines(instance)):
        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    return statements


def _engines(instance: dg.DagsterInstance) -> Iterator[Any]:
    storages: list[Any] = [instance.event_log_storage, instance.run_storage]
    for storage in storages:
        yield storage._engine  # noqa: SLF001 -- there is no other way to listen


if __name__ == "__main__":
    main()
