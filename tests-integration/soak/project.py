"""What the load runs: jobs of many kinds, the shop's among them, and the sensor of Mechanism B."""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from openlineage_dagster_sensor import openlineage_sensor
from shop import definitions as shop

TIMEOUT_SECONDS = 2.0
"""Of one request: a backend that hangs for a few seconds is to be given up."""

LAYERS = 6
WIDTH = 6
PAUSE_SECONDS = 0.05
"""A kill is to find a run in the middle."""

REGIONS = dg.StaticPartitionsDefinition(["north", "south", "east"])


def _schema(*columns: str) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, "text", name) for name in columns])


def _layered(layer: int, position: int) -> dg.AssetsDefinition:
    name = f"asset_{layer}_{position}"
    key = dg.AssetKey(["platform", name])
    above = [(position + offset) % WIDTH for offset in range(2)] if layer else []
    deps = [dg.AssetKey(["platform", f"asset_{layer - 1}_{each}"]) for each in above]

    @dg.asset(
        key=key,
        deps=deps,
        group_name=f"layer_{layer}",
        description=f"Number {position} of layer {layer}.",
        owners=["team:platform"],
        kinds={"python"},
        tags={"layer": str(layer)},
        metadata={"dagster/column_schema": _schema("id", "name", f"column_{position}")},
        check_specs=[dg.AssetCheckSpec(check, asset=key) for check in ("has_rows", "is_fresh")],
    )
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg]
        time.sleep(PAUSE_SECONDS)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": 10 * layer + position},
            check_results=[
                dg.AssetCheckResult(check_name="has_rows", passed=True),
                dg.AssetCheckResult(
                    check_name="is_fresh",
                    passed=position % 2 == 0,
                    severity=dg.AssetCheckSeverity.WARN,
                ),
            ],
        )

    return made


PLATFORM = [_layered(layer, position) for layer in range(LAYERS) for position in range(WIDTH)]


def _spread(position: int) -> dg.AssetsDefinition:
    deps = [dg.AssetKey(["spread", f"part_{position // 2}"])] if position else []

    @dg.asset(key=["spread", f"part_{position}"], deps=deps, partitions_def=REGIONS)
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        time.sleep(PAUSE_SECONDS)
        context.log_event(dg.AssetObservation(["external", "weather"], metadata={"at": position}))
        return dg.MaterializeResult(metadata={"dagster/column_schema": _schema("region")})

    return made


SPREAD = [_spread(position) for position in range(5)]


@dg.asset(key=["trouble", "source"], retry_policy=dg.RetryPolicy(max_retries=2))
def source(context: dg.AssetExecutionContext) -> None:
    """Succeed at the second attempt."""
    if not context.op_execution_context.retry_number:
        msg = "at the first attempt"
        raise ValueError(msg)


@dg.multi_asset(
    specs=[
        dg.AssetSpec(["trouble", "made"], deps=[source]),
        dg.AssetSpec(["trouble", "left_out"], deps=[source], skippable=True),
        dg.AssetSpec(["trouble", "of_made"], deps=[["trouble", "made"]]),
    ],
    check_specs=[dg.AssetCheckSpec("early", asset=["trouble", "made"])],
)
def some() -> Iterator[Any]:
    """Make two of three."""
    yield dg.MaterializeResult(["trouble", "made"])
    time.sleep(PAUSE_SECONDS)
    yield dg.AssetCheckResult(asset_key=["trouble", "made"], check_name="early", passed=True)
    yield dg.MaterializeResult(["trouble", "of_made"])


@dg.multi_asset(
    specs=[
        dg.AssetSpec(["trouble", "half"], deps=[["trouble", "of_made"]]),
        dg.AssetSpec(["trouble", "never"], deps=[["trouble", "half"]]),
    ],
)
def breaks() -> Iterator[Any]:
    """Fail in the middle."""
    yield dg.MaterializeResult(["trouble", "half"])
    msg = "in the middle"
    raise ValueError(msg)


@dg.asset(key=["trouble", "too_late"], deps=[["trouble", "never"]])
def too_late() -> None:
    """Be skipped."""


@dg.op(out=dg.DynamicOut(int))
def deal_out() -> Iterator[dg.DynamicOutput[int]]:
    """Give work for six."""
    for number in range(6):
        yield dg.DynamicOutput(number, mapping_key=f"number_{number}")


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def work(context: dg.OpExecutionContext, number: int) -> int:
    """Fail at the first attempt, if the number is odd; and tell of something made on the way."""
    time.sleep(PAUSE_SECONDS)
    if number % 2 and not context.retry_number:
        msg = "at the first attempt"
        raise ValueError(msg)
    context.log_event(dg.AssetMaterialization(["files", f"of_{number}"]))
    return number


@dg.op
def gather(numbers: list[int]) -> int:
    """Add up."""
    return sum(numbers)


@dg.job(executor_def=dg.in_process_executor)
def fan_out() -> None:
    """Map over what is known only when it runs."""
    gather(deal_out().map(work).collect())


# Not forked from a process with threads, and much faster to start than a new interpreter.
_STARTED = {"forkserver": {"preload_modules": ["soak.project"]}}

DEFINITIONS = dg.Definitions(
    assets=[*(shop.defs.assets or ()), *PLATFORM, *SPREAD, source, some, breaks, too_late],
    asset_checks=shop.defs.asset_checks,
    jobs=[
        shop.newsletter,
        shop.watch_suppliers,
        # The shop's own takes all assets that there are.
        dg.define_asset_job(
            "nightly", selection=dg.AssetSelection.groups("raw", "staging", "marts")
        ),
        fan_out,
        dg.define_asset_job("platform", selection=PLATFORM),
        dg.define_asset_job(
            "spread",
            selection=SPREAD,
            executor_def=dg.multiprocess_executor.configured(
                {"max_concurrent": 2, "start_method": _STARTED}
            ),
        ),
        dg.define_asset_job("trouble", selection=[source, some, breaks, too_late]),
    ],
    # A process for each step takes seconds to start.
    executor=dg.in_process_executor,
    sensors=[openlineage_sensor(minimum_interval_seconds=1, timeout=TIMEOUT_SECONDS)],
)
