"""The shipper: the one thread, of all processes on an outbox, that sends what waits in it."""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery.holds import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    Holds,
)
from openlineage_dagster_core.delivery.outbox import Gap, Outbox, Record
from openlineage_dagster_core.delivery.pace import Pace
from openlineage_dagster_core.errors import (
    BackendUnavailableError,
    DeliveryError,
    EventRefusedError,
    FactsUnavailableError,
)

if TYPE_CHECKING:
    # Not at run time: the thread that creates a shipper must not pay for importing the client.
    from openlineage_dagster_core.delivery.client import Event, LineageClient

BATCH = 100
IDLE_SECONDS = 0.5
"""How soon records of other processes are noticed, and a dead shipper is replaced."""

OTHERS_WAIT_SECONDS = 2.0
"""A new process that works takes over from a dead one when so much time has passed."""

STALL_SECONDS = 1.0
"""`flush` waits so long for the answer to one event."""

TIDY_SECONDS = 10.0
"""How often gaps are looked for, and old attachments dropped."""

PARK_AFTER = 10
"""How often a record fails, with others sent in between, before it is set aside: some 2 minutes."""

ABOUT_THE_BACKEND = frozenset({502, 503, 504})
"""5xx answers that gateways give; behind any other may be an event that the backend cannot bear."""

logger = logging.getLogger(__name__)


class RecordConverter(Protocol):
    """Turns the records of one owner into events."""

    @property
    def is_usable(self) -> bool:
        """Whether its owner still lives."""

    def begin_anew(self) -> None:
        """Forget how far every key is: others may have sent since this one was asked last."""

    def ready(
        self, records: Sequence[Record], later_than: Callable[[Record], Sequence[Record]]
    ) -> Sequence[Record]:
        """Find out what can be sent.

        Args:
            records: the oldest of those with one ordering key, in the order of their ids.
            later_than: reads the next ones; what has been appended by now is among them.

        Returns:
            Those whose events can be made now, in the order to send them, with what is later and
            belongs before them; the others are asked about again after a while.

        Raises:
            FactsUnavailableError: not now.
        """

    def to_events(self, record: Record) -> Iterable[Event]:
        """Convert a record.

        Args:
            record: from `ready`.

        Returns:
            The events in the order to send them; each is asked for when the one before is sent.

        Raises:
            FactsUnavailableError: not now.
        """

    def forget(self, record: Record) -> None:
        """Forget a record that is left out, and how far its key was.

        Args:
            record: from `ready`.
        """

    def stand_in(self, gap: Gap) -> Iterable[tuple[str, str]]:
        """Find what stands for all that is missing.

        Args:
            gap: recorded in the outbox.

        Returns:
            Ordering keys and payloads of new records.

        Raises:
            FactsUnavailableError: not now.
        """


class _Role(Enum):
    """What a process does for the outbox."""

    UNDECIDED = "it has not tried the lock yet"
    SHIPPING = "it holds the lock and sends"
    FOLLOWING = "another process sends"


class _Thread(threading.Thread):
    """One life of the background thread, with its own sign to stop."""

    def __init__(self, run: Callable[[_Thread], None]) -> None:
        super().__init__(name="openlineage-shipper", daemon=True)
        self.stopping = threading.Event()
        self._body = run

    def run(self) -> None:
        self._body(self)


def may_be_the_record(error: DeliveryError) -> bool:
    """Tell whether another record may fare better.

    Args:
        error: what this one met with.

    Returns:
        Whether it says something of the record, and not of the backend.
    """
    if isinstance(error, BackendUnavailableError):
        status = error.status
        return status is not None and status >= 500 and status not in ABOUT_THE_BACKEND
    return True


