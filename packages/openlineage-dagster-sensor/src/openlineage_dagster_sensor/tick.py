"""One evaluation of the sensor: read what is new, convert it, deliver it, move the cursor."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import AssetKey, DagsterEventType, EventLogEntry, EventLogRecord

from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.families import CONVERTED, RUN_ENDS
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_sensor.cursor import Cursor
from openlineage_dagster_sensor.reading import find_runs, new_records, settle

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.facts.model import AssetFacts

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a tick did, for its reason in the Dagster UI.

    Args:
        read: events of the log that are done with.
        sent: OpenLineage events that the backend took.
        parked: events of the log that were refused or could not be converted.
        stopped_by: why the tick ended early.
    """

    read: int = 0
    sent: int = 0
    parked: int = 0
    stopped_by: str | None = None

    def __str__(self) -> str:
        text = f"read {self.read} events, sent {self.sent}, parked {self.parked}"
        return f"{text}; {self.stopped_by}" if self.stopped_by else text


class Tick:
    """One evaluation.

    Args:
        instance: holds runs and event log.
        assets: the definitions of the sensor's code location.
        identity: gives names and ids.
        client: delivers.
        concerned: the Dagster events whose OpenLineage events are sent.
        limit: how many events of the log to deal with at most.
        budget: how long to go on, in seconds.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        assets: Mapping[AssetKey, AssetFacts],
        identity: Identity,
        client: LineageClient,
        *,
        concerned: Collection[DagsterEventType] = CONVERTED,
        limit: int,
        budget: float,
    ) -> None:
        self._instance = instance
        self._assets = assets
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
            cursor: moves past what the backend took, and nothing else.

        Returns:
            What was done.
        """
        find_runs(self._instance, cursor, time.time())
        try:
            for run_id, run in cursor.runs.items():
                for record in new_records(self._instance, run_id, run, CONVERTED):
                    if self._is_over():
                        return self._outcome
                    self._deliver(record)
                    entry = record.event_log_entry
                    run.done[record.storage_id] = int(entry.timestamp)
                    run.has_ended |= entry.dagster_event_type in RUN_ENDS
        except BackendUnavailableError as error:
            logger.warning("OpenLineage: the backend takes no events: %s", error)
            self._outcome.stopped_by = f"the backend takes no events, will retry: {error}"
        finally:
            settle(cursor, time.time())
        return self._outcome

    def _is_over(self) -> bool:
        if self._outcome.read >= self._limit:
            self._outcome.stopped_by = "the rest follows at the next tick"
        elif time.monotonic() >= self._deadline:
            self._outcome.stopped_by = "out of time, the rest follows at the next tick"
        return self._outcome.stopped_by is not None

    def _deliver(self, record: EventLogRecord) -> None:
        entry = record.event_log_entry
        try:
            sent = self._send(entry)
        except BackendUnavailableError:
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
        else:
            self._outcome.sent += sent
        self._outcome.read += 1
        self._facts.advance(entry)

    def _send(self, entry: EventLogEntry) -> int:
        facts = self._facts.facts_of(entry, self._assets)
        if entry.dagster_event_type not in self._concerned:
            return 0
        events = convert(entry, facts, self._identity)
        for event in events:
            self._client.emit(event)
        return len(events)
