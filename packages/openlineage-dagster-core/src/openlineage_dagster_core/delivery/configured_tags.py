"""Adds the tags of openlineage-python's configuration to events, and merges each facet once."""

from functools import partial
from typing import Any, cast

import attr
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import DatasetEvent, Job, JobEvent, Run, RunEvent, RunState

from openlineage_dagster_core.caches import PerObject
from openlineage_dagster_core.serialisation import shared

_Facets = dict[str, Any] | None


class ConfiguredTags:
    """Adds what `OpenLineageClient.update_event_tags_facets` adds to the tags of jobs and runs.

    The client merges the tags anew for every event, and writes the spelling of one event's keys
    into its configuration. Runs and jobs share their facets among many events, so here the client
    merges each facet once, and events share the merged facet as well.
    """

    def __init__(self, client: OpenLineageClient) -> None:
        self._client = client
        self._of_jobs = PerObject(partial(self._merged, of_run=False))
        self._of_runs = PerObject(partial(self._merged, of_run=True))
        # The facets of jobs and runs that have no tags of their own.
        self._new: tuple[Any, Any] | None = None

    def add(self, event: RunEvent | JobEvent | DatasetEvent) -> None:
        """Add the configured tags to an event whose job and run share no mapping of facets."""
        if isinstance(event, DatasetEvent):
            return
        if self._new is None:
            self._new = self._merged(None, of_run=False), self._merged(None, of_run=True)
        event.job.facets = _replaced(event.job.facets, self._of_jobs, self._new[0])
        if isinstance(event, RunEvent):
            event.run.facets = _replaced(event.run.facets, self._of_runs, self._new[1])

    def _merged(self, facet: Any, *, of_run: bool) -> Any:
        """Return a tags facet with the configured tags; None where they change nothing."""
        event: Any = RunEvent(
            eventTime="1970-01-01T00:00:00Z",
            eventType=RunState.START,
            run=Run(runId="00000000-0000-4000-8000-000000000000", facets={}),
            job=Job(namespace="-", name="-", facets={}),
            producer="https://openlineage.io",
        )
        part = event.run if of_run else event.job
        # The client changes the facet that it gets.
        part.facets = {} if facet is None else {"tags": _copied(facet)}
        self._client.update_event_tags_facets(event)
        merged = part.facets.get("tags")
        return None if merged is None or merged == facet else shared(_copied(merged))


def _copied(facet: Any) -> Any:
    return attr.evolve(facet, tags=[attr.evolve(tag) for tag in facet.tags or ()])


def _replaced(facets: _Facets, merged: PerObject[Any, Any], new: Any) -> _Facets:
    """Return the facets with the merged tags; `new` are those of facets without tags."""
    tags = None if facets is None else facets.get("tags")
    if tags is not None and not attr.has(type(tags)):
        # The user's own code made this facet.
        return facets
    found = new if tags is None else merged(tags)
    return facets if found is None else cast("_Facets", {**(facets or {}), "tags": found})