class Shipper:
    """Sends in the background, in order, and never troubles its host.

    The thread starts when there is something to send, and ends when all converters are gone or
    `stop` is called. Where another process holds the lock it waits for its turn.

    Args:
        outbox: what to send; this thread's own, so that appends do not wait for it.
        make_client: called in the thread, so that importing and connecting happen there.
    """

    def __init__(self, outbox: Outbox, make_client: Callable[[], LineageClient]) -> None:
        self.outbox = outbox
        self._make_client = make_client
        self._converters: weakref.WeakSet[RecordConverter] = weakref.WeakSet()
        self._chosen: weakref.ref[RecordConverter] | None = None
        self._threads = threading.Lock()
        self._thread: _Thread | None = None
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._role = _Role.UNDECIDED
        self._is_failing = False
        self._is_stuck = False
        self._faults: set[str] = set()
        self._sent = 0
        self._sent_when_flush_failed: int | None = None
        self._holds = Holds()
        self._pace = Pace()
        self._asked_at: float | None = None
        self._look_now = threading.Event()
        self._tidied_at = self._filled_at = 0.0
        self._noted_error: str | None = "what an earlier process noted"

    def attach(self, converter: RecordConverter) -> None:
        """Use a converter as long as it lives.

        Args:
            converter: of an owner in this process; any one of them can convert any record.
        """
        self._converters.add(converter)

    def detach(self, converter: RecordConverter, timeout: float) -> bool:
        """Use a converter no more; with the last one the thread ends and the outbox is closed.

        Args:
            converter: one that was attached.
            timeout: how long to wait for the thread, in seconds.

        Returns:
            Whether it was the last.
        """
        self._converters.discard(converter)
        if self._has_converters():
            return False
        self.stop(timeout)
        return True

    def notify(self) -> None:
        """Say that there is something to send; starts the thread if it does not run."""
        self._pace.host_works()
        with self._threads:
            if self._thread is None or not self._thread.is_alive():
                self._set(role=_Role.UNDECIDED, is_failing=False, is_stuck=False)
                self._thread = _Thread(self._guarded_run)
                self._thread.start()
        # To set it costs more than to ask, and a run waits for this.
        if not self._wake.is_set():
            self._wake.set()

    def begin_to_store(self) -> None:
        """Say that this process is about to store something, and wants to compute."""
        self._pace.begin_to_store()

    def end_to_store(self) -> None:
        """Say that it has, or could not."""
        self._pace.end_to_store()

    def page(self, largest: int) -> int:
        """Keep out of the host's way where a converter reads; see `Pace.page`."""
        thread = threading.current_thread()
        if isinstance(thread, _Thread) and thread.stopping.is_set():
            return largest
        return self._pace.page(largest)

    @property
    def is_sending(self) -> bool:
        """Whether this process sends, and the backend takes it."""
        return self._role is _Role.SHIPPING and not self._is_failing

    @property
    def is_of_no_use(self) -> bool:
        """Whether another process sends, or this one cannot."""
        return self._role is _Role.FOLLOWING or self._is_failing

    def work_off(self, patience: float) -> bool:
        """Send all that waits, also what comes meanwhile, for a process that does nothing else.

        Args:
            patience: how long nothing may get sent, in seconds.

        Returns:
            Whether nothing is left.
        """
        self.notify()
        self._pace.begin_to_wait()
        try:
            sent, since = self._sent, time.monotonic()
            while self.outbox.has_work():
                if self._sent != sent:
                    sent, since = self._sent, time.monotonic()
                if time.monotonic() - since > patience:
                    return False
                with self._changed:
                    self._changed.wait(IDLE_SECONDS)
        finally:
            self._pace.end_to_wait()
        return True

    def flush(self, timeout: float) -> bool:
        """Wait until everything that waits now is sent, if this process is the one that sends.

        Args:
            timeout: how long at most, in seconds. A backend that does not answer is not waited
                for, and not a second time if nothing has been sent since: the rest is sent by the
                next process.

        Returns:
            Whether nothing of it is left.
        """
        if not self.outbox.path.exists():
            return True
        newest = self.outbox.newest(timeout)
        self._look_now.set()
        self._pace.begin_to_wait()
        try:
            return self._flush(newest, time.monotonic() + timeout)
        finally:
            self._pace.end_to_wait()

    def _flush(self, newest: int, deadline: float) -> bool:
        with self._changed:
            if newest and self._sent == self._sent_when_flush_failed:
                return False
            while newest and self.outbox.has_older(newest):
                thread = self._thread
                asked_at = self._asked_at
                stalls_at = deadline if asked_at is None else asked_at + STALL_SECONDS
                remaining = min(deadline, stalls_at) - time.monotonic()
                is_leading = self._role is not _Role.FOLLOWING
                is_stuck = self._is_stuck and not self._look_now.is_set()
                can_help = is_leading and not (self._is_failing or is_stuck)
                if thread is None or not thread.is_alive() or not can_help or remaining <= 0:
                    self._sent_when_flush_failed = self._sent
                    return False
                self._wake.set()
                self._changed.wait(min(remaining, IDLE_SECONDS))
        return True

    def stop(self, timeout: float) -> None:
        """End the thread; `notify` starts another.

        Args:
            timeout: how long to wait for it, in seconds.
        """
        with self._threads:
            thread, self._thread = self._thread, None
            if thread is not None:
                # Until it has ended, it rests no more.
                self._pace.begin_to_wait()
                thread.stopping.set()
        if thread is not None:
            self._wake.set()
            thread.join(timeout)
        else:
            # Nobody else does; it opens again when it is used again.
            self.outbox.close()

    def _set(
        self,
        *,
        role: _Role | None = None,
        is_failing: bool | None = None,
        is_stuck: bool | None = None,
    ) -> None:
        with self._changed:
            self._role = role or self._role
            self._is_failing = self._is_failing if is_failing is None else is_failing
            self._is_stuck = self._is_stuck if is_stuck is None else is_stuck
            self._changed.notify_all()

    def _guarded_run(self, thread: _Thread) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        try:
            while not self._may_end(thread):
                try:
                    self._run(thread)
                except Exception as error:
                    self._report_fault(error)
                    self._set(is_failing=True)
                    thread.stopping.wait(backoff)
                    backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
        finally:
            if thread.stopping.is_set():
                self._pace.end_to_wait()
            # It opens again when it is used again.
            self.outbox.close()
            self._set(role=_Role.UNDECIDED)

    def _report_fault(self, error: Exception) -> None:
        # A configuration's secret may be in its text.
        text = fault.described(error)
        if text not in self._faults:
            self._faults.add(text)
            logger.error(
                "OpenLineage: nothing can be sent (%s); no impact on your runs, events wait in %s",
                text,
                self.outbox.path,
            )
        with contextlib.suppress(sqlite3.Error, OSError):
            # It may be the outbox that is at fault.
            self._note(text)

    def _note(self, error: str | None) -> None:
        if error != self._noted_error:
            self.outbox.note_error(error)
            self._noted_error = error

    def _may_end(self, thread: _Thread) -> bool:
        """Decide under the lock, so that whoever calls `notify` afterwards starts a new thread."""
        with self._threads:
            is_wanted = self._is_wanted(thread)
            if not is_wanted and self._thread is thread:
                self._thread = None
            return not is_wanted

    def _run(self, thread: _Thread) -> None:
        self._pace.warm_up(lambda: thread.stopping.is_set() or self._others_wait())
        lock = FileLock(self.outbox.lock_path, mode=0o600)
        while self._is_wanted(thread):
            try:
                with lock.acquire(blocking=False):
                    self._set(role=_Role.SHIPPING)
                    with contextlib.closing(self._make_client()) as client:
                        self._ship(thread, client)
            except Timeout:
                self._set(role=_Role.FOLLOWING)
                thread.stopping.wait(IDLE_SECONDS)

    def _others_wait(self) -> bool:
        """Tell whether what other processes appended waits for long: whoever sent may be dead."""
        return self.outbox.has_waiting_of_others(time.time() - OTHERS_WAIT_SECONDS)

    def _ship(self, thread: _Thread, client: LineageClient) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        began = time.monotonic()
        self._tidied_at = self._filled_at = 0.0
        self._pace.take_over()
        # Whoever had the lock meanwhile has sent what the one of before knows nothing of.
        self._chosen = None
        while self._is_wanted(thread):
            self._wake.clear()
            self._pace.gather()
            try:
                self._tidy()
                is_empty = self._send_batch(thread, client)
                # Rather when nothing waits: what is sent before needs no order with it.
                self._fill_gaps(self._filled_at or (0.0 if is_empty else began))
            except (BackendUnavailableError, FactsUnavailableError) as error:
                self._report_failure(error)
                # With jitter: many processes must not knock at once when the backend is back.
                thread.stopping.wait(backoff * random.uniform(0.5, 1))  # noqa: S311
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            else:
                backoff = FIRST_BACKOFF_SECONDS
                if is_empty:
                    self._set()
                    self._wake.wait(IDLE_SECONDS)
        with contextlib.suppress(sqlite3.Error, OSError):
            # Whoever sends next does it.
            self.outbox.drop_ended_journals()

    def _tidy(self) -> None:
        """Drop what is old, and keep the file small, now and then."""
        if not self._tidied_at or time.monotonic() - self._tidied_at > TIDY_SECONDS:
            self.outbox.drop_old_attachments()
            self.outbox.tidy()
            self._tidied_at = time.monotonic()

    def _fill_gaps(self, filled_at: float) -> None:
        """Put references to what is missing in place of the gaps, now and then."""
        if time.monotonic() - filled_at < TIDY_SECONDS:
            return
        converter = self._converter()
        if converter is None:
            return
        for gap in self.outbox.gaps():
            self.outbox.heal(gap, converter.stand_in(gap))
        self._filled_at = time.monotonic()

    def _send_batch(self, thread: _Thread, client: LineageClient) -> bool:
        """Send the oldest records; one that fails holds up its own key and no other.

        Returns:
            Whether there is nothing to send now.

        Raises:
            DeliveryError: nothing could be sent.
        """
        if self._look_now.is_set():
            self._look_now.clear()
            self._holds.look_now()
            self._set(is_stuck=False)
        records = self.outbox.pending(BATCH, without=self._holds.keys())
        by_key: dict[str, list[Record]] = {}
        for record in records:
            by_key.setdefault(record.ordering_key, []).append(record)
        failures: list[DeliveryError] = []
        sent_before = self._sent
        for of_key in by_key.values():
            converter = self._converter()
            if converter is None or thread.stopping.is_set():
                return False
            try:
                self._send_key(thread, client, converter, of_key)
            except (BackendUnavailableError, FactsUnavailableError) as error:
                if not may_be_the_record(error):
                    raise
                failures.append(error)
        if failures and self._sent == sent_before:
            raise failures[0]
        # What fails by itself is not worth waiting for.
        self._set(is_stuck=not records and bool(self._holds))
        return not records

    def _send_key(
        self,
        thread: _Thread,
        client: LineageClient,
        converter: RecordConverter,
        records: Sequence[Record],
    ) -> None:
        """Send records of one key in order, up to the first that fails."""
        failing = records[0]
        try:
            ready = converter.ready(records, partial(self.outbox.later_than, limit=BATCH))
            if ready:
                self._holds.found(failing.ordering_key)
            else:
                self._holds.look_later(failing.ordering_key)
            for record in ready:
                if thread.stopping.is_set():
                    return
                failing = record
                self._send(client, converter, record)
                self._holds.release(record.ordering_key)
                self._pace.rest(time.time() - record.appended_at)
        except (BackendUnavailableError, FactsUnavailableError) as error:
            if may_be_the_record(error):
                self._hold(converter, failing, error)
            raise

    def _hold(self, converter: RecordConverter, record: Record, error: DeliveryError) -> None:
        failures = self._holds.fail(record.ordering_key, record.id, self._sent)
        if failures >= PARK_AFTER:
            logger.error(
                "OpenLineage: record %s of %s failed %s times while others were sent (%s) and is "
                "parked; no impact on your runs",
                record.id,
                record.ordering_key,
                failures,
                error,
            )
            self.outbox.park(record, f"failed again and again: {error.in_full}")
            converter.forget(record)
            self._holds.release(record.ordering_key)

    def _send(self, client: LineageClient, converter: RecordConverter, record: Record) -> None:
        refusals = []
        try:
            for event in converter.to_events(record):
                refusal = self._refusal(client, event)
                if refusal is not None:
                    refusals.append(refusal)
        except DeliveryError:
            raise
        except Exception as error:
            logger.error(  # noqa: TRY400 -- its text may hold what the event says
                "OpenLineage: record %s of %s cannot be converted (%s) and is parked; no impact on "
                "your runs",
                record.id,
                record.ordering_key,
                fault.described(error),
            )
            self.outbox.park(record, f"not converted: {fault.described(error)}; {error}")
            converter.forget(record)
            return
        if refusals:
            logger.error(
                "OpenLineage: record %s of %s was %s and is parked, with the answer, in %s; no "
                "impact on your runs",
                record.id,
                record.ordering_key,
                refusals[0],
                self.outbox.path,
            )
            self.outbox.park(record, "; ".join(refusal.in_full for refusal in refusals))
        else:
            self.outbox.remove([record])
        self._sent += 1

    def _refusal(self, client: LineageClient, event: Event) -> EventRefusedError | None:
        refusal = None
        try:
            self._asked_at = time.monotonic()
            client.emit(event)
        except EventRefusedError as error:
            refusal = error
        finally:
            self._asked_at = None
        self._set(is_failing=False)
        self._note(None)
        return refusal

    def _report_failure(self, error: DeliveryError) -> None:
        if not self._is_failing:
            reason = (
                "the backend takes no events"
                if isinstance(error, BackendUnavailableError)
                else "events cannot be converted yet"
            )
            logger.warning(
                "OpenLineage: %s (%s); no impact on your runs, events wait in %s",
                reason,
                error,
                self.outbox.path,
            )
        self._set(is_failing=True)
        self._note(error.in_full)

    def _converter(self) -> RecordConverter | None:
        """Choose one and stay with it: it knows how far each key is."""
        chosen = self._chosen() if self._chosen is not None else None
        if chosen is None or chosen not in self._converters or not chosen.is_usable:
            chosen = next(self._usable(), None)
            if chosen is not None:
                chosen.begin_anew()
            self._chosen = None if chosen is None else weakref.ref(chosen)
        return chosen

    def _usable(self) -> Iterator[RecordConverter]:
        return (each for each in list(self._converters) if each.is_usable)

    def _has_converters(self) -> bool:
        return next(self._usable(), None) is not None

    def _is_wanted(self, thread: _Thread) -> bool:
        return not thread.stopping.is_set() and self._has_converters()
