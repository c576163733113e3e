"""The failure policy: decides whether an event or the backend is to blame.

What the backend refuses is parked at once. What fails by itself, whatever the exception, is held
with what depends on it while all others are tried; it is parked once it has failed again and again
with others sent in between. A backend that takes nothing ends the pass.
"""

import random
import time
from dataclasses import dataclass

from openlineage_dagster_core.errors import BackendUnavailableError, DeliveryError

PARK_AFTER = 5  # Failures with others sent in between until an event is parked: some 15 seconds
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 15.0

# Failures of different events in a row, before anything is sent, that end the pass
DOUBTFUL_FAILURES = 3
# The same once something was sent in this pass: some events may all have the same fault
FAILURES_IN_A_ROW = 8
# Answers that a gateway, a key or an address gives, whatever the event
ABOUT_THE_BACKEND = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 407, 429, 502, 503, 504})


@dataclass
class Attempts:
    """The failed attempts to send one event."""

    failures: int = 0  # How many failed
    evidence: int = 0  # How many of those failed although others were sent since the one before
    sent_before: int = 0  # How many others had been sent at the last failure
    retry_at: float = 0.0  # When to try again, by the monotonic clock
    message: str = ""  # What went wrong last


class Failures:
    """Judges failures over all passes of one delivery; the caller holds the lock.

    `timeout` is the limit of one request, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._sent = 0
        self._pause = 0.0
        self.blocks_until = 0.0  # When the next pass may begin, by the monotonic clock
        self.begin()

    def begin(self) -> None:
        """Begin a pass."""
        self.has_sent = False  # True once the backend answered for anything in this pass
        self.stopped_by: str | None = None  # Why the pass must end; None while it goes on
        self._in_a_row, self._lost_seconds = 0, 0.0

    def succeed(self) -> None:
        """Note that the backend answered for an event: it took or refused it."""
        self._sent += 1
        self._in_a_row, self._lost_seconds, self._pause = 0, 0.0, 0.0
        self.has_sent = True

    def needs_probe(self, attempts: Attempts) -> bool:
        """Return True if nothing was sent since an event failed.

        Then an event that the backend is known to take must be sent before the next attempt.
        """
        return attempts.failures > 0 and self._sent == attempts.sent_before

    def fail(self, attempts: Attempts, error: BaseException, seconds: float) -> bool:
        """Add a failure that took some seconds to an event's attempts.

        Return True to park the event, False to hold it.
        """
        if attempts.failures and self._sent > attempts.sent_before:
            attempts.evidence += 1
        attempts.failures += 1
        attempts.sent_before = self._sent
        attempts.message = str(error) if isinstance(error, DeliveryError) else type(error).__name__
        doublings = min(attempts.failures - 1, 10)
        pause = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**doublings)
        attempts.retry_at = time.monotonic() + pause * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter
        if attempts.evidence >= PARK_AFTER:
            return True
        self._in_a_row += 1
        self._lost_seconds += seconds
        is_clear = isinstance(error, BackendUnavailableError) and (
            error.is_silent or error.status in ABOUT_THE_BACKEND
        )
        allowed_at_first = 1 if is_clear else DOUBTFUL_FAILURES
        allowed = FAILURES_IN_A_ROW if self.has_sent else allowed_at_first
        if self._in_a_row >= allowed or self._lost_seconds > 2 * self._timeout:
            self.blame_backend(attempts.message)
        return False

    def blame_backend(self, message: str) -> None:
        """End the pass because the backend takes nothing; `message` says what went wrong last."""
        self.stop(f"the backend takes no events, will retry: {message}")

    def stop(self, reason: str) -> None:
        """End the pass for a reason that is fit for a log, and delay the next pass."""
        if self.stopped_by is not None:
            return
        self.stopped_by = reason
        self._pause = min(LONGEST_RETRY_SECONDS, max(FIRST_RETRY_SECONDS, 2 * self._pause))
        self.blocks_until = time.monotonic() + self._pause * random.uniform(0.75, 1.25)  # noqa: S311
