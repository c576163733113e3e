"""The sensor's cursor: how far the event log has been sent, small enough for any database."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

VERSION = 2

PARKED_NAMED = 5
"""How many of the parked events are named; all are counted."""


@dataclass
class HeldRun:
    """A run that cannot go on while the others do.

    Args:
        storage_id: of its first event that is not done.
        failures: in how many ticks that failed while others were sent.
    """

    storage_id: int
    failures: int = 0


@dataclass
class Cursor:
    """How far the event log has been sent.

    Args:
        low: every event of the log up to this storage id is done with.
        at: when that event happened, in seconds since the epoch.
        recent: the storage ids above it that are done with.
        mark: a storage id up to which everything will be settled, and when it was seen, in seconds
            since the epoch.
        runs: where each run has a log of its own: how far that is done with, by run id, and when
            the run ended, in seconds since the epoch, if its end is done with, else 0.
        updated_after: runs whose row changed before this are known, in seconds since the epoch.
        begins_at: what happened before is left out, in seconds since the epoch.
        after_storage_id: where a cursor of 0.1 or 0.2, or the option, says to begin; 0 once that
            has been found.
        held: runs that wait, by run id.
        partly: how many OpenLineage events of an event were sent, by run id and storage id.
        parked: how many events were refused or could not be converted.
        last_parked: the last of them: run id, storage id and why.
    """

    low: int = 0
    at: float = 0.0
    recent: set[int] = field(default_factory=set)
    mark: tuple[int, float] = (0, 0.0)
    runs: dict[str, tuple[int, float]] = field(default_factory=dict)
    updated_after: float = 0.0
    begins_at: float = 0.0
    after_storage_id: int = 0
    held: dict[str, HeldRun] = field(default_factory=dict)
    partly: dict[tuple[str, int], int] = field(default_factory=dict)
    parked: int = 0
    last_parked: list[tuple[str, int, str]] = field(default_factory=list)
    is_new: bool = False

    def park(self, run_id: str, storage_id: int, reason: str) -> None:
        """Count an event that was refused or could not be converted.

        Args:
            run_id: of its run.
            storage_id: of the event.
            reason: without what the event says.
        """
        self.parked += 1
        self.last_parked = [*self.last_parked, (run_id, storage_id, reason)][-PARKED_NAMED:]

    def to_text(self) -> str:
        """Write the cursor for Dagster to keep.

        Returns:
            JSON.
        """
        content = {
            "version": VERSION,
            "low": self.low,
            "at": self.at,
            "recent": _packed(_steps(self.recent, self.low)),
            "mark": self.mark if self.mark[0] else None,
            "runs": self.runs,
            "updated_after": self.updated_after,
            "begins_at": self.begins_at,
            "after_storage_id": self.after_storage_id,
            "held": {run: [held.storage_id, held.failures] for run, held in self.held.items()},
            "partly": [[run, number, sent] for (run, number), sent in dict(self.partly).items()],
            "parked": self.parked,
            "last_parked": self.last_parked,
        }
        return json.dumps({key: value for key, value in content.items() if value})

    @classmethod
    def from_text(cls, text: str | None, after_storage_id: int = 0) -> Cursor:
        """Read a cursor.

        Args:
            text: what Dagster kept: ours, that of 0.1 or 0.2, or None at the first tick.
            after_storage_id: where to begin, at the first tick.

        Returns:
            The cursor.

        Raises:
            ValueError: the text is no cursor.
        """
        if not text:
            return cls(after_storage_id=after_storage_id, is_new=True)
        try:
            stored = json.loads(text)
            if "version" not in stored:
                # 0.1 and 0.2 kept one storage id.
                return cls(after_storage_id=int(stored["last_storage_id"]))
            return _read(stored)
        except (TypeError, KeyError, IndexError, zlib.error) as error:
            msg = "not a cursor of the OpenLineage sensor"
            raise ValueError(msg) from error


def _read(stored: Any) -> Cursor:
    low = int(stored.get("low", 0))
    return Cursor(
        low=low,
        at=float(stored.get("at", 0)),
        recent=set(_sums(_unpacked(stored.get("recent", "")), low)),
        mark=_mark(stored.get("mark", (0, 0.0))),
        runs={run: (int(at), float(end)) for run, (at, end) in stored.get("runs", {}).items()},
        updated_after=float(stored.get("updated_after", 0)),
        begins_at=float(stored.get("begins_at", 0)),
        after_storage_id=int(stored.get("after_storage_id", 0)),
        held={run: HeldRun(int(at), int(n)) for run, (at, n) in stored.get("held", {}).items()},
        partly={(run, int(number)): int(n) for run, number, n in stored.get("partly", [])},
        parked=int(stored.get("parked", 0)),
        last_parked=[
            (str(run), int(number), str(why)) for run, number, why in stored.get("last_parked", [])
        ],
    )


def _mark(stored: Any) -> tuple[int, float]:
    storage_id, seen_at = stored
    return int(storage_id), float(seen_at)


def _steps(ids: Iterable[int], low: int) -> list[int]:
    steps, before = [], low
    for each in sorted(ids):
        steps.append(each - before)
        before = each
    return steps


def _sums(steps: Iterable[int], low: int) -> list[int]:
    ids, at = [], low
    for step in steps:
        at += step
        ids.append(at)
    return ids


def _packed(steps: list[int]) -> str:
    """Write numbers that are mostly small and alike."""
    if not steps:
        return ""
    return base64.b85encode(zlib.compress(json.dumps(steps).encode(), 9)).decode()


def _unpacked(text: str) -> list[int]:
    if not text:
        return []
    steps: list[int] = json.loads(zlib.decompress(base64.b85decode(text)))
    return steps
