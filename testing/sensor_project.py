"""A project whose runs give events of every kind; the sensor sends them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from openlineage_dagster_sensor import openlineage_sensor

GATE = "SENSOR_PROJECT_GATE"
"""The environment variable that names a file: what waits goes on as soon as it is there."""

DAYS = dg.StaticPartitionsDefinition(["monday", "tuesday"])


@dg.asset(
    key=["raw", "orders"],
    check_specs=[dg.AssetCheckSpec("has_rows", asset=["raw", "orders"])],
)
def orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Look at something on the way, and be checked at once."""
    context.log_event(dg.AssetObservation("prices", metadata={"seen": True}))
    passed = dg.AssetCheckResult(check_name="has_rows", passed=True)
    return dg.MaterializeResult(metadata={"dagster/row_count": 3}, check_results=[passed])


@dg.asset_check(asset=orders)
def are_unique() -> dg.AssetCheckResult:
    """Fail, in a step of its own."""
    return dg.AssetCheckResult(passed=False)


@dg.multi_asset(
    specs=[dg.AssetSpec("sales", deps=[orders]), dg.AssetSpec("balance", deps=["sales"])]
)
def books() -> Iterator[Any]:
    """Make two assets in one step, one of the other."""
    yield dg.MaterializeResult("sales")
    yield dg.MaterializeResult("balance")


@dg.asset(deps=["balance"], retry_policy=dg.RetryPolicy(max_retries=1))
def retried(context: dg.AssetExecutionContext) -> None:
    """Succeed at the second attempt."""
    if not context.op_execution_context.retry_number:
        msg = "at the first attempt"
        raise ValueError(msg)


@dg.asset(deps=[orders])
def fails() -> None:
    """Fail at once."""
    msg = "at once"
    raise ValueError(msg)


@dg.asset(deps=[fails])
def comes_too_late() -> None:
    """Be skipped."""


@dg.asset(partitions_def=DAYS)
def by_day() -> None:
    """Succeed for each day."""


@dg.observable_source_asset
def prices() -> dg.DataVersion:
    """Be observed."""
    return dg.DataVersion("1")


@dg.multi_asset(
    specs=[dg.AssetSpec("half_done", deps=[orders]), dg.AssetSpec("never_done", deps=[orders])],
    check_specs=[
        dg.AssetCheckSpec("early", asset="half_done"),
        dg.AssetCheckSpec("late", asset="half_done"),
    ],
)
def waits() -> Iterator[Any]:
    """Wait in the middle, and fail at the end: what follows depends on what was before."""
    yield dg.MaterializeResult("half_done")
    yield dg.AssetCheckResult(asset_key="half_done", check_name="early", passed=True)
    gate = Path(os.environ[GATE])
    while not gate.exists():
        time.sleep(0.02)
    yield dg.AssetCheckResult(asset_key="half_done", check_name="late", passed=False)
    msg = "after all"
    raise ValueError(msg)


@dg.asset(deps=["balance"])
def report() -> None:
    """Be made by a run that the daemon launches."""


nightly = dg.define_asset_job("nightly", selection=[orders, books, retried])
follow_up = dg.define_asset_job("follow_up", selection=[report])


@dg.asset_sensor(
    asset_key=dg.AssetKey("wanted"),
    job=follow_up,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def as_wanted(context: dg.SensorEvaluationContext, _: dg.EventLogEntry) -> dg.RunRequest:
    """Launch a run for each report."""
    return dg.RunRequest(run_key=context.cursor)


SHORT_JOBS: list[tuple[str, dict[str, Any]]] = [
    ("doomed", {}),
    ("daily", {"partition_key": "monday"}),
    ("daily", {"partition_key": "tuesday"}),
    ("look", {}),
]
"""What is executed in a moment, with its options."""

DEFINITIONS = dg.Definitions(
    assets=[orders, books, retried, fails, comes_too_late, by_day, prices, waits, report],
    asset_checks=[are_unique],
    jobs=[
        nightly,
        follow_up,
        dg.define_asset_job("doomed", selection=[fails, comes_too_late]),
        dg.define_asset_job("daily", selection=[by_day]),
        dg.define_asset_job("look", selection=[prices]),
        dg.define_asset_job("under_way", selection=[waits]),
    ],
    # A process for each step takes seconds to start.
    executor=dg.in_process_executor,
    # A backend that hangs is waited for, so that whoever waits can be killed.
    sensors=[openlineage_sensor(minimum_interval_seconds=1, timeout=30), as_wanted],
)


def report_from_outside(instance: dg.DagsterInstance) -> None:
    """Report what happened outside any run.

    Args:
        instance: stores it.
    """
    for number in range(3):
        instance.report_runless_asset_event(
            dg.AssetMaterialization("warehouse", metadata={"number": number})
        )
    instance.report_runless_asset_event(dg.AssetMaterialization("by_day", partition="monday"))
    instance.report_runless_asset_event(dg.AssetObservation(["raw", "orders"]))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("by_day"), check_name="by_hand", passed=True, metadata={}
        )
    )
