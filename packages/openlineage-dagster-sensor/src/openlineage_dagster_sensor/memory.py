"""What a process remembers from tick to tick, so that runs under way are not read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.facts.event_log import EventLogFacts

if TYPE_CHECKING:
    from dagster import DagsterInstance

RUNS_REMEMBERED = 2000


class Memory:
    """Keeps the facts of runs, as long as each tick goes on where the one before stopped."""

    def __init__(self) -> None:
        self._instance: DagsterInstance | None = None
        self._cursor: str | None = None
        self._facts = self._new()

    def facts_for(self, instance: DagsterInstance, cursor: str | None) -> EventLogFacts:
        """Get the facts for a tick.

        Args:
            instance: the tick's: each evaluation has its own.
            cursor: where it begins. Another process, or a person, may have moved it: then what
                is remembered is not how far the runs are.

        Returns:
            Those of the tick before, or new ones.
        """
        if cursor is None or cursor != self._cursor:
            self._facts = self._new()
        self._instance, self._cursor = instance, None
        return self._facts

    def keep(self, cursor: str) -> None:
        """Remember where a tick stopped.

        Args:
            cursor: what Dagster is given to keep.
        """
        self._cursor, self._instance = cursor, None

    def _new(self) -> EventLogFacts:
        return EventLogFacts(self._living, rereads_ended=False, runs_remembered=RUNS_REMEMBERED)

    def _living(self) -> DagsterInstance:
        if self._instance is None:
            msg = "the tick has ended"
            raise FactsUnavailableError(msg)
        return self._instance
