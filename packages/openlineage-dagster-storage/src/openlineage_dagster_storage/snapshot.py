"""Keeps what only the process that executes a run knows, when the run starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from openlineage_dagster_core.environment import allowed_variables
from openlineage_dagster_core.facts.executing import executing_definitions
from openlineage_dagster_core.facts.outside import parent_in_environment
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.settings import is_disabled
from openlineage_dagster_core.snapshots.process_facts import ProcessFacts
from openlineage_dagster_core.snapshots.writing import keep_definitions, keep_process_facts

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry

    from openlineage_dagster_core.settings import Settings


def keep_snapshot(instance: DagsterInstance, event: EventLogEntry, settings: Settings) -> None:
    """Keep the definitions of a run at RUN_START, and the parent and variables of its process.

    The definitions are found on the stack. A process without a transport keeps them, too: a
    deliverer elsewhere may have one.
    """
    key_values = KeyValues(instance)
    if is_disabled(os.environ):
        keep_process_facts(key_values, event.run_id, ProcessFacts(is_disabled=True))
        return
    process = ProcessFacts(
        parent=parent_in_environment(os.environ),
        environment=allowed_variables(os.environ, settings.environment_variables),
    )
    keep_process_facts(key_values, event.run_id, process)
    definitions = executing_definitions(settings.source_code_bytes)
    if definitions is not None:
        job_name = event.job_name or next(iter(definitions.jobs), "")
        keep_definitions(key_values, job_name, definitions, event.timestamp)
