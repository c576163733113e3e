"""What waits although it is its turn: keys whose record failed or is not ready yet."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

FIRST_LOOK_SECONDS = 0.1
LONGEST_LOOK_SECONDS = 1.0
"""What is appended to the key meanwhile waits as long."""


@dataclass
class _Failing:
    """A record that failed.

    Args:
        record_id: its id.
        failures: how often, with others sent in between.
        sent: how many had been sent at the last failure.
        backoff: how long its key waits next, in seconds.
        not_before: when it is tried again, by the monotonic clock.
    """

    record_id: int
    failures: int = 0
    sent: int = -1
    backoff: float = FIRST_BACKOFF_SECONDS
    not_before: float = 0.0


class Holds:
    """Remembers when to try again."""

    def __init__(self) -> None:
        self._failing: dict[str, _Failing] = {}
        self._unready: dict[str, tuple[float, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._failing or self._unready)

    def keys(self) -> set[str]:
        """List what is held.

        Returns:
            The keys whose time has not come.
        """
        now = time.monotonic()
        failing = {key for key, hold in self._failing.items() if hold.not_before > now}
        return failing | {key for key, (_, not_before) in self._unready.items() if not_before > now}

    def fail(self, key: str, record_id: int, sent: int) -> int:
        """Hold a key.

        Args:
            key: of the record that failed.
            record_id: its id.
            sent: how many records have been sent so far.

        Returns:
            How often it has failed with others sent in between.
        """
        hold = self._failing.get(key)
        if hold is None or hold.record_id != record_id:
            hold = self._failing[key] = _Failing(record_id)
        # Where nothing else goes either, it says nothing of this record.
        if sent > hold.sent:
            hold.failures += 1
        hold.sent = sent
        hold.not_before = time.monotonic() + hold.backoff * random.uniform(0.5, 1)  # noqa: S311
        hold.backoff = min(hold.backoff * 2, LONGEST_BACKOFF_SECONDS)
        return hold.failures

    def release(self, key: str) -> None:
        """Let a key go on.

        Args:
            key: held or not.
        """
        self._failing.pop(key, None)

    def look_later(self, key: str) -> None:
        """Leave a key of which nothing is ready for a while, longer each time.

        All of it is looked at together: what is ready next may belong before what follows it.

        Args:
            key: of the records.
        """
        wait, _ = self._unready.get(key, (FIRST_LOOK_SECONDS, 0.0))
        self._unready[key] = (min(wait * 2, LONGEST_LOOK_SECONDS), time.monotonic() + wait)

    def look_now(self) -> None:
        """Look at what was not ready at once: somebody waits for it, and knows that it is."""
        self._unready.clear()

    def found(self, key: str) -> None:
        """Learn that something of a key is ready.

        Args:
            key: left for a while or not.
        """
        self._unready.pop(key, None)
