"""Converts what the event log holds of a run, as the mechanism that delivered it did."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice

from dagster import DagsterInstance, RunRecord

from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.event_log.run_log import events_of_run
from openlineage_dagster_core.facts.event_log import DefinitionsSource, EventLogFacts
from openlineage_dagster_core.families import CONVERTED, Family
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings

ABOUT_ASSETS = frozenset({Family.ASSET, Family.CHECK, Family.OBSERVATION})
EVENTS_A_BATCH = 200  # Events of a run whose facts one query reads


class Conversion:
    """Makes the OpenLineage events of runs, and sends nothing.

    It uses the settings of the mechanism that delivered the events. The methods yield events in
    order, and raise FactsUnavailableError where the instance cannot be read now.
    """

    def __init__(
        self, instance: DagsterInstance, settings: Settings, definitions: DefinitionsSource
    ) -> None:
        self._instance = instance
        self._identity = Identity(settings)
        self._facts = EventLogFacts(lambda: instance, definitions, follows_all=False)

    def events_of_run(
        self, record: RunRecord, only: Collection[int] | None = None
    ) -> Iterator[Event]:
        """Convert a whole run, or the events with these storage ids."""
        run_id = record.dagster_run.run_id
        self._facts.forget(run_id)
        self._facts.begin(record)
        yield from self._events_of(run_id, only)
        self._facts.forget(run_id)

    def events_of_no_run(self) -> Iterator[Event]:
        """Convert what was reported from outside any run."""
        yield from self._events_of("")

    def events_at(self, record: RunRecord | None, storage_ids: Collection[int]) -> Iterator[Event]:
        """Convert single events of a run; of those from outside any run where `record` is None."""
        if record is not None:
            yield from self.events_of_run(record, storage_ids)
            return
        for storage_id in sorted(storage_ids):
            yield from self._events_of("", {storage_id}, after=storage_id - 1)

    def _events_of(
        self, run_id: str, only: Collection[int] | None = None, *, after: int = 0
    ) -> Iterator[Event]:
        until = max(only) if only else None
        events = events_of_run(self._instance, run_id, after=after, until=until)
        while batch := list(islice(events, EVENTS_A_BATCH)):
            decoded = []
            for event in batch:
                # Whatever Dagster raises where it cannot read an event; the engine parks it.
                with contextlib.suppress(Exception):
                    decoded.append((event, event.entry()))
            self._facts.prepare([entry for _, entry in decoded], lambda _: ())
            for event, entry in decoded:
                is_wanted = only is None or event.id.storage_id in only
                if is_wanted and entry.dagster_event_type in CONVERTED:
                    facts = self._facts.facts_of(event, entry)
                    if facts is not None:
                        yield from convert(entry, facts, self._identity)
                self._facts.advance(entry)


def narrowed(settings: Settings, patterns: tuple[str, ...]) -> Settings:
    """Return settings that leave out what is not about assets of these patterns.

    The patterns are shell patterns of asset keys; without any, the settings stay as they are.
    """
    if not patterns:
        return settings
    return replace(
        settings,
        families=settings.families & ABOUT_ASSETS,
        assets=replace(settings.assets, only=patterns),
    )
