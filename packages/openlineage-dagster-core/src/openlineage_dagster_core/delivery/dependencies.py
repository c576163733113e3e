"""What an OpenLineage event shares with others, so that it has to be sent in order with them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from openlineage.client.event_v2 import DatasetEvent, RunEvent, RunState

from openlineage_dagster_core.delivery.lanes import Dependency
from openlineage_dagster_core.serialisation import Event, facet_text

_CHILD = "child"


def dependencies_of(event: Event) -> Sequence[Dependency]:
    """List what an event shares with others.

    Events of one job go in order, and events that write one dataset; events that only read it may
    go side by side while they say the same of it, for a backend keeps what arrives last. The events
    of a child come after its parent's START.

    Args:
        event: an OpenLineage event.

    Returns:
        The job, the datasets and the runs, each once.
    """
    found: dict[Hashable, Hashable | None] = {}
    if isinstance(event, DatasetEvent):
        found["dataset", event.dataset.namespace, event.dataset.name] = None
        return _listed(found)
    found["job", event.job.namespace, event.job.name] = None
    if isinstance(event, RunEvent):
        parent: Any = (event.run.facets or {}).get("parent")
        if parent is not None:
            found["run", str(parent.run.runId)] = _CHILD
        if event.eventType == RunState.START:
            found["run", str(event.run.runId)] = None
    for dataset in event.inputs or ():
        found["dataset", dataset.namespace, dataset.name] = _version(dataset.facets)
    for written in event.outputs or ():
        found["dataset", written.namespace, written.name] = None
    return _listed(found)


def _version(facets: dict[str, Any] | None) -> int:
    try:
        return hash(tuple((name, facet_text(facet)) for name, facet in (facets or {}).items()))
    except (TypeError, ValueError, RecursionError):
        # A user's facet that cannot be written; the event is refused later.
        return id(facets)


def _listed(found: dict[Hashable, Hashable | None]) -> list[Dependency]:
    return [Dependency(key, version) for key, version in found.items()]
