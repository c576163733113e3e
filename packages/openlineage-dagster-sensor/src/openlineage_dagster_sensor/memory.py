"""What a process remembers from tick to tick: the whole cursor, and the facts of runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_sensor.cursor import Cursor

if TYPE_CHECKING:
    from dagster import DagsterInstance

RUNS_REMEMBERED = 2000


class Memory:
    """Keeps what a tick knew, as long as the next one goes on where it stopped.

    Of the cursor Dagster keeps a text, which is short; here it stays as it is.
    """

    def __init__(self) -> None:
        self._instance: DagsterInstance | None = None
        self._text: str | None = None
        self._cursor = Cursor()
        self._facts = self._new()

    def resume(
        self, instance: DagsterInstance, text: str | None, after_storage_id: int
    ) -> tuple[Cursor, EventLogFacts]:
        """Begin a tick.

        Args:
            instance: the tick's: each evaluation has its own.
            text: of the cursor. Another process, or a person, may have moved it: then what is
                remembered is not how far the runs are.
            after_storage_id: where to begin, at the first tick.

        Returns:
            The cursor and the facts of the tick before, or new ones.

        Raises:
            ValueError: the text is no cursor.
        """
        if text is None or text != self._text:
            self._cursor = Cursor.from_text(text, after_storage_id)
            # They are of another process, and its clock may be another.
            self._cursor.marks = [(each, time.time()) for each, _ in self._cursor.marks]
            self._facts = self._new()
        self._instance, self._text = instance, None
        return self._cursor, self._facts

    def keep(self, text: str) -> None:
        """Remember where a tick stopped.

        Args:
            text: what Dagster is given to keep of the cursor.
        """
        self._text, self._instance = text, None

    def _new(self) -> EventLogFacts:
        return EventLogFacts(self._living, rereads_ended=False, runs_remembered=RUNS_REMEMBERED)

    def _living(self) -> DagsterInstance:
        if self._instance is None:
            msg = "the tick has ended"
            raise FactsUnavailableError(msg)
        return self._instance
