"""What a process that a Dagster step started reads of it: the parent of its own OpenLineage events.

Such a process needs openlineage-python, but neither Dagster nor a connection to it.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from openlineage.client.generated import parent_run

from openlineage_dagster_core.version import PRODUCER

ENV_CONTEXT = "OPENLINEAGE_CONTEXT"
PIPES_EXTRA = "openlineage"  # The extra of a Dagster Pipes context with what the variable holds

logger = logging.getLogger(__name__)


def parent_run_facet(
    environ: Mapping[str, str] = os.environ,
) -> parent_run.ParentRunFacet | None:
    """Return the `parent` facet for the runs of this process, or None where nothing names a parent.

    After `open_dagster_pipes()`, the Dagster Pipes context counts if a step put its identity there
    (`OpenLineagePipesContextInjector`), else the environment (`StepParents.environment`). What is
    not well formed is logged and gives None.

    Args:
        environ: the environment to look in; by default that of this process.
    """
    try:
        context = _in_pipes() or json.loads(environ.get(ENV_CONTEXT) or "null")
        return facet_of(context) if context else None
    except (ValueError, TypeError, LookupError, AttributeError):
        logger.warning("OpenLineage: %s or the Pipes context names no parent run", ENV_CONTEXT)
        return None


def facet_of(context: Mapping[str, Any]) -> parent_run.ParentRunFacet:
    """Build the facet (ParentRunFacet 1-2-0) from `{"parent": {"run", "job", "root"}}`."""
    parent = context["parent"]
    root = context.get("root") or parent.get("root") or parent
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent["run"]["runId"]),
        job=parent_run.Job(parent["job"]["namespace"], parent["job"]["name"]),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=root["run"]["runId"]),
            job=parent_run.RootJob(root["job"]["namespace"], root["job"]["name"]),
        ),
        producer=PRODUCER,
    )


def _in_pipes() -> Any:
    # Not imported: only a process that has opened Dagster Pipes has a context.
    pipes = sys.modules.get("dagster_pipes")
    if pipes is None or not pipes.PipesContext.is_initialized():
        return None
    return (pipes.PipesContext.get().extras or {}).get(PIPES_EXTRA)
