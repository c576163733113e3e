"""An event log storage that takes its time over some events, as a busy database does."""

from __future__ import annotations

import os
import time

from dagster import EventLogEntry

from dying_storage import OfItsOwnClass

VARIABLE = "SLOW_AT"
"""The environment variable that names the type of the events."""

SECONDS = 2.0


class SlowStorage(OfItsOwnClass):
    """Waits when `store_event` has been called and the event is not in the log."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store, and wait before it at the events that the environment names.

        Args:
            event: the event.
        """
        found = event.dagster_event
        if found is not None and found.event_type_value == os.environ.get(VARIABLE):
            time.sleep(SECONDS)
        super().store_event(event)
