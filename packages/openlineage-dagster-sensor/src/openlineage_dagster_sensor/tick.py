"""One evaluation of the sensor: read what is new, convert it, deliver it, move the cursor."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import DagsterEventType, EventLogEntry, EventLogRecord

from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.families import CONVERTED, RUN_ENDS
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_sensor.cursor import Cursor, RunCursor
from openlineage_dagster_sensor.reading import find_runs, new_records, resolve_beginning, settle

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.facts.model import Definitions, Facts

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a tick did, for its reason in the Dagster UI.

    Args:
        read: events of the log that are done with.
        sent: OpenLineage events that the backend took.
        parked: events of the log that were refused or could not be converted.
        unreadable: runs that could not be read and are tried again.
        stopped_by: why the tick ended early.
    """

    read: int = 0
    sent: int = 0
    parked: int = 0
    unreadable: int = 0
    stopped_by: str | None = None

    def __str__(self) -> str:
        text = f"read {self.read} events, sent {self.sent}, parked {self.parked}"
        if self.unreadable:
            text += f", {self.unreadable} runs cannot be read"
        return f"{text}; {self.stopped_by}" if self.stopped_by else text


class _EarlyEnd(Exception):  # noqa: N818 -- not an error: its text is the tick's reason
    """The tick ends before it is through."""


class Tick:
    """One evaluation.

    Args:
        instance: holds runs and event log.
        definitions: those of the sensor's code location.
        identity: gives names and ids.
        client: delivers.
        concerned: the Dagster events whose OpenLineage events are sent.
        limit: how many events of the log to deal with at most.
        budget: how long to go on, in seconds.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        definitions: Definitions,
        identity: Identity,
        client: LineageClient,
        *,
        concerned: Collection[DagsterEventType] = CONVERTED,
        limit: int,
        budget: float,
    ) -> None:
        self._instance = instance
        self._definitions = definitions
        self._identity = identity
        self._client = client
        self._concerned = concerned
        self._limit = limit
        self._deadline = time.monotonic() + budget
        self._facts = EventLogFacts(lambda: instance)
        self._outcome = Outcome()

    def run(self, cursor: Cursor) -> Outcome:
        """Deal with what is new.

        Args:
            cursor: moves past what the backend took, and nothing else; also where this raises.

        Returns:
            What was done.
        """
        resolve_beginning(self._instance, cursor)
        find_runs(self._instance, cursor, time.time())
        try:
            for run_id, run in list(cursor.runs.items()):
                self._deal_with(run_id, run)
                # The next tick begins with the runs that this one did not come to.
                cursor.runs[run_id] = cursor.runs.pop(run_id)
        except _EarlyEnd as end:
            self._outcome.stopped_by = str(end)
        except BackendUnavailableError as error:
            logger.warning("OpenLineage: the backend takes no events: %s", error)
            self._outcome.stopped_by = f"the backend takes no events, will retry: {error}"
        finally:
            settle(cursor, time.time())
        return self._outcome

    def _deal_with(self, run_id: str, run: RunCursor) -> None:
        self._check_time()
        try:
            for record in new_records(self._instance, run_id, run, CONVERTED):
                self._check_limit()
                self._deliver(run, record)
                entry = record.event_log_entry
                run.done[record.storage_id] = int(entry.timestamp)
                run.has_ended |= entry.dagster_event_type in RUN_ENDS
        except (_EarlyEnd, BackendUnavailableError):
            raise
        except Exception as error:
            # A run that cannot be read is tried again at the next tick and holds up no other.
            self._outcome.unreadable += 1
            logger.warning(
                "OpenLineage: run %s cannot be read, will retry: %s", run_id, type(error).__name__
            )

    def _check_limit(self) -> None:
        if self._outcome.read >= self._limit:
            msg = "the rest follows at the next tick"
            raise _EarlyEnd(msg)

    def _check_time(self) -> None:
        if time.monotonic() >= self._deadline:
            msg = "out of time, the rest follows at the next tick"
            raise _EarlyEnd(msg)

    def _deliver(self, run: RunCursor, record: EventLogRecord) -> None:
        entry = record.event_log_entry
        facts = self._facts.facts_of(entry, self._definitions)
        try:
            self._send(run, record, self._convert(entry, facts))
        except (_EarlyEnd, BackendUnavailableError):
            raise
        except Exception as error:
            # Neither a refused event nor a fault of ours may hold up the rest.
            self._outcome.parked += 1
            logger.log(
                logging.ERROR,
                "OpenLineage: %s of run %s (storage id %s) is parked: %s",
                entry.get_dagster_event().event_type.name,
                entry.run_id,
                record.storage_id,
                error,
                exc_info=not isinstance(error, EventRefusedError),
            )
        self._outcome.read += 1
        self._facts.advance(entry)

    def _convert(self, entry: EventLogEntry, facts: Facts) -> Sequence[Event]:
        if entry.dagster_event_type not in self._concerned:
            return []
        return convert(entry, facts, self._identity)

    def _send(self, run: RunCursor, record: EventLogRecord, events: Sequence[Event]) -> None:
        """Send what the last tick has not, one by one: a step may have thousands of assets."""
        storage_id, sent = run.partly
        begin = sent if storage_id == record.storage_id else 0
        refusal: EventRefusedError | None = None
        for position, event in enumerate(events[begin:], start=begin):
            self._check_time()
            try:
                self._client.emit(event)
                self._outcome.sent += 1
            except EventRefusedError as error:
                refusal = error
            run.partly = (record.storage_id, position + 1)
        if refusal is not None:
            raise refusal
