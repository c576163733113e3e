"""One evaluation of the sensor: read what is new, convert it, deliver it, move the cursor."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import DagsterEventType, EventLogEntry, EventLogRecord, RunsFilter

from openlineage_dagster_core import fault
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.delivery.lanes import LaneHeld, Lanes, LaneStopped
from openlineage_dagster_core.delivery.shipper import PARK_AFTER, may_be_the_record
from openlineage_dagster_core.errors import (
    BackendUnavailableError,
    DeliveryError,
    EventRefusedError,
    FactsUnavailableError,
)
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.ordering import ordering_key_of
from openlineage_dagster_core.settings import DEFAULT_TIMEOUT_SECONDS
from openlineage_dagster_sensor.cursor import Cursor, HeldRun
from openlineage_dagster_sensor.reading import DoneEvent, EventLogReader, open_log

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.facts.model import Definitions

CAPACITY = 5000
"""How many events of the log may be in memory."""

RUNS_A_QUERY = 500

logger = logging.getLogger(__name__)

_Lanes = Lanes[LineageClient, EventLogRecord, DoneEvent]


@dataclass
class Outcome:
    """What a tick did, for its reason in the Dagster UI.

    Args:
        read: events of the log that are done with.
        sent: OpenLineage events that the backend took.
        parked: events of the log that were refused or could not be converted.
        held: runs that wait while the others go on.
        unreadable: runs that could not be read and are tried again.
        behind: how many events of the log are left, at most; None where that is not known.
        behind_seconds: how long ago the first event happened that is left; None where none is,
            or that is not known.
        stopped_by: why the tick ended early.
    """

    read: int = 0
    sent: int = 0
    parked: int = 0
    held: int = 0
    unreadable: int = 0
    behind: int | None = None
    behind_seconds: float | None = None
    stopped_by: str | None = None

    @property
    def has_news(self) -> bool:
        """Whether anything was done, or could not be."""
        return bool(self.read or self.sent or self.parked or self.stopped_by)

    def __str__(self) -> str:
        text = f"read {self.read} events, sent {self.sent}, parked {self.parked}"
        if self.held:
            text += f", {self.held} runs wait"
        if self.unreadable:
            text += f", {self.unreadable} runs cannot be read"
        if self.behind_seconds is not None:
            events = "" if self.behind is None else f"{self.behind} events and "
            text += f"; {events}{self.behind_seconds:.0f} s behind"
        return f"{text}; {self.stopped_by}" if self.stopped_by else text


class Tick:
    """One evaluation.

    Args:
        instance: holds runs and event log.
        definitions: those of the sensor's code location.
        identity: gives names and ids.
        clients: deliver, each in a thread of its own.
        facts: of the runs, from the tick before where that is known; else new ones.
        concerned: the Dagster events whose OpenLineage events are sent.
        limit: how many events of the log to deal with at most.
        budget: how long to go on, in seconds.
        patience: how long after that an answer of the backend is waited for, in seconds.
        start: at the first tick, leave out what happened before; in seconds since the epoch.

    Attributes:
        has_ended: False where a thread still waits for an answer of the backend.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        definitions: Definitions,
        identity: Identity,
        clients: Sequence[LineageClient],
        facts: EventLogFacts,
        *,
        concerned: Collection[DagsterEventType] = CONVERTED,
        limit: int,
        budget: float,
        patience: float = DEFAULT_TIMEOUT_SECONDS,
        start: float | None = None,
    ) -> None:
        self._instance = instance
        self._definitions = definitions
        self._identity = identity
        self._clients = clients
        self._facts = facts
        self._concerned = concerned
        self._limit = limit
        self._deadline = time.monotonic() + budget
        self._patience = patience
        self._start = start
        self._outcome = Outcome()
        self._left_out: EventLogRecord | None = None
        self._taken_up: set[str] = set()
        # By all lanes.
        self._counting = threading.Lock()
        self._sent = 0
        self._cursor = Cursor()
        self.has_ended = True

    def run(self, cursor: Cursor) -> Outcome:
        """Deal with what is new.

        Args:
            cursor: moves past what the backend took, and nothing else; also where this raises.

        Returns:
            What was done.
        """
        self._cursor = cursor
        log = open_log(self._instance, cursor)
        try:
            is_idle = self._is_idle(log)
        except Exception as error:
            self._cannot_read(error)
            return self._outcome
        if is_idle:
            return self._outcome
        lanes = Lanes(self._clients, self._deal_with, CAPACITY)
        # What a lane does, it reports here, so that all lanes need know only this.
        self._open_up = lanes.open_up
        try:
            self._read(log, lanes)
        except Exception as error:
            # What is under way is finished, and the cursor kept.
            self._cannot_read(error)
        finally:
            self.has_ended = lanes.finish(self._deadline, self._patience)
            self._settle(log, lanes)
        return self._outcome

    def _is_idle(self, log: EventLogReader) -> bool:
        cursor = self._cursor
        if cursor.is_new and self._start is not None:
            log.begin(self._start)
        elif cursor.after_storage_id:
            log.begin(None)
        cursor.is_new = False
        return log.is_idle()

    def _cannot_read(self, error: Exception) -> None:
        """Report whatever a database raises."""
        self._outcome.stopped_by = (
            f"the event log cannot be read, will retry: {type(error).__name__}"
        )
        logger.warning(
            "OpenLineage: the event log cannot be read, will retry: %s", fault.described(error)
        )

    def _read(self, log: EventLogReader, lanes: _Lanes) -> None:
        read = 0
        for page in log.pages():
            self._begin_runs(log, page)
            if time.monotonic() >= self._deadline:
                self._left_out = page[0] if page else None
                return
            for record in page:
                if read >= self._limit:
                    self._outcome.stopped_by = "the rest follows at the next tick"
                    self._left_out = record
                    return
                read += 1
                if not lanes.put(ordering_key_of(record.event_log_entry), record, self._deadline):
                    self._left_out = record
                    return

    def _begin_runs(self, log: EventLogReader, page: Sequence[EventLogRecord]) -> None:
        """Read the rows of the runs that have just begun, all with one query."""
        unknown = {
            record.run_id
            for record in page
            if record.run_id and not self._facts.knows(record.run_id)
        }
        # A run that has been forgotten since it was taken up does not begin again.
        ids = sorted(unknown - self._taken_up)
        self._taken_up |= unknown
        try:
            for first in range(0, len(ids), RUNS_A_QUERY):
                some = ids[first : first + RUNS_A_QUERY]
                for run in self._instance.get_run_records(
                    RunsFilter(run_ids=some), limit=len(some)
                ):
                    if time.monotonic() >= self._deadline:
                        return
                    if log.has_all_of(run):
                        self._facts.begin(run)
        except Exception as error:
            # A run may be unreadable. Those that have not begun are read one by one.
            logger.warning("OpenLineage: runs cannot be read: %s", fault.described(error))

    def _settle(self, log: EventLogReader, lanes: _Lanes) -> None:
        cursor, outcome = self._cursor, self._outcome
        done = list(lanes.done)
        self._hold(lanes, done)
        log.settle(done)
        for event in done:
            cursor.partly.pop((event.run_id, event.storage_id), None)
        outcome.read, outcome.sent = len(done), self._sent
        outcome.held, outcome.unreadable = len(cursor.held), log.unreadable
        if lanes.stopped_by is not None:
            outcome.stopped_by = _said(lanes.stopped_by)
            if not isinstance(lanes.stopped_by, LaneStopped):
                logger.warning("OpenLineage: %s", outcome.stopped_by)
        self._tell_how_far_behind(log, lanes)
        cursor.read += outcome.read
        cursor.sent += outcome.sent
        cursor.behind, cursor.behind_seconds = outcome.behind or 0, outcome.behind_seconds or 0.0

    def _tell_how_far_behind(self, log: EventLogReader, lanes: _Lanes) -> None:
        waiting = lanes.waiting()
        times = [record.timestamp for record in waiting]
        times += [error.timestamp for error in lanes.held.values() if isinstance(error, _Held)]
        if self._left_out is not None:
            times.append(self._left_out.timestamp)
        if times:
            unread = log.behind()
            self._outcome.behind = None if unread is None else unread + len(waiting)
            self._outcome.behind_seconds = time.time() - min(times)

    def _hold(self, lanes: _Lanes, done: Sequence[DoneEvent]) -> None:
        """Remember the runs that wait, and let the others go on."""
        cursor = self._cursor
        for key in {event.key for event in done} - lanes.held.keys():
            cursor.held.pop(key, None)
        for key, error in lanes.held.items():
            if not isinstance(error, _Held):
                continue
            before = cursor.held.get(key)
            is_same = before is not None and before.storage_id == error.storage_id
            failures = before.failures if before is not None and is_same else 0
            # Where nothing else goes either, it says nothing of this event.
            failures += 1 if self._sent else 0
            cursor.hold(key, HeldRun(error.storage_id, failures))

    def _deal_with(self, client: LineageClient, record: EventLogRecord) -> DoneEvent:
        """Convert and send one event of the log; in a lane's thread."""
        self._check_time()
        entry = record.event_log_entry
        if entry.dagster_event_type in CONVERTED:
            try:
                self._deliver(client, record, entry)
            except (BackendUnavailableError, FactsUnavailableError) as error:
                if not may_be_the_record(error):
                    raise
                if self._has_failed_often(record):
                    self._park(record, entry, f"failed again and again: {error}")
                else:
                    raise _Held(record) from error
        self._facts.advance(entry)
        return DoneEvent.of(record)

    def _deliver(self, client: LineageClient, record: EventLogRecord, entry: EventLogEntry) -> None:
        facts = self._facts.facts_of(entry, self._definitions)
        try:
            events = (
                convert(entry, facts, self._identity)
                if entry.dagster_event_type in self._concerned
                else []
            )
        except Exception as error:
            # A fault of ours must not hold up the rest.
            self._park(record, entry, f"not converted: {fault.described(error)}")
            return
        self._send(client, record, entry, events)

    def _send(
        self,
        client: LineageClient,
        record: EventLogRecord,
        entry: EventLogEntry,
        events: Sequence[Event],
    ) -> None:
        """Send what the last tick has not, one by one: a step may have thousands of assets."""
        key = (record.run_id, record.storage_id)
        refusal: EventRefusedError | None = None
        for position, event in enumerate(events):
            if position < self._cursor.partly.get(key, 0):
                continue
            if position:
                self._check_time()
            try:
                client.emit(event)
                with self._counting:
                    self._sent += 1
            except EventRefusedError as error:
                refusal = error
            self._open_up()
            if len(events) > 1:
                self._cursor.partly[key] = position + 1
        if refusal is not None:
            self._park(record, entry, str(refusal))

    def _has_failed_often(self, record: EventLogRecord) -> bool:
        held = self._cursor.held.get(ordering_key_of(record.event_log_entry))
        return (
            held is not None
            and held.storage_id == record.storage_id
            and held.failures >= PARK_AFTER
        )

    def _park(self, record: EventLogRecord, entry: EventLogEntry, reason: str) -> None:
        with self._counting:
            self._outcome.parked += 1
            self._cursor.park(record.run_id, record.storage_id, reason)
        logger.error(
            "OpenLineage: %s of run %s (storage id %s) was %s and is parked; no impact on your "
            "runs",
            entry.get_dagster_event().event_type.name,
            record.run_id,
            record.storage_id,
            reason,
        )

    def _check_time(self) -> None:
        if time.monotonic() >= self._deadline:
            msg = "out of time, the rest follows at the next tick"
            raise LaneStopped(msg)

    _open_up: Callable[[], None]


class _Held(LaneHeld):
    """A run cannot go on.

    Args:
        record: the event that failed.
    """

    def __init__(self, record: EventLogRecord) -> None:
        super().__init__(record.storage_id)
        self.storage_id = record.storage_id
        self.timestamp = record.timestamp


def _said(error: BaseException) -> str:
    if isinstance(error, BackendUnavailableError):
        return f"the backend takes no events, will retry: {error}"
    if isinstance(error, (DeliveryError, LaneStopped)):
        return str(error)
    return fault.described(error)
