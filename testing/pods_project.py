"""A project whose steps run in pods, by the executor that k8s_job_executor is made of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)

from pods import start_in_pod

LOGS = "PODS_LOGS"
"""The environment variable that names the folder for the output of the steps."""


class PodHandler(StepHandler):
    """Starts each step in a pod."""

    @property
    def name(self) -> str:
        """The name for Dagster's log."""
        return "PodHandler"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[Any]:
        """Start the process of a step."""
        arguments = step_handler_context.execute_step_args.get_command_args()
        [step_key] = step_handler_context.execute_step_args.step_keys_to_execute or ["all"]
        start_in_pod(["-m", *arguments], Path(os.environ[LOGS], f"{step_key}.log"))
        return iter(())

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:  # noqa: ARG002
        """Take every step for well."""
        return CheckStepHealthResult.healthy()

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[Any]:  # noqa: ARG002
        """Do nothing: a step ends by itself."""
        return iter(())


@dg.executor(
    name="pods",
    requirements=dg.multiple_process_executor_requirements(),
    config_schema=dg.Permissive(),  # type: ignore[no-untyped-call]
)
def pods(init_context: dg.InitExecutorContext) -> StepDelegatingExecutor:  # noqa: ARG001
    """Run each step in a pod."""
    return StepDelegatingExecutor(
        PodHandler(),
        retries=RetryMode.DISABLED,
        check_step_health_interval_seconds=1,
        sleep_seconds=0.2,
    )


@dg.asset
def raw() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Succeed."""
    return dg.MaterializeResult(metadata={"dagster/row_count": 3})


@dg.asset(deps=[raw])
def mart() -> None:
    """Succeed after it."""


DEFINITIONS = dg.Definitions(
    assets=[raw, mart], jobs=[dg.define_asset_job("nightly", "*")], executor=pods
)
