"""The event logs that a deliverer is measured with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import dagster as dg

from benchmarks import event_log
from benchmarks.deployments import Deployment
from benchmarks.stored_log import (
    AGE_SECONDS,
    MARK,
    Recording,
    Row,
    rows_reported,
    run_id_of,
)
from openlineage_dagster_core.deliverer_state import BEGIN_ROW, CURSOR_ROW
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.snapshots.writing import keep_definitions

WIDE_COLUMNS = 1000
WIDE_ASSETS = 20
LOGGED_A_RUN = 50
REPORTED = 200

BEGINNING = '{"at": 0.0, "storage_id": 0}'


def wide() -> Recording:
    """Record a run of assets with a thousand columns each.

    Returns:
        The recording.
    """
    log = event_log.EventLog([WIDE_COLUMNS], WIDE_ASSETS)
    return Recording(
        log.repository(),
        event_log.JOB,
        lines_a_step=0,
        partition_key=f"{event_log.FIRST_DAY:%Y-%m-%d}",
    )


def many(assets: int) -> Recording:
    """Record a run of many small assets.

    Args:
        assets: the number of assets.

    Returns:
        The recording.
    """

    def asset(number: int) -> dg.AssetsDefinition:
        @dg.asset(
            name=f"asset_{number:03}",
            key_prefix="many",
            deps=[dg.AssetKey(["many", f"asset_{number - 50:03}"])] if number >= 50 else [],
        )
        def made() -> dg.MaterializeResult[None]:
            return dg.MaterializeResult(metadata={"dagster/row_count": number})

        return made

    definitions = dg.Definitions(
        assets=[asset(number) for number in range(assets)],
        jobs=[dg.define_asset_job("all_assets", executor_def=dg.in_process_executor)],
    )
    return Recording(definitions.get_repository_def(), "all_assets", lines_a_step=0)


def logged_by_hand() -> Recording:
    """Record a run whose op logs materializations of assets that have no definition.

    Returns:
        The recording; the asset keys hold the mark.
    """

    @dg.op
    def log_materializations() -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
        for number in range(LOGGED_A_RUN):
            yield _materialization(f"logged_{number:02}", number)
        yield dg.Output(None)

    @dg.job(executor_def=dg.in_process_executor)
    def by_hand() -> None:
        log_materializations()

    repository = dg.Definitions(jobs=[by_hand]).get_repository_def()
    return Recording(repository, "by_hand", lines_a_step=0)


def reported() -> list[Row]:
    """Record materializations that are reported from outside any run.

    Returns:
        The events.
    """
    return rows_reported(
        [_materialization(f"reported_{number:03}", number) for number in range(REPORTED)]
    )


def _materialization(name: str, number: int) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(["by_hand", MARK, name], metadata={"dagster/row_count": number})


def keep(deployment: Deployment, recording: Recording) -> None:
    """Keep the definitions in the instance, as the processes of the runs would have.

    Args:
        deployment: has the instance.
        recording: has the definitions.
    """
    with _opened(deployment) as instance:
        at = time.time() - 2 * AGE_SECONDS
        keep_definitions(KeyValues(instance), recording.job, recording.definitions, at)


def begin(deployment: Deployment) -> None:
    """Have the next deliverer begin with the first event of the log.

    Args:
        deployment: has the log.
    """
    with _opened(deployment) as instance:
        # An empty cursor counts as none: the table has no delete.
        for row, text in ((BEGIN_ROW, BEGINNING), (CURSOR_ROW, "")):
            KeyValues(instance).put({row: text})


def cursor_of(deployment: Deployment) -> Cursor:
    """Read how far the log was delivered.

    Args:
        deployment: has the log.

    Returns:
        The cursor.
    """
    with _opened(deployment) as instance:
        return Cursor.from_text(KeyValues(instance).get([CURSOR_ROW]).get(CURSOR_ROW))


def store_live(deployment: Deployment, recording: Recording, rate: float, seconds: float) -> int:
    """Store events that the engine reads at a steady rate, as Dagster stores them.

    Args:
        deployment: gets the events.
        recording: what is copied; two runs are under way side by side.
        rate: events a second.
        seconds: how long.

    Returns:
        The number of events.
    """
    rows = [row for row in recording.rows if row.is_followed]
    stored = 0
    with _opened(deployment) as instance:
        began_at = time.monotonic()
        events = _merged(instance, recording, rows)
        while (elapsed := time.monotonic() - began_at) < seconds:
            if stored >= elapsed * rate:
                time.sleep(1 / rate / 4)
                continue
            instance.handle_new_event(next(events))
            stored += 1
    return stored


def _merged(
    instance: dg.DagsterInstance, recording: Recording, rows: Sequence[Row]
) -> Iterator[dg.EventLogEntry]:
    """Give the events of two runs in turn, again and again."""
    number = 0
    while True:
        ids = [run_id_of(number + 1), run_id_of(number + 2)]
        number += 2
        for run_id in ids:
            # Without the snapshots of the recorded one, which this instance does not have.
            instance.add_run(
                dg.DagsterRun(
                    job_name=recording.job,
                    run_id=run_id,
                    tags=recording.run.tags,
                    status=dg.DagsterRunStatus.STARTING,
                )
            )
        for row in rows:
            for run_id in ids:
                text = recording.copied(row, run_id, time.time())
                yield dg.deserialize_value(text, dg.EventLogEntry)


def _opened(deployment: Deployment) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(deployment.home))
