"""Converts the event log of an instance to OpenLineage events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.graph.from_events import Event

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.deployment import Deployment


def events_of_instance(deployment: Deployment) -> Iterator[Event]:
    """Convert the whole event log of an instance.

    Args:
        deployment: the instance, and how OpenLineage is set up there.

    Yields:
        The events as they would be sent, as JSON's objects.

    Raises:
        FactsUnavailableError: the instance cannot be read.
    """
    # These load all of Dagster.
    from openlineage_dagster_core.replay.selection import Selection
    from openlineage_dagster_core.serialisation import to_object

    conversion = deployment.conversion()
    for record in Selection().runs(deployment.instance):
        yield from map(to_object, conversion.events_of_run(record))
    yield from map(to_object, conversion.events_of_no_run())
