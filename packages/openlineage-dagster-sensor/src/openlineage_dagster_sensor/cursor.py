"""The sensor's cursor: how far the event log has been sent, small enough for any database."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

VERSION = 2

UNKNOWN = -1

LONGEST_TEXT = 4096
"""Characters; what is more is left out, and found again or sent again if it is ever missed."""

LONGEST_BITS = 1_000_000
"""How far the ids above `low` may reach: a million of them would not fit anyway."""

HELD_AT_MOST = 20
"""How many runs may wait while the others go on."""

PARKED_NAMED = 5
"""How many of the parked events are named; all are counted."""

REASON_CHARACTERS = 100


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
        low: every event of the log up to this storage id is done with, and none will appear.
        seen: every event up to this one is done with that was there when it was read.
        at: when the last of those happened, in seconds since the epoch.
        recent: the storage ids above `low` that are done with; where each run has a log of its own,
            those of the log of no run.
        marks: what `seen` was before, and when, in seconds since the epoch, the oldest first.
        runs: where each run has a log of its own: how far that is done with, by run id, and when
            the run ended, in seconds since the epoch, if its end is done with, else 0. `UNKNOWN`
            is how far a run is that has been found again.
        updated_after: runs whose row changed before this are known, in seconds since the epoch.
        complete_after: to find again what `runs` had, begin with the rows that changed after this.
        sent_until: what happened before this has been sent of every run.
        must_find_runs: whether `runs` was too much to be kept.
        begins_at: what happened before is left out, in seconds since the epoch.
        after_storage_id: where a cursor of 0.1 or 0.2, or the option, says to begin; 0 once that
            has been found.
        held: runs that wait, by run id.
        partly: how many OpenLineage events of an event were sent, by run id and storage id.
        parked: how many events were refused or could not be converted.
        last_parked: the last of them: run id, storage id and why.
        read: how many events of the log are done with, in all.
        sent: how many OpenLineage events the backend took, in all.
        behind: how many events of the log were left after the last tick, at most; 0 where that is
            not known.
        behind_seconds: how long ago the first of them happened; 0 where none is left.
        is_new: whether it is still to be found where to begin.
    """

    low: int = 0
    seen: int = 0
    at: float = 0.0
    recent: set[int] = field(default_factory=set)
    marks: list[tuple[int, float]] = field(default_factory=list)
    runs: dict[str, tuple[int, float]] = field(default_factory=dict)
    updated_after: float = 0.0
    complete_after: float = 0.0
    sent_until: float = 0.0
    must_find_runs: bool = False
    begins_at: float = 0.0
    after_storage_id: int = 0
    held: dict[str, HeldRun] = field(default_factory=dict)
    partly: dict[tuple[str, int], int] = field(default_factory=dict)
    parked: int = 0
    last_parked: list[tuple[str, int, str]] = field(default_factory=list)
    read: int = 0
    sent: int = 0
    behind: int = 0
    behind_seconds: float = 0.0
    is_new: bool = False

    def park(self, run_id: str, storage_id: int, reason: str) -> None:
        """Count an event that was refused or could not be converted.

        Args:
            run_id: of its run.
            storage_id: of the event.
            reason: without what the event says.
        """
        self.parked += 1
        parked = (run_id, storage_id, reason[:REASON_CHARACTERS])
        self.last_parked = [*self.last_parked, parked][-PARKED_NAMED:]

    def hold(self, run_id: str, held: HeldRun) -> None:
        """Let a run wait, unless too many do: then all that follows waits for it.

        Args:
            run_id: of the run.
            held: where it waits.
        """
        if run_id in self.held or len(self.held) < HELD_AT_MOST:
            self.held[run_id] = held

    def to_text(self) -> str:
        """Write the cursor for Dagster to keep.

        Returns:
            JSON, of `LONGEST_TEXT` at most. Where that is too little for what is done with of the
            last minutes, or for the runs under way, these are left out: whoever has nothing but
            this text sends the last events of those runs once more.
        """
        is_packed = _packed(self.recent, self.low) is not None
        text = _written(self)
        if is_packed and len(text) <= LONGEST_TEXT:
            return text
        # What comes after `low` is sent from there, whole.
        brief = replace(
            self,
            seen=self.low,
            recent=set(),
            marks=[],
            runs={},
            updated_after=min(self.updated_after, self.complete_after),
            must_find_runs=True,
            held={run: held for run, held in self.held.items() if held.storage_id <= self.low},
            partly={},
        )
        text = _written(brief)
        while len(text) > LONGEST_TEXT and brief.last_parked:
            brief.last_parked = brief.last_parked[1:]
            text = _written(brief)
        return text

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


