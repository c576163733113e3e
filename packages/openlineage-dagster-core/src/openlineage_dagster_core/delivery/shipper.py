"""The shipper: the one thread, of all processes on an outbox, that sends what waits in it."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from openlineage_dagster_core.delivery.outbox import Outbox, Record
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

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

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

    def to_events(self, record: Record) -> Sequence[Event]:
        """Convert a record.

        Args:
            record: from the outbox.

        Returns:
            The events in the order to send them.

        Raises:
            FactsUnavailableError: not now.
        """

    def done(self, record: Record) -> None:
        """Learn that the record is done with, sent or parked.

        Args:
            record: the one converted last.
        """


@dataclass
class _Hold:
    """What keeps a key waiting while the others go on.

    Args:
        record_id: the record that failed.
        failures: how often, with others sent in between.
        sent: how many had been sent at the last failure.
        backoff: how long it waits next, in seconds.
        not_before: when it is tried again, by the monotonic clock.
    """

    record_id: int
    failures: int = 0
    sent: int = -1
    backoff: float = FIRST_BACKOFF_SECONDS
    not_before: float = 0.0


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


def _may_be_the_record(error: DeliveryError) -> bool:
    """Tell whether another record may fare better."""
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
        self._threads = threading.Lock()
        self._thread: _Thread | None = None
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._role = _Role.UNDECIDED
        self._is_failing = False
        self._faults: set[str] = set()
        self._sent = 0
        self._sent_when_flush_failed: int | None = None
        self._holds: dict[str, _Hold] = {}

    def attach(self, converter: RecordConverter) -> None:
        """Use a converter as long as it lives.

        Args:
            converter: of an owner in this process; any one of them can convert any record.
        """
        self._converters.add(converter)

    def detach(self, converter: RecordConverter, timeout: float) -> None:
        """Use a converter no more; with the last one the thread ends and the outbox is closed.

        Args:
            converter: one that was attached.
            timeout: how long to wait for the thread, in seconds.
        """
        self._converters.discard(converter)
        if self._converter() is None:
            self.stop(timeout)

    def notify(self) -> None:
        """Say that there is something to send; starts the thread if it does not run."""
        with self._threads:
            if self._thread is None or not self._thread.is_alive():
                self._set(role=_Role.UNDECIDED, is_failing=False)
                self._thread = _Thread(self._guarded_run)
                self._thread.start()
        self._wake.set()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is sent, if this process is the one that sends.

        Args:
            timeout: how long at most, in seconds. A backend that does not answer is not waited
                for, and not a second time if nothing has been sent since: the rest is sent by the
                next process.

        Returns:
            Whether nothing is left.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            if self._sent == self._sent_when_flush_failed:
                return False
            while self.outbox.depth() > 0:
                thread = self._thread
                remaining = deadline - time.monotonic()
                can_help = self._role is not _Role.FOLLOWING and not self._is_failing
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
            thread.stopping.set()
            self._wake.set()
            thread.join(timeout)

    def _set(self, *, role: _Role | None = None, is_failing: bool | None = None) -> None:
        with self._changed:
            self._role = role or self._role
            self._is_failing = self._is_failing if is_failing is None else is_failing
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
            # It opens again when it is used again.
            self.outbox.close()
            self._set(role=_Role.UNDECIDED)

    def _report_fault(self, error: Exception) -> None:
        text = repr(error)
        if text not in self._faults:
            self._faults.add(text)
            logger.error(
                "OpenLineage: nothing can be sent; no impact on your runs, events wait in %s",
                self.outbox.path,
                exc_info=error,
            )

    def _may_end(self, thread: _Thread) -> bool:
        """Decide under the lock, so that whoever calls `notify` afterwards starts a new thread."""
        with self._threads:
            is_wanted = self._is_wanted(thread)
            if not is_wanted and self._thread is thread:
                self._thread = None
            return not is_wanted

    def _run(self, thread: _Thread) -> None:
        self.outbox.drop_old_attachments()
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

    def _ship(self, thread: _Thread, client: LineageClient) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while self._is_wanted(thread):
            self._wake.clear()
            try:
                is_empty = self._send_batch(thread, client)
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

    def _send_batch(self, thread: _Thread, client: LineageClient) -> bool:
        """Send the oldest records; one that fails holds up its own key and no other.

        Returns:
            Whether there is nothing to send now.

        Raises:
            DeliveryError: nothing could be sent.
        """
        now = time.monotonic()
        held = [key for key, hold in self._holds.items() if hold.not_before > now]
        records = self.outbox.pending(BATCH, without=held)
        failed: dict[str, DeliveryError] = {}
        sent_before = self._sent
        for record in records:
            converter = self._converter()
            if converter is None or thread.stopping.is_set():
                return False
            if record.ordering_key in failed:
                continue
            try:
                self._send(client, converter, record)
                self._holds.pop(record.ordering_key, None)
            except (BackendUnavailableError, FactsUnavailableError) as error:
                if not _may_be_the_record(error):
                    raise
                failed[record.ordering_key] = error
                self._hold(converter, record, error)
        if failed and self._sent == sent_before:
            raise next(iter(failed.values()))
        if not records and self._holds:
            # What is left is not worth waiting for.
            self._set(is_failing=True)
        return not records

    def _hold(self, converter: RecordConverter, record: Record, error: DeliveryError) -> None:
        hold = self._holds.get(record.ordering_key)
        if hold is None or hold.record_id != record.id:
            hold = self._holds[record.ordering_key] = _Hold(record.id)
        # Where nothing else goes either, it says nothing of this record.
        if self._sent > hold.sent:
            hold.failures += 1
        hold.sent = self._sent
        hold.not_before = time.monotonic() + hold.backoff * random.uniform(0.5, 1)  # noqa: S311
        hold.backoff = min(hold.backoff * 2, LONGEST_BACKOFF_SECONDS)
        if hold.failures >= PARK_AFTER:
            logger.error(
                "OpenLineage: record %s of %s failed %s times while others were sent (%s) and is "
                "parked; no impact on your runs",
                record.id,
                record.ordering_key,
                hold.failures,
                error,
            )
            self.outbox.park(record, f"failed again and again: {error}")
            converter.done(record)
            del self._holds[record.ordering_key]

    def _send(self, client: LineageClient, converter: RecordConverter, record: Record) -> None:
        try:
            events = converter.to_events(record)
        except FactsUnavailableError:
            raise
        except Exception as error:
            logger.exception(
                "OpenLineage: record %s of %s cannot be converted and is parked; no impact on "
                "your runs",
                record.id,
                record.ordering_key,
            )
            self.outbox.park(record, f"not converted: {type(error).__name__}: {error}")
            converter.done(record)
            return
        refusals = [refusal for event in events if (refusal := self._refusal(client, event))]
        if refusals:
            logger.error(
                "OpenLineage: record %s of %s was %s and is parked; no impact on your runs",
                record.id,
                record.ordering_key,
                refusals[0],
            )
            self.outbox.park(record, "; ".join(refusals))
        else:
            self.outbox.remove([record])
        converter.done(record)
        self._sent += 1

    def _refusal(self, client: LineageClient, event: Event) -> str | None:
        refusal = None
        try:
            client.emit(event)
        except EventRefusedError as error:
            refusal = str(error)
        self._set(is_failing=False)
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

    def _converter(self) -> RecordConverter | None:
        return next((each for each in list(self._converters) if each.is_usable), None)

    def _is_wanted(self, thread: _Thread) -> bool:
        return not thread.stopping.is_set() and self._converter() is not None
