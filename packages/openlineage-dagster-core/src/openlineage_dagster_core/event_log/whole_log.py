"""Reads the one event log of all runs: PostgreSQL, MySQL, Dagster+, SQLite in one file."""

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

import dagster as dg

from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.outstanding import Outstanding
from openlineage_dagster_core.event_log.reader import (
    CLOCKS_DIFFER_SECONDS,
    LATE_SECONDS,
    UNDER_WAY,
    DoneEvent,
    EventLogReader,
    all_runs,
)
from openlineage_dagster_core.event_log.run_log import PUBLIC_PAGE, events_of_run
from openlineage_dagster_core.event_log.stored_event import EventId, Page, StoredEvent, asset_of
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.families import FOLLOWED

# Seconds after the last news, and seconds between two looks for late events up to then
LOOKS = ((10.0, 5.0), (120.0, 15.0), (LATE_SECONDS, 60.0))
LOOK_BEHIND_SECONDS = 30.0  # Seconds between two looks, at least, while the reader is behind
# Storage ids before the beginning within which a run must have begun to be read whole: the cursor
# keeps the ids of other runs in between, and has 16,000 characters in a sensor
FURTHEST_BACK = 80_000
# Seconds for which an answer about one type of event is kept: what became visible since is late
ANSWER_SECONDS = 30.0
MARK_SECONDS = 60.0  # Seconds between two notes of how far the log was read at a time


@dataclass(frozen=True)
class _Mark:
    """The highest storage id that was read by a time: `at` is monotonic, `time` since the epoch."""

    storage_id: int
    at: float
    time: float


@dataclass
class _Repeat:
    """Events that are read once more, and what depends on them."""

    wanted: set[int]  # Their storage ids
    after: int  # Everything up to this storage id is done
    runs: set[str] = field(default_factory=set)  # The runs of the wanted events up to there
    assets: set[dg.AssetKey] = field(default_factory=set)  # The assets of these
    touched: set[str] = field(default_factory=set)  # The runs of all events that `read` has yielded


