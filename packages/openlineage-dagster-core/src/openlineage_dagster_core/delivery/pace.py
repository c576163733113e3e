"""How the shipper's thread keeps out of the way of the run that shares its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

WARM_UP_SECONDS = 15.0
"""So long after its first event a process that works is left alone: to import the client and all
that converts takes half a second, and many runs have ended by then."""

BUSY_SECONDS = 1.0
"""So long after it stored something the process is taken to be in the middle of its work."""

SHARE = 0.02
"""Of the time, what the thread may compute meanwhile: Python runs one thread at a time."""

LARGEST_SHARE = 0.03
"""The same where it falls ever further behind: a run may take 1.05 times as long, and storing alone
costs a part of that. What a host that never rests leaves is sent when it has ended."""

LONGEST_WRITE_SECONDS = 30.0
"""One write that goes on for longer than `BUSY_SECONDS` is sat out until then: a batch in SQLite
stores one event after the other, and loses several times as much as the thread computes. One that
goes on for longer may hang."""

BEHIND_SECONDS = 30.0
"""How long a record may have waited before the share grows, in proportion to the wait."""

GATHER_SECONDS = 0.2
"""How long appended records are gathered, so that the log is read once for many."""

SMALL_PAGE = 5
"""How many events are read at once meanwhile: whatever the host does waits for milliseconds when it
comes in between, and an event of a table with many columns takes one."""

IDLE_PAGE = 50
"""The same while the host does nothing: it may begin at any time."""

READING_SECONDS = 10.0
"""How long it rests, in all, over what is read for one record: for the first of a long run that is
all of it, and others wait behind it."""

TAKE_OVER_SECONDS = 1.0
"""The same before it sends anything: who takes over from a dead process is to send soon."""

NEW_SENDER_SECONDS = 10.0
"""So long after it took over it sits no write out."""

LONGEST_REST_SECONDS = 1.0
"""Imports take long once; and when the process that sends dies, another is to send soon."""


class Pace:
    """Rests while the host works, and hurries when somebody waits for the thread."""

    def __init__(self) -> None:
        self._worked_at = self._first_worked_at = 0.0
        self._waiting = self._storing = 0
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._computed = 0.0
        self._waited = 0.0
        self._left_to_read = TAKE_OVER_SECONDS
        self._took_over_at = 0.0

    def host_works(self) -> None:
        """Learn that the host is storing something."""
        self._worked_at = time.monotonic()
        self._first_worked_at = self._first_worked_at or self._worked_at

    def begin_to_store(self) -> None:
        """Learn that the host begins to store something, however long that takes."""
        with self._lock:
            self._storing += 1
        self.host_works()

    def end_to_store(self) -> None:
        """Learn that it has."""
        with self._lock:
            self._storing -= 1
        self.host_works()

    def begin_to_wait(self) -> None:
        """Learn that the host waits for the thread: there is nothing to keep out of the way of."""
        with self._lock:
            self._waiting += 1
            self._hurry.set()

    def end_to_wait(self) -> None:
        """Learn that the host goes on."""
        with self._lock:
            self._waiting -= 1
            if self._waiting == 0:
                self._hurry.clear()

    def warm_up(self, is_over: Callable[[], bool]) -> None:
        """Wait with everything as long as the host is new and at work; called in the thread.

        Args:
            is_over: whether to wait no longer; asked again and again.
        """
        while not is_over() and self._is_host_busy():
            if time.monotonic() - self._first_worked_at > WARM_UP_SECONDS:
                return
            # No oftener than the answer can change: a thread that wakes five times a second makes
            # a run of two seconds beside SQLite a tenth longer.
            self._hurry.wait(BUSY_SECONDS)

    def take_over(self) -> None:
        """Begin to send, with all that takes to be read first; called in the thread."""
        self._left_to_read = TAKE_OVER_SECONDS
        self._took_over_at = time.monotonic()

    def gather(self) -> None:
        """Let records come together before they are read; called in the thread."""
        self._sit_long_write_out()
        if self._is_host_busy():
            self._hurry.wait(GATHER_SECONDS)
        self._computed = time.thread_time()

    def rest(self, waited: float) -> None:
        """Make up for what the thread has computed since the last time; called in the thread.

        Args:
            waited: how long what was sent last had waited, in seconds.
        """
        self._waited = waited
        self._sit_long_write_out()
        self._rest()
        self._left_to_read = READING_SECONDS

    def page(self, largest: int) -> int:
        """Rest before events are read, and tell how many of them to read; called in the thread.

        Args:
            largest: how many, where the host waits for the thread.

        Returns:
            Not more than that.
        """
        self._sit_long_write_out()
        if self._left_to_read > 0:
            self._left_to_read -= self._rest()
        if self._hurry.is_set():
            return largest
        return min(SMALL_PAGE if self._is_host_busy() else IDLE_PAGE, largest)

    def _rest(self) -> float:
        now, rest = time.thread_time(), 0.0
        if self._is_host_busy():
            share = min(LARGEST_SHARE, SHARE * max(1.0, self._waited / BEHIND_SECONDS))
            rest = min((now - self._computed) * (1 / share - 1), LONGEST_REST_SECONDS)
            self._hurry.wait(rest)
        self._computed = now
        return rest

    def _sit_long_write_out(self) -> None:
        while self._is_host_busy() and self._is_write_long() and not self._is_new_sender():
            self._hurry.wait(LONGEST_REST_SECONDS)

    def _is_host_busy(self) -> bool:
        if self._hurry.is_set():
            return False
        return bool(self._storing) or self._since_work() < BUSY_SECONDS

    def _is_write_long(self) -> bool:
        return bool(self._storing) and BUSY_SECONDS <= self._since_work() < LONGEST_WRITE_SECONDS

    def _is_new_sender(self) -> bool:
        return time.monotonic() - self._took_over_at < NEW_SENDER_SECONDS

    def _since_work(self) -> float:
        return time.monotonic() - self._worked_at
