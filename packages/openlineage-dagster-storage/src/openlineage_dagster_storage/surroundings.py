"""What only the process that executes a run knows, written down beside its records."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster import DagsterEventType

if TYPE_CHECKING:
    from dagster import EventLogEntry

    from openlineage_dagster_core.settings import Settings


def surroundings_of(entries: Iterable[EventLogEntry], settings: Settings) -> dict[str, str]:
    """Write down definitions and environment of the runs that start.

    Args:
        entries: being stored; called inside `store_event`, where they can be found.
        settings: say which environment variables the user wants to see.

    Returns:
        By run id, for RUN_START alone, JSON; nothing where nothing is found.
    """
    found = {}
    for entry in entries:
        event = entry.dagster_event
        if event is None or event.event_type_value != DagsterEventType.RUN_START.value:
            continue
        # Once a run; most processes, such as those of steps, never do.
        from openlineage_dagster_core.environment import allowed_variables
        from openlineage_dagster_core.facts.executing import executing_definitions
        from openlineage_dagster_core.facts.model import Definitions
        from openlineage_dagster_core.facts.outside import parent_in_environment
        from openlineage_dagster_core.facts.writing import encode_definitions

        definitions = replace(
            executing_definitions() or Definitions(),
            parent=parent_in_environment(os.environ),
            environment=allowed_variables(os.environ, settings.environment_variables),
        )
        if definitions != Definitions():
            found[entry.run_id] = encode_definitions(definitions)
    return found
