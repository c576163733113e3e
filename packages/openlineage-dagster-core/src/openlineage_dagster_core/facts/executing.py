"""Finds the definitions of the job that this process is executing, inside `store_event`.

Dagster hands an event log storage the event and nothing else. While RUN_START is logged, the job's
definition is a caller's local variable (`job_context` of `log_job_event`, the same from Dagster
1.11.6 on), and no public API leads to it: `OpExecutionContext.get()` answers only while a step's
own code runs, which is too late for a step that fails at once. Where a later Dagster moves it,
nothing is found and the inputs come from the materializations' tags.
"""

from __future__ import annotations

import sys
from types import FrameType

from openlineage_dagster_core.facts.definitions import DefinedAssets

_MODULE = "dagster._core.events"
_FUNCTION = "log_job_event"
_VARIABLE = "job_context"


def executing_job_assets() -> DefinedAssets | None:
    """Look for the executing job among this thread's callers.

    Returns:
        The assets of its asset graph: those it materializes and those upstream of them. None
        where this process is not logging an event of a job that it executes.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- the only way to the caller
    while frame is not None:
        if frame.f_code.co_name == _FUNCTION and frame.f_globals.get("__name__") == _MODULE:
            job = getattr(frame.f_locals.get(_VARIABLE), "job", None)
            return DefinedAssets(job.get_definition().asset_layer.asset_graph) if job else None
        frame = frame.f_back
    return None