def _written(cursor: Cursor) -> str:
    content = {
        "version": VERSION,
        "is_new": cursor.is_new,
        "low": cursor.low,
        "seen": cursor.seen,
        "at": cursor.at,
        "recent": _packed(cursor.recent, cursor.low),
        "marks": cursor.marks,
        "runs": cursor.runs,
        "updated_after": cursor.updated_after,
        "complete_after": cursor.complete_after,
        "sent_until": cursor.sent_until,
        "must_find_runs": cursor.must_find_runs,
        "begins_at": cursor.begins_at,
        "after_storage_id": cursor.after_storage_id,
        "held": {run: [held.storage_id, held.failures] for run, held in cursor.held.items()},
        "partly": [[run, number, sent] for (run, number), sent in dict(cursor.partly).items()],
        "parked": cursor.parked,
        "last_parked": cursor.last_parked,
        "read": cursor.read,
        "sent": cursor.sent,
        "behind": cursor.behind,
        "behind_seconds": round(cursor.behind_seconds, 1),
    }
    return json.dumps({key: value for key, value in content.items() if value})


def _read(stored: Any) -> Cursor:
    low = int(stored.get("low", 0))
    return Cursor(
        is_new=bool(stored.get("is_new", False)),
        low=low,
        seen=int(stored.get("seen", low)),
        at=float(stored.get("at", 0)),
        recent=_unpacked(stored.get("recent", ""), low),
        marks=[(int(number), float(at)) for number, at in stored.get("marks", [])],
        runs={run: (int(at), float(end)) for run, (at, end) in stored.get("runs", {}).items()},
        updated_after=float(stored.get("updated_after", 0)),
        complete_after=float(stored.get("complete_after", 0)),
        sent_until=float(stored.get("sent_until", 0)),
        must_find_runs=bool(stored.get("must_find_runs", False)),
        begins_at=float(stored.get("begins_at", 0)),
        after_storage_id=int(stored.get("after_storage_id", 0)),
        held={run: HeldRun(int(at), int(n)) for run, (at, n) in stored.get("held", {}).items()},
        partly={(run, int(number)): int(n) for run, number, n in stored.get("partly", [])},
        parked=int(stored.get("parked", 0)),
        last_parked=[
            (str(run), int(number), str(why)) for run, number, why in stored.get("last_parked", [])
        ],
        read=int(stored.get("read", 0)),
        sent=int(stored.get("sent", 0)),
        behind=int(stored.get("behind", 0)),
        behind_seconds=float(stored.get("behind_seconds", 0)),
    )


def _packed(ids: Collection[int], low: int) -> str | None:
    """Write the ids above another one as bits; None where they are too far apart."""
    if not ids:
        return ""
    size = max(ids) - low
    if size > LONGEST_BITS:
        return None
    bits = bytearray(size // 8 + 1)
    for each in ids:
        bits[(each - low) // 8] |= 1 << (each - low) % 8
    return base64.b85encode(zlib.compress(bits, 9)).decode()


def _unpacked(text: str, low: int) -> set[int]:
    if not text:
        return set()
    bits = zlib.decompress(base64.b85decode(text))
    return {
        low + 8 * position + bit
        for position, byte in enumerate(bits)
        for bit in range(8)
        if byte >> bit & 1
    }
