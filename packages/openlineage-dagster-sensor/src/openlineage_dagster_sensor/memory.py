"""What a process remembers from tick to tick: the engine, and with it all that is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from openlineage_dagster_core.engine import Engine
from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import open_log

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.event_log.reader import EventLogReader

LONGEST_TEXT = 16_000
"""Characters of a cursor: Dagster keeps it with every tick, and MySQL's column holds 64 KB."""


class Memory:
    """Keeps the engine of a tick, as long as the next one goes on where it stopped.

    Of the cursor Dagster keeps a text, which is short; here all is as it was.
    """

    def __init__(self) -> None:
        self._instance: DagsterInstance | None = None
        self._text: str | None = None
        self._engine: Engine | None = None

    def resume(
        self,
        instance: DagsterInstance,
        text: str | None,
        after_storage_id: int,
        make: Callable[[EventLogReader], Engine],
    ) -> Engine:
        """Begin a tick.

        Args:
            instance: the tick's: each evaluation has its own.
            text: of the cursor. Another process, or a person, may have moved it: then what is
                remembered is not how far the log is delivered.
            after_storage_id: where to begin, at the first tick.
            make: makes an engine for a reader.

        Returns:
            The engine of the tick before, or a new one.

        Raises:
            ValueError: the text is no cursor.
        """
        self._instance = instance
        if self._engine is None or text is None or text != self._text:
            cursor = Cursor.from_text(text, after_storage_id)
            self._engine = make(open_log(instance, cursor))
        else:
            self._engine.reader.use(instance)
        self._text = None
        return self._engine

    def keep(self, text: str) -> None:
        """Remember where a tick stopped.

        Args:
            text: what Dagster is given to keep of the cursor.
        """
        self._text, self._instance = text, None

    def forget(self) -> None:
        """Begin the next tick from the text alone."""
        self._text = self._engine = self._instance = None

    def instance(self) -> DagsterInstance:
        """Give the instance of the tick that goes on.

        Returns:
            The instance.

        Raises:
            FactsUnavailableError: no tick goes on.
        """
        if self._instance is None:
            msg = "the tick has ended"
            raise FactsUnavailableError(msg)
        return self._instance
