"""A project that needs every daemon: retries, backfills, pools, conditions, time limits, queue."""

import time
from pathlib import Path

import dagster as dg

DAYS = dg.StaticPartitionsDefinition(["monday", "tuesday", "wednesday"])
POOL = "warehouse"
STAMP = "daemon_project/stamp"
"""A run tag that names a file: what fails once leaves it there."""


@dg.asset
def source() -> None:
    """Succeed."""


@dg.asset(deps=[source], automation_condition=dg.AutomationCondition.eager())
def follows() -> None:
    """Be made whenever its upstream is."""


@dg.asset
def fails_once(context: dg.AssetExecutionContext) -> None:
    """Fail in the first run and succeed in the second."""
    stamp = Path(context.run.tags[STAMP])
    if not stamp.exists():
        stamp.touch()
        msg = "the first time"
        raise ValueError(msg)


@dg.asset(partitions_def=DAYS)
def by_day() -> None:
    """Succeed for each day."""


@dg.asset
def sleeps() -> None:
    """Take longer than its run may."""
    time.sleep(600)


def _pooled(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, pool=POOL)
    def pooled() -> None:
        """Hold the pool for a moment."""
        time.sleep(1)

    return pooled


POOLED = [_pooled(f"pooled_{number}") for number in range(3)]

# Much faster to start than new interpreters.
FORKED = {"start_method": {"forkserver": {"preload_modules": ["daemon_project"]}}}

DEFINITIONS = dg.Definitions(
    executor=dg.multiprocess_executor.configured(FORKED),
    assets=[source, follows, fails_once, by_day, sleeps, *POOLED],
    jobs=[
        dg.define_asset_job("source_job", selection=[source]),
        dg.define_asset_job("fails_once_job", selection=[fails_once]),
        dg.define_asset_job("by_day_job", selection=[by_day]),
        dg.define_asset_job("sleeps_job", selection=[sleeps]),
        dg.define_asset_job("pooled_job", selection=POOLED),
    ],
    sensors=[
        dg.AutomationConditionSensorDefinition(
            "conditions",
            target="*",
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=1,
        )
    ],
)
