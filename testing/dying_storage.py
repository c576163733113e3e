"""Event log storages that kill their process at the worst moment, for a test's `wrapped`."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from dagster import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

VARIABLE = "DIE_AT"
"""The environment variable that names the type of the event."""


class OfItsOwnClass(SqliteEventLogStorage):
    """Made as what it is: Dagster's own makes its class whatever subclass is named."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OfItsOwnClass:
        """Make the storage that `dagster.yaml` names.

        Args:
            inst_data: where it stands.
            config_value: the value of `config:`.

        Returns:
            The storage.
        """
        return cls(inst_data=inst_data, **config_value)


class DiesAfterStoring(OfItsOwnClass):
    """Is killed when the event is in the log and `store_event` has not returned."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store, and die at the event that the environment names.

        Args:
            event: the event.
        """
        super().store_event(event)
        _die_at(event)


class DiesBeforeStoring(OfItsOwnClass):
    """Is killed when `store_event` has been called and the event is not in the log."""

    def store_event(self, event: EventLogEntry) -> None:
        """Die at the event that the environment names, or store.

        Args:
            event: the event.
        """
        _die_at(event)
        super().store_event(event)


def _die_at(event: EventLogEntry) -> None:
    if event.dagster_event and event.dagster_event.event_type_value == os.environ.get(VARIABLE):
        os.kill(os.getpid(), signal.SIGKILL)
