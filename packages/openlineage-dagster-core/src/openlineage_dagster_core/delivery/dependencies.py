"""Lists what an OpenLineage event shares with others: events that share it are sent in order."""

from collections.abc import Hashable
from typing import Any

from openlineage.client.event_v2 import DatasetEvent, RunEvent, RunState

from openlineage_dagster_core.delivery.lanes import Dependency
from openlineage_dagster_core.serialisation import Event, facet_text


def dependencies_of(event: Event) -> list[Dependency]:
    """List the job, the datasets and the runs of an event, each once.

    A backend keeps what arrives last. So events of one job go in order, and events that write one
    dataset. Events that only read a dataset may go side by side while they say the same of it. The
    events of a child come after its parent's START.
    """
    found: dict[Hashable, Hashable | None] = {}
    if isinstance(event, DatasetEvent):
        return [Dependency(("dataset", event.dataset.namespace, event.dataset.name))]
    found["job", event.job.namespace, event.job.name] = None
    if isinstance(event, RunEvent):
        parent: Any = (event.run.facets or {}).get("parent")
        if parent is not None:
            found["run", str(parent.run.runId)] = "child"
        if event.eventType == RunState.START:
            found["run", str(event.run.runId)] = None
    for dataset in event.inputs or ():
        found["dataset", dataset.namespace, dataset.name] = _version(dataset.facets)
    for written in event.outputs or ():
        found["dataset", written.namespace, written.name] = None
    return [Dependency(key, version) for key, version in found.items()]


def _version(facets: dict[str, Any] | None) -> int:
    try:
        return hash(tuple((name, facet_text(facet)) for name, facet in (facets or {}).items()))
    except (TypeError, ValueError, RecursionError):
        # The client cannot write a facet of the user's, and refuses the event later.
        return id(facets)
