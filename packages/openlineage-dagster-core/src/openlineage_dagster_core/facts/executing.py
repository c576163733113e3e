"""Finds the definitions of the job that this process is executing, inside `store_event`.

Dagster hands an event log storage the event and nothing else. While RUN_START is logged, the job's
definition is a caller's local variable (`job_context` of `log_job_event`, the same from Dagster
1.11.6 on), and no public API leads to it: `OpExecutionContext.get()` answers only while a step's
own code runs, which is too late for a step that fails at once. If a later Dagster moves it, the
result is None and the inputs come from the materializations' tags.
"""

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

from dagster import AssetKey

from openlineage_dagster_core.facts.definitions import STUB, DefinedAssets, job_facts, with_upstream
from openlineage_dagster_core.facts.model import Definitions

_MODULE = "dagster._core.events"
_FUNCTION = "log_job_event"
_VARIABLE = "job_context"
# External assets of a code location from which on only those with dependencies are read
MANY_EXTERNAL = 500


def executing_definitions(source_code_bytes: int = 0) -> Definitions | None:
    """Return the definitions of the job that a caller of this thread is executing.

    They are the job; the assets that the run is to make or check, and what these depend on; and the
    external assets of the code location. `source_code_bytes` limits what is read of a function that
    makes an asset. None if this process logs no event of a job it executes.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- the only way to the caller
    while frame is not None:
        if frame.f_code.co_name == _FUNCTION and frame.f_globals.get("__name__") == _MODULE:
            context = frame.f_locals.get(_VARIABLE)
            return _definitions_of(context, source_code_bytes) if context is not None else None
        frame = frame.f_back
    return None


def _definitions_of(context: Any, source_code_bytes: int) -> Definitions:
    job = context.job.get_definition()
    layer = job.asset_layer
    run = context.dagster_run
    keys = set(run.asset_selection or layer.asset_graph.executable_asset_keys)
    keys |= {check.asset_key for check in run.asset_check_selection or ()}
    keys |= {check.asset_key for check in layer.asset_graph.asset_check_keys}
    repository = context.job.get_repository_definition()
    # Of all assets: in the graph of a job, those that it only reads seem to be external.
    graph = layer.asset_graph.source_asset_graph if repository is None else repository.asset_graph
    defined = DefinedAssets(graph, source_code_bytes)
    # No run makes external assets, so only this place knows how they are defined.
    external = {key for key in graph.external_asset_keys if not graph.get(key).metadata.get(STUB)}
    if len(external) > MANY_EXTERNAL:
        # Reading thousands at the start of each run would take most of a second.
        external = {key for key in external if graph.get(key).parent_keys}
    assets = {key: defined[key] for key in sorted(external)} | with_upstream(defined, keys)
    facts = replace(job_facts(job), is_like_asset=graph.has(AssetKey([run.job_name])))
    launched = run.remote_job_origin
    origin = launched.repository_origin.get_label() if launched is not None else None
    return Definitions(assets, jobs={run.job_name: facts}, origin=origin)
