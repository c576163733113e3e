"""Assets that say what their process has imported and which threads it has."""

from __future__ import annotations

import sys
import threading

import dagster as dg

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


def _telling(name: str, *upstream: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=list(upstream))
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Tell."""
        return dg.MaterializeResult(metadata={"has": what_this_process_has()})

    return made


_SPAWN = {"max_concurrent": 1, "start_method": {"spawn": {}}}

ASSETS = [_telling("first"), _telling("second", "first")]

DEFINITIONS = dg.Definitions(
    assets=ASSETS,
    jobs=[
        dg.define_asset_job("in_process", executor_def=dg.in_process_executor),
        dg.define_asset_job("spawned", executor_def=dg.multiprocess_executor.configured(_SPAWN)),
    ],
)