class WholeLog(EventLogReader):
    """Reads by storage id, which grows over all runs; raises where the log cannot be read.

    On PostgreSQL and MySQL an event can become visible after one with a higher storage id. So the
    reader lists the ids of the last minutes again now and then. It reads an event that was not
    among them before, and with it the later events of the same run or asset: what the backend has
    of these is now older than it should be.
    """

    def __init__(self, instance: dg.DagsterInstance, cursor: Cursor) -> None:
        super().__init__(cursor)
        self.use(instance)
        self._events = Outstanding(cursor.low, cursor.recent)
        self._read_to = max(cursor.seen, cursor.low)
        self._began_at = time.time()
        self._began_after = self._read_to
        # Marks of an earlier process, whose clock may have been ahead.
        now, monotonic = time.time(), time.monotonic()
        self._marks = deque(
            _Mark(storage_id, monotonic - max(0.0, now - at - CLOCKS_DIFFER_SECONDS), at)
            for storage_id, at in cursor.marks
            if storage_id <= self._read_to
        )
        self._news_at = time.monotonic()
        self._looked_at = float("-inf")
        self._is_behind = False
        self._wanted_again: set[int] = set()
        self._repeat: _Repeat | None = None
        self._read_whole: set[str] = set()

    def use(self, instance: dg.DagsterInstance) -> None:
        """Read on through another opening of the same instance."""
        self._instance = instance
        self._storage = instance.event_log_storage
        self._source = EventTables.of(self._storage) or _TypeByType(instance)

    def begin(self, start: float | None) -> None:
        """Find the storage id to begin after; see `EventLogReader.begin`.

        A run under way there is read whole: its steps and assets need a START before their ends.
        """
        cursor = self.cursor
        newest = self._storage.get_maximum_record_id() or 0
        if start is None:
            low = cursor.after_storage_id
        elif start >= time.time():
            low = newest
        else:
            wanted = [dg.EventRecordsFilter(each, after_timestamp=start) for each in FOLLOWED]
            first = [
                record.storage_id
                for each in wanted
                for record in self._storage.get_event_records(each, limit=1, ascending=True)
            ]
            low = min([newest, *(each - 1 for each in first)])
        self._began_after = low
        first_ids = self._runs_under_way(low) if low else {}
        begin = min([low, *(each - 1 for each in first_ids.values())])
        delivered = set(self._source.ids(begin, low)) if first_ids else set()
        for run_id in first_ids:
            own = events_of_run(self._instance, run_id, until=low)
            delivered -= {event.id.storage_id for event in own}
        self._read_whole = set(first_ids)
        self._events = Outstanding(begin, delivered)
        cursor.low = cursor.seen = self._read_to = begin
        cursor.recent = self._events.delivered
        cursor.after_storage_id = 0

    def _runs_under_way(self, low: int) -> dict[str, int]:
        """Return the first storage id of each run that had begun at `low` and not ended."""
        found = {record.dagster_run.run_id for record in all_runs(self._instance, UNDER_WAY)}
        following = self._source.rows(low).events
        if following:
            since = following[0].timestamp
            changed = dg.RunsFilter(
                updated_after=datetime.fromtimestamp(since, timezone.utc),
                created_before=datetime.fromtimestamp(since + CLOCKS_DIFFER_SECONDS, timezone.utc),
            )
            found |= {
                record.dagster_run.run_id
                for record in all_runs(self._instance, changed)
                if record.end_time is not None and record.end_time >= since
            }
        first = self._source.first_ids(found) if found else {}
        return {run: each for run, each in first.items() if low - FURTHEST_BACK < each <= low}

    def has_news(self) -> bool:
        """Return True where the newest event was not read, or a look for late ones is due."""
        newest = self._storage.get_maximum_record_id() or 0
        is_to_repeat = self._repeat is not None or bool(self._wanted_again)
        return newest > self._read_to or is_to_repeat or self._must_look()

    def read(self) -> Iterator[Sequence[StoredEvent]]:
        """Yield late events where it is time to look for them, then all up to the newest."""
        yield from self._repeated()
        wanted, self._wanted_again = self._wanted_again, set()
        yield from self._again(wanted)
        if self._must_look():
            visible = self._source.ids(self._events.low, self._read_to)
            self._looked_at = time.monotonic()
            yield from self._again({each for each in visible if each not in self._events})
        while True:
            page, is_last, read_to = self._source.rows(self._read_to)
            self._is_behind = not is_last
            if page:
                self._read_to = page[-1].id.storage_id
                self._news_at = time.monotonic()
                new = [event for event in page if event.id.storage_id not in self._events]
                self._note(new)
                yield new
            self._read_to = max(self._read_to, read_to)
            now = time.monotonic()
            if not self._marks or now - self._marks[-1].at >= MARK_SECONDS:
                self._marks.append(_Mark(self._read_to, now, time.time()))
            if is_last:
                return

    def _note(self, events: Iterable[StoredEvent]) -> None:
        for event in events:
            self._events.add(event.id.storage_id, event.timestamp)

    def _must_look(self) -> bool:
        """Return True where a look for late events is due."""
        if self._read_to <= self._events.low and not self._events:
            return False
        now = time.monotonic()
        quiet = now - self._news_at
        pause = next((pause for until, pause in LOOKS if quiet <= until), LOOKS[-1][1])
        if self._is_behind:
            pause = max(pause, LOOK_BEHIND_SECONDS)
        return now - self._looked_at >= pause

    def retry(self, events: Collection[EventId]) -> None:
        """Read events once more at the next call of `read`."""
        self._wanted_again |= {event.storage_id for event in events}

    def _again(self, wanted: set[int]) -> Iterator[Sequence[StoredEvent]]:
        """Read events that were late or are wanted again, and then what depends on them."""
        if wanted:
            self._repeat = _Repeat(wanted, min(wanted) - 1)
            yield from self._repeated()

    def _repeated(self) -> Iterator[Sequence[StoredEvent]]:
        """Go on where the last pass stopped: what depends on an event must not be left out."""
        repeat = self._repeat
        while repeat is not None and repeat.after < self._read_to:
            page = self._source.rows(repeat.after, until=self._read_to).events
            if not page:
                break
            found = [event for event in page if _belongs(event, repeat)]
            repeat.touched |= {event.id.run_id for event in found} - {""}
            repeat.after = page[-1].id.storage_id
            self._forgotten |= repeat.touched
            self._note(found)
            # Even an empty batch: the pass may have to end.
            yield [replace(event, is_again=True) for event in found]
        if repeat is not None:
            # The batches left out some events of runs that only share an asset.
            self._forgotten |= repeat.touched
            self._repeat = None

    def settle(self, done: Iterable[DoneEvent]) -> None:
        """Move the cursor past what is delivered, and `low` past what is also settled."""
        for event in done:
            self._events.deliver(event.id.storage_id)
            self.cursor.read += 1
        settled = 0
        # A later look has found everything that had appeared by then.
        while self._marks and self._marks[0].at <= self._looked_at - LATE_SECONDS:
            settled = self._marks.popleft().storage_id
        self._events.advance(settled, time.time() - LATE_SECONDS - CLOCKS_DIFFER_SECONDS)
        cursor = self.cursor
        cursor.low, cursor.recent = self._events.low, self._events.delivered
        cursor.seen = self._read_to
        cursor.marks = [(mark.storage_id, round(mark.time, 1)) for mark in self._marks]
        cursor.behind = len(self._events)
        cursor.behind_since = self._events.oldest()

    def has_all_of(self, runs: Sequence[dg.RunRecord]) -> Collection[str]:
        """Return the ids of the runs that began after this reader did."""
        if not self._began_after:
            return [run.dagster_run.run_id for run in runs]
        certain = self._began_at + CLOCKS_DIFFER_SECONDS
        created = {run.dagster_run.run_id: run.create_timestamp.timestamp() for run in runs}
        doubtful = {run for run, at in created.items() if at <= certain}
        first = self._source.first_ids(doubtful) if doubtful else {}
        before = {run for run in doubtful if first.get(run, 0) <= self._began_after}
        return created.keys() - (before - self._read_whole)


