"""The records that Mechanism A puts into the outbox: an event, and the definitions once a run."""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster import DagsterEventType, EventLogEntry, deserialize_value, serialize_value

from openlineage_dagster_core.environment import allowed_variables
from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.executing import executing_definitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.facts.outside import parent_in_environment
from openlineage_dagster_core.facts.writing import decode_definitions, encode_definitions
from openlineage_dagster_core.families import RUN_ENDS

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.delivery.client import Event
    from openlineage_dagster_core.delivery.outbox import Outbox, Record
    from openlineage_dagster_core.settings import Settings

RUNS_REMEMBERED = 256


def encode_entry(entry: EventLogEntry) -> str:
    """Write an event down.

    Args:
        entry: the event.

    Returns:
        JSON, by Dagster's own serializer.
    """
    return serialize_value(entry)


def encode_surroundings(entry: EventLogEntry, settings: Settings) -> str | None:
    """Write down what only the process that executes the run knows.

    Args:
        entry: the event being stored; called inside `store_event`.
        settings: say which environment variables the user wants to see.

    Returns:
        JSON of the definitions and of what the environment says, for RUN_START; None for other
        events, or where nothing is found.
    """
    if entry.dagster_event_type is not DagsterEventType.RUN_START:
        return None
    found = replace(
        executing_definitions() or Definitions(),
        parent=parent_in_environment(os.environ),
        environment=allowed_variables(os.environ, settings.environment_variables),
    )
    return encode_definitions(found) if found != Definitions() else None


class StoredEventConverter:
    """Turns the records back into events and converts them; runs in the shipper's thread.

    Args:
        outbox: holds the definitions.
        settings: the namespaces.
        instance: holds the runs and their logs; kept weakly, as storages keep it.
    """

    def __init__(self, outbox: Outbox, settings: Settings, instance: DagsterInstance) -> None:
        self._outbox = outbox
        self._settings = settings
        self._instance = weakref.ref(instance)
        self._facts = EventLogFacts(self._live_instance)
        self._definitions: OrderedDict[str, Definitions] = OrderedDict()
        self._entry: EventLogEntry | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the instance still lives."""
        return self._instance() is not None

    def _live_instance(self) -> DagsterInstance:
        instance = self._instance()
        if instance is None:
            msg = "the instance is gone"
            raise FactsUnavailableError(msg)
        return instance

    def to_events(self, record: Record) -> Sequence[Event]:
        """Convert a record.

        Args:
            record: from the outbox.

        Returns:
            The OpenLineage events.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        # Imported here, in the shipper's thread: they bring openlineage-python's client along.
        from openlineage_dagster_core.conversion import convert
        from openlineage_dagster_core.identity import Identity

        self._entry = entry = deserialize_value(record.payload, EventLogEntry)
        facts = self._facts.facts_of(entry, self._definitions_of(record.ordering_key))
        return convert(entry, facts, Identity(self._settings))

    def done(self, record: Record) -> None:
        """Count the event as happened.

        Args:
            record: the one converted last.
        """
        if self._entry is not None:
            self._facts.advance(self._entry)
            if self._entry.dagster_event_type in RUN_ENDS:
                self._definitions.pop(record.ordering_key, None)
                self._outbox.drop_attachment(record.ordering_key)

    def _definitions_of(self, run_id: str) -> Definitions:
        if run_id not in self._definitions:
            attached = self._outbox.attachment(run_id)
            self._definitions[run_id] = decode_definitions(attached) if attached else Definitions()
            while len(self._definitions) > RUNS_REMEMBERED:
                self._definitions.popitem(last=False)
        return self._definitions[run_id]
