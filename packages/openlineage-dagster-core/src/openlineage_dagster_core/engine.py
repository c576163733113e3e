"""The engine: one pass reads the event log, finds facts, converts, delivers, moves the cursor.

The deliverer of Mechanism A, the sensor of Mechanism B and `replay` each drive one.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dagster import DagsterEventType, EventLogEntry

from openlineage_dagster_core import errors, fault
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.delivery.dependencies import dependencies_of
from openlineage_dagster_core.delivery.lanes import Lanes, Payload
from openlineage_dagster_core.event_log.cursor import ParkedEvent
from openlineage_dagster_core.event_log.reader import DoneEvent, EventLogReader
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.families import CONVERTED, RUN_ENDS
from openlineage_dagster_core.identity import Identity

UNDER_WAY_AT_MOST = 20_000  # Undelivered events of the log from which on the engine reads no more
DECODED_BYTES = 40_000_000  # Bytes of memory for events that are decoded at a time, roughly
DELETED_REMEMBERED = 1000  # Deleted runs of which the engine knows that it has parked an event
# `Outcome.stopped_by` where the time or the limit of a pass was used up
REST_FOLLOWS = "the rest follows at the next pass"
UNREADABLE = "the event log cannot be read, will retry"

logger = logging.getLogger(__name__)


class EventSender(Protocol):
    """A `LineageClient`, or an object that counts what one sends."""

    def prepare(self, event: Any) -> Any:
        """Make an OpenLineage event ready for `send` of any of the senders."""

    def send(self, prepared: Any) -> None:
        """Send a prepared event and wait for the answer."""


@dataclass
class Outcome:
    """What a pass did."""

    read: int = 0  # Events of the log that were delivered
    sent: int = 0  # OpenLineage events that the backend took
    parked: int = 0  # Events of the log that were refused or could not be converted
    held: int = 0  # OpenLineage events that failed and will be retried, while others go on
    unreadable: int = 0  # Runs whose log could not be read; the next pass retries
    waiting: int = 0  # Events of the log that were read and wait
    behind_since: float = 0.0  # Seconds since the epoch when the oldest happened; 0 for none
    ended_runs: int = 0  # Runs that were delivered to their end
    has_more: bool = False  # True if the pass ended before it had read everything new
    stopped_by: str | None = None  # Why the pass ended early; None where it did not

    @property
    def has_news(self) -> bool:
        """True if the pass did anything, or failed to do anything."""
        done = self.read or self.sent or self.parked
        return bool(done or self.held or self.unreadable or self.stopped_by)

    def __str__(self) -> str:
        text = f"read {self.read} events, sent {self.sent}, parked {self.parked}"
        if self.held:
            others = "" if self.stopped_by else " while others go on"
            text += f", {self.held} fail and wait{others}"
        if self.unreadable:
            text += f", {self.unreadable} runs cannot be read"
        if self.waiting:
            behind = max(0.0, time.time() - self.behind_since) if self.behind_since else 0.0
            text += f"; {self.waiting} events and {behind:.0f} s behind"
        return f"{text}; {self.stopped_by}" if self.stopped_by else text


@dataclass(eq=False)
class _Source:
    """An event of the log on its way: `made` OpenLineage events exist of it, and `done` are done.

    The done ones are the `first` ones and those at the positions `later`.
    """

    engine: "Engine"
    event: StoredEvent
    event_type: str
    timestamp: float
    ends_run: bool
    made: int = 0
    is_converted: bool = False
    done: int = 0
    first: int = 0
    later: set[int] = field(default_factory=set)
    is_parked: bool = False

    def delivered(self, position: int) -> None:
        """Count an OpenLineage event that is done."""
        # The converting thread and the sending threads call this.
        with self.engine.lock:
            self.done += 1
            self.later.add(position)
            while self.first in self.later:
                self.later.discard(self.first)
                self.first += 1
            self.engine.check(self)

    def parked(self, position: int, reason: str) -> None:
        """Set the event of the log aside because of one of its OpenLineage events."""
        self.engine.park(self, reason)
        self.delivered(position)


class Engine:
    """Delivers an event log, pass by pass; keeps in memory what is under way between them.

    Each of the `senders` sends from a thread of its own. `concerned` are the types of Dagster
    events to send; facts are found for all. `may_send` is asked before each request, and False ends
    the pass. `on_parked` gets each event of the log that is parked.
    """

    def __init__(
        self,
        reader: EventLogReader,
        facts: EventLogFacts,
        identity: Identity,
        senders: Sequence[EventSender],
        *,
        concerned: Collection[DagsterEventType] = CONVERTED,
        may_send: Callable[[], bool] = lambda: True,
        on_parked: Callable[[ParkedEvent], None] = lambda _: None,
    ) -> None:
        self.reader = reader
        self._facts = facts
        self._identity = identity
        self._senders = senders
        self._concerned = concerned
        self._on_parked = on_parked
        self.timeout = identity.settings.timeout  # Of one request, in seconds
        self.lanes: Lanes[Payload] = Lanes(
            [sender.send for sender in senders], timeout=self.timeout, may_send=may_send
        )
        self._read_ahead: deque[StoredEvent] = deque()
        self._decoded: deque[tuple[StoredEvent, EventLogEntry]] = deque()
        self._is_prepared = True
        self._limit = float("inf")
        self._converting: tuple[_Source, EventLogEntry, Iterator[Event]] | None = None
        self._next: tuple[Payload, Event, int] | None = None
        # An event that is read again is in here twice.
        self._under_way: dict[_Source, None] = {}
        self.lock = threading.RLock()  # Guards the state of the events under way
        self._done: list[DoneEvent] = []
        self._partly = dict(reader.cursor.partly)
        # The first events that an earlier process left, until this one has read the whole log
        self._left = dict(reader.cursor.waiting)
        self._deleted: deque[str] = deque(maxlen=DELETED_REMEMBERED)
        self._parked = 0
        self.has_ended = True  # False while a thread waits for an answer after the last pass

    def begin(self, start: float | None) -> None:
        """Find where to begin where the cursor does not know; see `EventLogReader.begin`."""
        cursor = self.reader.cursor
        if cursor.is_new and start is not None:
            self.reader.begin(start)
        elif cursor.after_storage_id:
            self.reader.begin(None)
        cursor.is_new = False

    @property
    def is_idle(self) -> bool:
        """True if nothing is under way; the log may still have news."""
        return not (self._read_ahead or self._decoded or self._converting or self._under_way)

    def deliver(
        self,
        budget: float,
        *,
        limit: int | None = None,
        patience: float = 0.0,
        waits_for_held: bool = False,
    ) -> Outcome:
        """Do one pass of at most `budget` seconds and `limit` events of the log.

        Then wait at most `patience` seconds for the backend's answers. With `waits_for_held`, the
        pass retries the events that fail in it.
        """
        deadline = time.monotonic() + budget
        sent_before, parked_before = self.lanes.sent, self._parked
        outcome = Outcome()
        self.lanes.begin(deadline)
        try:
            outcome.has_more = not self._read(deadline, limit)
        except Exception as error:
            # Whatever a database raises: the pass finishes what is under way, and keeps the cursor.
            why = error if isinstance(error, errors.FactsUnavailableError) else type(error).__name__
            outcome.stopped_by = f"{UNREADABLE}: {why}"
            logger.warning("OpenLineage: %s: %s", UNREADABLE, fault.described(error))
        finally:
            self.lanes.finish(deadline, waits_for_held=waits_for_held)
            self.has_ended = self.lanes.end(patience)
            done = self.settle()
            outcome.read, outcome.ended_runs = len(done), sum(each.ends_run for each in done)
        outcome.stopped_by = self.lanes.failures.stopped_by or outcome.stopped_by
        if outcome.stopped_by is None and outcome.has_more:
            outcome.stopped_by = REST_FOLLOWS
        cursor = self.reader.cursor
        outcome.sent = self.lanes.sent - sent_before
        outcome.parked = self._parked - parked_before
        outcome.held, outcome.unreadable = self.lanes.held, self.reader.unreadable
        outcome.waiting, outcome.behind_since = cursor.behind, cursor.behind_since
        cursor.sent += outcome.sent
        return outcome

    def _read(self, deadline: float, limit: int | None) -> bool:
        """Convert what is new; return False where the next pass must go on."""
        self._limit = float("inf") if limit is None else limit
        is_done = self._go_on(deadline) and self._work_through(deadline)
        if not is_done or not self._may_read(deadline):
            return False
        for batch in self.reader.read():
            for run_id in self.reader.forgets():
                self._facts.forget(run_id)
            self._read_ahead.extend(batch)
            if not self._work_through(deadline) or not self._may_read(deadline):
                return False
        for run_id in self._facts.deleted(self._left):
            # Dagster has deleted its events too.
            id_ = EventId(run_id, self._left[run_id])
            self._park_deleted(run_id, _Source(self, StoredEvent(id_), "", 0.0, ends_run=False))
        self._left = {}
        return True

    def _park_deleted(self, run_id: str, source: _Source) -> None:
        """Park the first event that waits of a deleted run."""
        if run_id not in self._deleted:
            self._deleted.append(run_id)
            self.park(source, "its run was deleted; nothing of it is sent any more")

    def _work_through(self, deadline: float) -> bool:
        """Decode and convert what was read; return False where the next pass must go on."""
        while self._decoded or self._read_ahead:
            if not self._decoded:
                self._decode()
            if not self._is_prepared:
                entries = [entry for _, entry in self._decoded]
                self._facts.prepare(entries, self.reader.has_all_of)
                self._is_prepared = True
            while self._decoded:
                if self._limit <= 0 or not self._take(*self._decoded.popleft(), deadline):
                    return False
                self._limit -= 1
        return True

    def _decode(self) -> None:
        """Decode some of what was read; one query then reads what the facts of these need."""
        weight = 0
        while self._read_ahead and weight < DECODED_BYTES:
            event = self._read_ahead.popleft()
            weight += event.weight
            try:
                self._decoded.append((event, event.entry()))
            except Exception as error:
                source = _Source(self, event, "", event.timestamp, ends_run=False)
                source.is_converted = True
                self._under_way[source] = None
                self.park(source, f"not readable by Dagster: {type(error).__name__}")
                self.check(source)
        self._is_prepared = False

    def _may_read(self, deadline: float) -> bool:
        return (
            time.monotonic() < deadline
            and self.lanes.has_room
            and self.lanes.failures.stopped_by is None
            and len(self._under_way) < UNDER_WAY_AT_MOST
        )

    def _take(self, event: StoredEvent, entry: EventLogEntry, deadline: float) -> bool:
        """Begin to convert an event; return False where the next pass must go on."""
        event_type = entry.dagster_event_type
        name = event_type.name if event_type is not None else ""
        source = _Source(self, event, name, entry.timestamp, ends_run=event_type in RUN_ENDS)
        try:
            events = self._converted(source, entry)
        except errors.FactsUnavailableError:
            # The database does not answer: the next pass begins with the same event.
            self._decoded.appendleft((event, entry))
            raise
        with self.lock:
            self._under_way[source] = None
        self._converting = (source, entry, events)
        return self._go_on(deadline)

    def _converted(self, source: _Source, entry: EventLogEntry) -> Iterator[Event]:
        """Find the facts of an event and begin its conversion."""
        if entry.dagster_event_type not in CONVERTED:
            return iter(())
        try:
            facts = self._facts.facts_of(source.event, entry)
        except errors.RunDeletedError as error:
            self._park_deleted(error.run_id, source)
            return iter(())
        if facts is None or entry.dagster_event_type not in self._concerned:
            return iter(())
        source.first = source.done = source.made = self._partly.pop(source.event.id, 0)
        return convert(entry, facts, self._identity, skip=source.first)

    def _go_on(self, deadline: float) -> bool:
        """Convert and put what is left of an event; return False where the time is over."""
        if self._converting is None:
            return True
        source, entry, events = self._converting
        while True:
            if self._next is None and not self._prepare(source, events):
                break
            if self._next is not None:
                prepared, event, position = self._next
                if not self.lanes.put(prepared, dependencies_of(event), source, position, deadline):
                    return False
                self._next = None
                if time.monotonic() >= deadline:
                    return False
        self._converting = None
        source.is_converted = True
        self._facts.advance(entry)
        self.check(source)
        return True

    def _prepare(self, source: _Source, events: Iterator[Event]) -> bool:
        """Make the next OpenLineage event; return False after the last."""
        try:
            event = next(events, None)
        except Exception as error:
            self.park(source, f"not converted: {fault.described(error)}")
            return False
        if event is None:
            return False
        position, source.made = source.made, source.made + 1
        try:
            self._next = (self._senders[0].prepare(event), event, position)
        except errors.EventRefusedError as error:
            source.parked(position, error.in_full)
        except Exception as error:
            source.parked(position, f"not prepared: {fault.described(error)}")
        return True

    def check(self, source: _Source) -> None:
        """Conclude an event of the log if its last OpenLineage event is done."""
        with self.lock:
            is_done = source.is_converted and source.done >= source.made
            if is_done and source in self._under_way:
                del self._under_way[source]
                self._done.append(DoneEvent(source.event.id, source.timestamp, source.ends_run))
                if source.event.is_again and not source.is_parked:
                    self.reader.cursor.unpark(source.event.id)

    def park(self, source: _Source, reason: str) -> None:
        """Set an event of the log aside."""
        if source.is_parked:
            # Another of its OpenLineage events was refused before.
            return
        run_id, storage_id = source.event.id
        source.is_parked = True
        parked = ParkedEvent(run_id, storage_id, source.event_type, reason, round(time.time(), 3))
        with self.lock:
            self._parked += 1
            self.reader.cursor.park(parked)
        self._on_parked(parked)
        logger.error(
            "OpenLineage: %s of run %s (storage id %s) is parked: %s; no impact on your runs",
            source.event_type or "an event",
            run_id or "-",
            storage_id,
            reason.split(": ", maxsplit=1)[0] if reason.startswith("refused") else reason,
        )

    def settle(self) -> Sequence[DoneEvent]:
        """Move the cursor; return the events delivered since the last call."""
        with self.lock:
            done, self._done = self._done, []
            for each in done:
                if self._left.get(each.id.run_id) == each.id.storage_id:
                    del self._left[each.id.run_id]
            # Where an event is in here twice, the second one counts.
            partly = {source.event.id: source.first for source in self._under_way}
        read = [*(event for event, _ in self._decoded), *self._read_ahead]
        waiting = dict(self._left)
        for run_id, storage_id in [*partly, *(event.id for event in read)]:
            waiting.setdefault(run_id, storage_id)
        waiting.pop("", None)
        self.reader.cursor.waiting = waiting
        self.reader.settle(done)
        partly = self._partly | partly
        self.reader.cursor.partly = {id_: first for id_, first in partly.items() if first}
        return done

    def retry(self, parked: Collection[ParkedEvent]) -> None:
        """Deliver parked events again at the next pass, and what depends on them after them.

        They stay parked until the backend takes them.
        """
        self.reader.retry([each.id for each in parked])
