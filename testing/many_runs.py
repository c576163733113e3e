"""Stores a large log fast: one run, executed for real, again and again under other ids."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, deserialize_value, serialize_value
from dagster._core.test_utils import create_run_for_test

import fifty_assets


def store_runs(instance: dg.DagsterInstance, count: int, *, at_a_time: int | None = None) -> int:
    """Store runs of fifty assets next to each other, as many at a time write them.

    Args:
        instance: with an event log on a server.
        count: how many runs.
        at_a_time: how many of them are under way at a time; by default all.

    Returns:
        How many events of the log that is.
    """
    run_id, entries = _one_run()
    texts = [serialize_value(entry) for entry in entries]
    logs: list[Iterator[dg.EventLogEntry]] = []
    for number in range(count):
        run = create_run_for_test(
            instance,
            job_name=fifty_assets.JOB,
            run_id=str(uuid.UUID(int=number + 1)),
            status=DagsterRunStatus.SUCCESS,
        )
        logs.append(
            deserialize_value(re.sub(run_id, other, text), dg.EventLogEntry)
            for text, other in zip(texts, [run.run_id] * len(texts), strict=True)
        )
    chance, stored = random.Random(7), 0  # noqa: S311 -- the same at each call
    storage: Any = instance.event_log_storage
    with storage._connect() as connection:  # noqa: SLF001 -- one transaction for all
        while logs:
            log = chance.choice(logs[:at_a_time])
            entry = next(log, None)
            if entry is None:
                logs.remove(log)
                continue
            connection.execute(storage.prepare_insert_event(entry))
            stored += 1
    return stored


def _one_run() -> tuple[str, list[dg.EventLogEntry]]:
    with dg.DagsterInstance.ephemeral() as instance:
        job = fifty_assets.DEFINITIONS.get_repository_def().get_job(fifty_assets.JOB)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        run_id = job.execute_in_process(instance=instance, run_config=quiet).run_id
        records = instance.get_records_for_run(run_id).records
        return run_id, [record.event_log_entry for record in records]
