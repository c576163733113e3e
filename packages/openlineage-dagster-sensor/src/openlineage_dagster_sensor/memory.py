"""What a process remembers from tick to tick: the engine, and with it all that is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from openlineage_dagster_core.engine import Engine
from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.opening import open_log

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.event_log.reader import EventLogReader

# Characters of a cursor: Dagster keeps it with every tick, and MySQL's column holds 64 KB.
LONGEST_TEXT = 16_000


class Memory:
    """Keeps the engine of a tick, as long as the next one goes on where it stopped.

    Dagster keeps only a short text of the cursor; the engine has all of it.
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
        """Begin a tick; return the engine of the tick before, or a new one for `text`, the cursor.

        Where another process or a person has moved the cursor, what is kept is out of date. Each
        evaluation has an instance of its own; `after_storage_id` is where the first tick begins. A
        text that is no cursor raises ValueError.
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
        """Keep the engine for a tick that begins with this text of the cursor."""
        self._text, self._instance = text, None

    def forget(self) -> None:
        """Begin the next tick from the text alone."""
        self._text = self._engine = self._instance = None

    def instance(self) -> DagsterInstance:
        """Return the instance of the current tick; raise FactsUnavailableError after its end."""
        if self._instance is None:
            msg = "the tick has ended"
            raise FactsUnavailableError(msg)
        return self._instance