def _belongs(event: StoredEvent, repeat: _Repeat) -> bool:
    """Return True for a wanted event, and for one after it of the same run or asset."""
    is_wanted = event.id.storage_id in repeat.wanted
    if not is_wanted and event.id.run_id in repeat.runs:
        return True
    if not is_wanted and not repeat.assets:
        return False
    try:
        asset = asset_of(event.entry())
    except Exception:
        asset = None
    if is_wanted:
        repeat.runs |= {event.id.run_id} - {""}
        repeat.assets |= {asset} if asset is not None else set()
    return is_wanted or asset in repeat.assets


class _TypeByType:
    """Asks a storage that answers for one event type at a time, such as that of Dagster+.

    Each question is a request over the network, so answers are kept until they are read.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._after = self._newest = 0  # The answers say what is between these two storage ids
        self._asked_at = 0.0  # When that was the newest one, by the monotonic clock
        # By type: the storage id up to which an answer has all events, and these
        self._answers: dict[dg.DagsterEventType, tuple[int, list[StoredEvent]]] = {}

    def rows(self, after: int, *, until: int | None = None) -> Page:
        now = time.monotonic()
        is_old = now - self._asked_at > ANSWER_SECONDS
        if is_old or not self._after <= after < self._newest:
            self._answers, self._after, self._asked_at = {}, after, now
            self._newest = self._instance.event_log_storage.get_maximum_record_id() or 0
        if after >= self._newest:
            return Page([], is_last=True)
        for event_type in FOLLOWED:
            if event_type not in self._answers or self._answers[event_type][0] <= after:
                self._answers[event_type], self._after = self._ask(event_type, after), after
        horizon = min(complete_to for complete_to, _ in self._answers.values())
        last = horizon if until is None else min(horizon, until)
        events = [
            event
            for _, found in self._answers.values()
            for event in found
            if after < event.id.storage_id <= last
        ]
        events.sort(key=lambda event: event.id.storage_id)
        is_last = horizon == self._newest and len(events) <= PUBLIC_PAGE
        return Page(events[:PUBLIC_PAGE], is_last, last if is_last else 0)

    def _ask(self, event_type: dg.DagsterEventType, after: int) -> tuple[int, list[StoredEvent]]:
        """Return a page of one type, and the storage id up to which that type has no more."""
        found = self._instance.event_log_storage.get_event_records(
            dg.EventRecordsFilter(event_type, after_cursor=after), limit=PUBLIC_PAGE, ascending=True
        )
        events = []
        for each in found:
            id_ = EventId(each.run_id or "", each.storage_id)
            events.append(StoredEvent(id_, None, each.event_log_entry, each.timestamp))
        is_full = len(found) == PUBLIC_PAGE
        return (min(self._newest, found[-1].storage_id) if is_full else self._newest), events

    def ids(self, after: int, until: int) -> list[int]:
        found: list[int] = []
        self._newest = 0  # Earlier answers lack what became visible late.
        while page := self.rows(after, until=until).events:
            found += [event.id.storage_id for event in page]
            after = found[-1]
        return found

    def first_ids(self, run_ids: Collection[str]) -> dict[str, int]:
        first = (next(events_of_run(self._instance, each, page=1), None) for each in run_ids)
        return {each.id.run_id: each.id.storage_id for each in first if each is not None}
