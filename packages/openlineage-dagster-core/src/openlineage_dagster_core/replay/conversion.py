"""Converts what the event log holds, as the mechanism that sent it first did."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.delivery.outbox import Outbox
from openlineage_dagster_core.facts.event_log import EventLogFacts, entries_of_run
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.facts.writing import decode_definitions
from openlineage_dagster_core.families import CONVERTED, Family
from openlineage_dagster_core.identity import Identity

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.conversion.envelope import Event
    from openlineage_dagster_core.settings import Settings

RUNS_REMEMBERED = 10_000
"""More than are under way at a time: a run that is forgotten is read again."""

DEFINITIONS_REMEMBERED = 256

ABOUT_ASSETS = frozenset({Family.ASSET, Family.CHECK, Family.OBSERVATION})


class Conversion:
    """Makes OpenLineage events of entries of the event log that come in order for each run.

    Threads may use it at the same time, each for other runs.

    Args:
        instance: holds the event log.
        settings: those of the mechanism that sent the events first.
        definitions_of: gives the definitions that were at hand for a run, by its id.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        settings: Settings,
        definitions_of: Callable[[str], Definitions],
    ) -> None:
        self._instance = instance
        self._identity = Identity(settings)
        self._definitions_of = definitions_of
        self._facts = EventLogFacts(
            lambda: instance, rereads_ended=False, runs_remembered=RUNS_REMEMBERED
        )

    def begin(self, record: RunRecord) -> None:
        """Take up a run, all of whose events follow.

        Args:
            record: its row.
        """
        self._facts.begin(record)

    def events_of(self, entry: EventLogEntry) -> list[Event]:
        """Convert one entry.

        Args:
            entry: the next of its run.

        Returns:
            The OpenLineage events.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        if entry.dagster_event_type not in CONVERTED:
            return []
        facts = self._facts.facts_of(entry, self._definitions_of(entry.run_id))
        return list(convert(entry, facts, self._identity))

    def advance(self, entry: EventLogEntry) -> None:
        """Count an entry as happened.

        Args:
            entry: what `events_of` was asked about; also where it raised.
        """
        self._facts.advance(entry)

    def events_of_run(self, record: RunRecord) -> Iterator[Event]:
        """Convert a whole run.

        Args:
            record: its row.

        Yields:
            Its OpenLineage events, in order.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        self.begin(record)
        for entry in entries_of_run(self._instance, record.dagster_run.run_id):
            yield from self.events_of(entry)
            self.advance(entry)

    def events_of_no_run(self) -> Iterator[Event]:
        """Convert what was reported from outside any run.

        Yields:
            Its OpenLineage events, in order.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        for entry in entries_of_run(self._instance, ""):
            yield from self.events_of(entry)


def narrowed(settings: Settings, patterns: tuple[str, ...]) -> Settings:
    """Leave out what is not about certain assets.

    Args:
        settings: say what is sent at all.
        patterns: shell patterns of asset keys; none leaves nothing out.

    Returns:
        The settings.
    """
    if not patterns:
        return settings
    return replace(
        settings,
        families=settings.families & ABOUT_ASSETS,
        assets=replace(settings.assets, only=patterns),
    )


def definitions_by_run(directory: Path, given: Definitions) -> Callable[[str], Definitions]:
    """Find the definitions that were at hand for a run.

    Args:
        directory: of an outbox: what the executing process knew is kept there for a while.
        given: those of the code location, for all that is not known there.

    Returns:
        Gives a run's definitions by its id.
    """
    outbox = Outbox(directory)
    if not outbox.path.exists():
        return lambda _: given

    @lru_cache(maxsize=DEFINITIONS_REMEMBERED)
    def definitions_of(run_id: str) -> Definitions:
        try:
            attached = outbox.attachment(run_id) if run_id else None
        except (sqlite3.Error, OSError):
            # Another account's, or broken: the code location knows nearly the same.
            attached = None
        return decode_definitions(attached) if attached else given

    return definitions_of
