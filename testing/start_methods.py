"""Jobs whose steps are processes of their own, started in each way that Dagster knows."""

import multiprocessing

import dagster as dg


@dg.asset
def first() -> None:
    """Succeed."""


@dg.asset(deps=[first])
def forks() -> None:
    """Fork, as libraries do, from a process with threads of ours."""
    process = multiprocessing.get_context("fork").Process(target=print, args=("forked",))
    process.start()
    process.join()
    assert process.exitcode == 0


@dg.asset(deps=[first])
def beside() -> None:
    """Succeed at the same time."""


def _executor(start_method: dict[str, object]) -> dg.ExecutorDefinition:
    return dg.multiprocess_executor.configured({"max_concurrent": 2, "start_method": start_method})


_SPAWN = _executor({"spawn": {}})
_FORK_SERVER = _executor({"forkserver": {"preload_modules": ["start_methods"]}})

DEFINITIONS = dg.Definitions(
    assets=[first, forks, beside],
    jobs=[
        dg.define_asset_job("spawned", executor_def=_SPAWN),
        dg.define_asset_job("from_a_fork_server", executor_def=_FORK_SERVER),
        dg.define_asset_job("in_process", executor_def=dg.in_process_executor),
    ],
)

JOBS = ("spawned", "from_a_fork_server", "in_process")
