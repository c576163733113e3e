"""Turns what the outbox holds back into events and converts them; runs in the shipper's thread."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dagster import DagsterRunStatus, RunsFilter

from openlineage_dagster_core.delivery.writer import is_gone
from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.facts.writing import decode_definitions
from openlineage_dagster_core.families import RUN_ENDS
from openlineage_dagster_core.ordering import RUNLESS, ordering_key_of, run_id_of
from openlineage_dagster_storage.references import EventId, Reference
from openlineage_dagster_storage.stored_events import StoredEvents, in_order

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry, EventLogRecord

    from openlineage_dagster_core.delivery.client import Event
    from openlineage_dagster_core.delivery.outbox import Gap, Outbox, Record
    from openlineage_dagster_core.settings import Settings

RUNS_REMEMBERED = 256
RUNS_PAGE = 500

COMMITTED_SECONDS = 5.0
"""What a process began to store before it died is in the log by then, or never will be."""

ABANDONED_SECONDS = 600.0
"""So long a write may take of which nothing else is known."""

LATE_SECONDS = 2.0
"""Whatever is missing by then may have become visible out of order."""

NOWHERE = float("inf")
"""The place in the log of what is not there: after everything."""

_UNFINISHED = [
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

T = TypeVar("T")


class StoredEventConverter:
    """Finds the referenced events in the event log, their facts, and converts them.

    Args:
        outbox: holds the definitions.
        settings: the namespaces.
        instance: holds the runs and their logs; kept weakly, as storages keep it.
        is_only_looking: whether what is converted is sent by somebody else.
        page: see `EventLogFacts`.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: Settings,
        instance: DagsterInstance,
        *,
        is_only_looking: bool = False,
        page: Callable[[int], int] = int,
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._is_only_looking = is_only_looking
        self._instance = weakref.ref(instance)
        self._facts = EventLogFacts(self._live_instance, page=page)
        self._stored = StoredEvents(self._live_instance, page)
        # By ordering key, and there by record.
        self._found: dict[str, dict[int, list[EventLogRecord]]] = {}
        self._begun: set[int] = set()
        self._late: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._definitions: OrderedDict[str, Definitions] = OrderedDict()

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

    def ready(
        self,
        records: Sequence[Record],
        later_than: Callable[[Record], Sequence[Record]] = lambda _: (),
    ) -> Sequence[Record]:
        """Find the events of records in the log.

        A record is appended before its events are stored, so that no death of a process comes in
        between. It is ready once they are there; or once they will never be, and then it stands
        for nothing.

        Args:
            records: of one ordering key, the oldest of it, in the order of their ids.
            later_than: reads the next records of that key. Between a record and its event another
                process may append a record and store its event: by the time at which the first is
                found both are there, and the log has the second one first.

        Returns:
            Those that are ready, and of the later ones those that the log has before one of them;
            in the order of the log.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        run_id = run_id_of(records[0].ordering_key)
        find = partial(self._stored.find, run_id, anew=self._may_be_late(records))
        positions = self._positions(records, find, may_give_up=_is_settled)
        last = max((each for each in positions.values() if each < NOWHERE), default=None)
        if last is not None and self._may_follow_others(records, last):
            positions.update(self._before(last, records[-1], later_than))
        return sorted(positions, key=lambda record: (positions[record], record.id))

    def _may_follow_others(self, records: Sequence[Record], last: float) -> bool:
        """Tell whether the log may have events of other records before the last of some."""
        key = records[0].ordering_key
        # Of those, some were to be sent along before, and could not be.
        has_found_others = not self._found_of(key).keys() <= {record.id for record in records}
        return has_found_others or self._stored.leaves_any_before(run_id_of(key), last)

    def _before(
        self, last: float, after: Record, later_than: Callable[[Record], Sequence[Record]]
    ) -> dict[Record, float]:
        """Find later records that the log has before a place, among what has been read of it.

        What is stored by now does not count: what the log has before that may be appended just now.
        """
        take = partial(self._stored.take, run_id_of(after.ordering_key))
        all_before: dict[Record, float] = {}
        while later := later_than(after):
            positions = self._positions(later, take, may_give_up=lambda _: False)
            before = {record: at for record, at in positions.items() if at < last}
            for record in positions.keys() - before.keys():
                self._stored.put_back(run_id_of(record.ordering_key), self._take_found(record))
            if not before:
                break
            all_before.update(before)
            after = later[-1]
        return all_before

    def _positions(
        self,
        records: Sequence[Record],
        find: Callable[[Sequence[EventId]], dict[EventId, EventLogRecord]],
        *,
        may_give_up: Callable[[Record], bool],
    ) -> dict[Record, float]:
        """Find where the log has records: the storage id of the first event of each that is ready.

        Args:
            records: those that may be ready, of one ordering key.
            find: finds their events, as far as they are there.
            may_give_up: tells whether what is not found of a record will never be.

        Returns:
            The places; `NOWHERE` for those that stand for nothing.
        """
        key = records[0].ordering_key
        references = [(record, Reference.decode(record.payload)) for record in records]
        wanted = [
            each
            for record, reference in references
            if record.id not in self._found_of(key)
            for each in reference.ids
        ]
        found = _read(run_id_of(key), lambda: find(wanted))
        positions: dict[Record, float] = {}
        for record, reference in references:
            of_record = self._found_of(key).get(record.id)
            if of_record is None:
                # An event belongs to one record: a slow write is referred to a second time.
                there = {each: found.pop(each) for each in set(reference.ids) & found.keys()}
                if len(there) < len(set(reference.ids)) and not may_give_up(record):
                    self._stored.put_back(run_id_of(key), there.values())
                    continue
                of_record = in_order(there)
                self._found.setdefault(key, {})[record.id] = of_record
            positions[record] = of_record[0].storage_id if of_record else NOWHERE
        return positions

    def _found_of(self, ordering_key: str) -> Mapping[int, list[EventLogRecord]]:
        return self._found.get(ordering_key, {})

    def _take_found(self, record: Record) -> list[EventLogRecord]:
        of_key = self._found.get(record.ordering_key, {})
        found = of_key.pop(record.id, [])
        if not of_key:
            self._found.pop(record.ordering_key, None)
        return found

    def _may_be_late(self, records: Sequence[Record]) -> bool:
        """Tell whether to look for what became visible out of order: ever more rarely.

        All of the log that is read for it takes the host's turn to compute, and what is missing may
        be a batch that the host is storing.
        """
        oldest = records[0]
        age = time.time() - oldest.appended_at
        looked_for, next_look = self._late.pop(oldest.ordering_key, (oldest.id, LATE_SECONDS))
        if looked_for != oldest.id:
            next_look = LATE_SECONDS
        is_due = age > next_look
        self._late[oldest.ordering_key] = (oldest.id, 2 * age if is_due else next_look)
        while len(self._late) > RUNS_REMEMBERED:
            self._late.popitem(last=False)
        return is_due

    def to_events(self, record: Record) -> Iterator[Event]:
        """Convert the events of a record.

        Args:
            record: from `ready`.

        Yields:
            The OpenLineage events, one after the other as they are sent.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        # Imported here, in the shipper's thread: they bring openlineage-python's client along.
        from openlineage_dagster_core.conversion import convert
        from openlineage_dagster_core.identity import Identity

        identity = Identity(self._settings)
        run_id = run_id_of(record.ordering_key)
        reference = Reference.decode(record.payload)
        entries = self._entries_of(record)
        is_second_try = record.id in self._begun and len(reference.ids) > 1
        is_again = is_second_try or reference.since is not None
        if is_again or self._is_one_missing_before(record):
            # Some of its events have been counted already; or have not, and happened all the same.
            self._facts.forget(run_id)
        self._begun.add(record.id)
        for entry in entries:
            facts = self._facts.facts_of(entry, self._definitions_of(run_id))
            yield from convert(entry, facts, identity)
            self._facts.advance(entry)
            if entry.dagster_event_type in RUN_ENDS:
                self._end(run_id)
        self._take_found(record)
        self._begun.discard(record.id)

    def _is_one_missing_before(self, record: Record) -> bool:
        """Tell whether the log has events before a record's that nothing refers to any more."""
        found = self._found_of(record.ordering_key).get(record.id)
        if not found or not self._outbox.misses_any(record.ordering_key):
            return False
        return self._stored.passes_over_any(run_id_of(record.ordering_key), found[0].storage_id)

    def forget(self, record: Record) -> None:
        """Leave a record out, and read its run anew.

        Args:
            record: from `ready`.
        """
        self._take_found(record)
        self._begun.discard(record.id)
        self._facts.forget(run_id_of(record.ordering_key))

    def stand_in(self, gap: Gap) -> Iterator[tuple[str, str]]:
        """Refer to everything that may be missing: from the gap's beginning to the runs' ends.

        Args:
            gap: recorded in the outbox.

        Yields:
            The ordering key and the payload of each record.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        payload = Reference(since=gap.since).encode()
        if gap.ordering_key is not None:
            yield gap.ordering_key, payload
            return
        for run_id in _read("any run", lambda: list(self._runs_since(gap.since))):
            yield run_id, payload
        yield RUNLESS, payload

    def _entries_of(self, record: Record) -> Iterable[EventLogEntry]:
        reference = Reference.decode(record.payload)
        if reference.since is None:
            found = self._found_of(record.ordering_key)[record.id]
            return [each.event_log_entry for each in found]
        self._take_found(record)
        return self._entries_since(record.ordering_key, reference.since)

    def _entries_since(self, ordering_key: str, since: float) -> Iterator[EventLogEntry]:
        run_id = run_id_of(ordering_key)
        entries = self._stored.since(run_id, since)
        while True:
            entry = _read(run_id, lambda: next(entries, None))
            if entry is None:
                return
            if ordering_key in (RUNLESS, ordering_key_of(entry)):
                yield entry

    def _runs_since(self, since: float) -> Iterator[str]:
        instance = self._live_instance()
        updated_after = datetime.fromtimestamp(since, timezone.utc)
        for runs in (RunsFilter(updated_after=updated_after), RunsFilter(statuses=_UNFINISHED)):
            cursor = None
            while True:
                page = instance.get_run_records(runs, limit=RUNS_PAGE, cursor=cursor)
                for found in page:
                    yield found.dagster_run.run_id
                if len(page) < RUNS_PAGE:
                    break
                cursor = page[-1].dagster_run.run_id

    def _end(self, run_id: str) -> None:
        self._definitions.pop(run_id, None)
        self._stored.forget(run_id)
        if not self._is_only_looking:
            self._outbox.end_attachment(run_id)

    def _definitions_of(self, run_id: str) -> Definitions:
        if run_id not in self._definitions:
            attached = self._outbox.attachment(run_id) if run_id else None
            self._definitions[run_id] = decode_definitions(attached) if attached else Definitions()
            while len(self._definitions) > RUNS_REMEMBERED:
                self._definitions.popitem(last=False)
        return self._definitions[run_id]


def _is_settled(record: Record) -> bool:
    age = time.time() - record.appended_at
    return age > ABANDONED_SECONDS or (age > COMMITTED_SECONDS and is_gone(record.writer))


def _read(about: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except FactsUnavailableError:
        raise
    except Exception as error:
        # Whatever a database raises; it says nothing of the event, which is tried again.
        msg = f"{about} cannot be read: {type(error).__name__}"
        raise FactsUnavailableError(msg) from error
