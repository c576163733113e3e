"""Appends references to the outbox; what cannot be appended is remembered as a gap."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery import gap_notes
from openlineage_dagster_core.families import RUN_END_VALUES
from openlineage_dagster_core.ordering import ordering_key_of
from openlineage_dagster_storage.references import references_to

if TYPE_CHECKING:
    from dagster import EventLogEntry

    from openlineage_dagster_core.delivery.outbox import Outbox

SUSPENSION_SECONDS = 10.0
"""After an append that failed, the next ones are not tried for so long: each may take a while."""

KEYS_REMEMBERED = 10_000
SURROUNDINGS_REMEMBERED = 20


class Recorder:
    """Appends for all storages of a process that use one outbox.

    Args:
        outbox: where to.

    Attributes:
        has_ended_something: whether a run has ended here, or something was reported from outside
            any: nobody of it may come after this process.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.has_ended_something = False
        self._lock = threading.Lock()
        self._gaps: dict[str | None, float] = {}
        self._surroundings: dict[str, str] = {}
        self._reason = ""
        self._no_append_before = 0.0

    def append(
        self, entries: Sequence[EventLogEntry], surroundings: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """Refer to events, before or after they are stored.

        Args:
            entries: those that `is_converted`.
            surroundings: by run id, what is kept beside the run's records.

        Returns:
            The ordering key and the payload of each record; none while the outbox cannot be
            written.

        Raises:
            OSError: it cannot be written; the events are in a gap now.
            sqlite3.Error: likewise.
        """
        self.has_ended_something |= any(map(_ends_something, entries))
        if time.monotonic() < self._no_append_before:
            self._miss(entries, surroundings, self._reason)
            return ()
        try:
            records = references_to(entries)
            self._append(records, surroundings)
        except Exception as error:
            self._miss(entries, surroundings, fault.described(error))
            raise
        return records

    def release(self, records: Sequence[tuple[str, str]]) -> None:
        """Say that the events of records were not stored, or may not be.

        Args:
            records: from `append`.

        Raises:
            OSError: it cannot be said.
        """
        self._outbox.release(records)

    def close(self) -> None:
        """Write down what is still missing, and let go of the file.

        Raises:
            OSError: it cannot be written; what is missing is noted beside it where that is
                possible.
            sqlite3.Error: likewise.
        """
        try:
            if self._gaps:
                self._append([], {})
        finally:
            self._outbox.close()

    def _append(self, records: Sequence[tuple[str, str]], surroundings: Mapping[str, str]) -> None:
        with self._lock:
            gaps, self._gaps = self._gaps, {}
            kept, self._surroundings = self._surroundings, {}
        try:
            self._outbox.append(records, {**kept, **surroundings}, gaps, reason=self._reason)
        except Exception as error:
            with self._lock:
                self._surroundings.update(kept)
                for key, since in gaps.items():
                    self._gaps[key] = min(since, self._gaps.get(key, since))
            if isinstance(error, (sqlite3.OperationalError, OSError)):
                # Locked or full: every further event would make the run wait as long again.
                self._no_append_before = time.monotonic() + SUSPENSION_SECONDS
            raise

    def _miss(
        self, entries: Sequence[EventLogEntry], surroundings: Mapping[str, str], reason: str
    ) -> None:
        self._reason = reason
        with self._lock:
            if len(self._surroundings) < SURROUNDINGS_REMEMBERED:
                self._surroundings.update(surroundings)
            for entry in entries:
                key: str | None = ordering_key_of(entry)
                if len(self._gaps) >= KEYS_REMEMBERED and key not in self._gaps:
                    # One for all of them.
                    self._gaps = {None: min(self._gaps.values())}
                if None in self._gaps:
                    key = None
                is_known = key in self._gaps
                self._gaps[key] = min(entry.timestamp, self._gaps.get(key, entry.timestamp))
                if not is_known:
                    # This process may not live until the outbox can be written again.
                    gap_notes.write(self._outbox.directory, key, self._gaps[key], reason)


def _ends_something(entry: EventLogEntry) -> bool:
    return not entry.run_id or entry.get_dagster_event().event_type_value in RUN_END_VALUES
