"""Assets, and a first process at its exit, that say what they have imported and their threads."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from pathlib import Path

import dagster as dg

AT_EXIT = "TOLD_AT_EXIT"
"""The environment variable that names the file for what the first process has at its exit."""

WATCHED = ("openlineage", "requests", "openlineage_dagster_core", "openlineage_dagster_storage")
"""Top-level packages whose modules are told."""


def what_this_process_has() -> dict[str, list[str]]:
    """List modules of ours and of the client, and all threads.

    Returns:
        Two lists of names.
    """
    modules = [name for name in sys.modules if name.split(".")[0] in WATCHED]
    threads = [thread.name for thread in threading.enumerate()]
    return {"modules": sorted(modules), "threads": sorted(threads)}


def _tell_at_exit(path: Path) -> None:
    path.write_text(json.dumps(what_this_process_has()))


if AT_EXIT in os.environ:
    # Those that it starts say it in their assets.
    atexit.register(_tell_at_exit, Path(os.environ.pop(AT_EXIT)))


def _telling(name: str, *upstream: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=list(upstream))
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Tell."""
        return dg.MaterializeResult(metadata={"has": what_this_process_has()})

    return made


_SPAWN = {"max_concurrent": 1, "start_method": {"spawn": {}}}
_FORK_SERVER = {
    "max_concurrent": 1,
    "start_method": {"forkserver": {"preload_modules": ["telling_project"]}},
}

ASSETS = [_telling("first"), _telling("second", "first")]

DEFINITIONS = dg.Definitions(
    assets=ASSETS,
    jobs=[
        dg.define_asset_job("in_process", executor_def=dg.in_process_executor),
        dg.define_asset_job("spawned", executor_def=dg.multiprocess_executor.configured(_SPAWN)),
        dg.define_asset_job(
            "from_a_fork_server", executor_def=dg.multiprocess_executor.configured(_FORK_SERVER)
        ),
    ],
)
