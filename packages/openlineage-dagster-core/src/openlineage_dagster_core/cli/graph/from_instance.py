"""The Dagster event log → OpenLineage events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.graph.from_events import Event

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.deployment import Deployment


def events_of_instance(deployment: Deployment) -> Iterator[Event]:
    """Convert all that an instance has recorded.

    Args:
        deployment: the instance, and how OpenLineage is set up there.

    Yields:
        The events as they would be sent, as JSON's objects.

    Raises:
        FactsUnavailableError: the instance cannot be read.
    """
    # They bring Dagster along.
    from openlineage_dagster_core.replay.conversion import Conversion, definitions_by_run
    from openlineage_dagster_core.replay.selection import Selection
    from openlineage_dagster_core.serialisation import to_json

    instance = deployment.instance
    conversion = Conversion(
        instance,
        deployment.settings,
        definitions_by_run(deployment.outbox_directory, deployment.definitions),
    )
    for record in Selection().runs(instance):
        for event in conversion.events_of_run(record):
            yield json.loads(to_json(event))
    for event in conversion.events_of_no_run():
        yield json.loads(to_json(event))
