"""The cursor: how far the event log has been delivered, small enough for a database's text."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from openlineage_dagster_core.event_log.stored_event import EventId

VERSION = 2

UNKNOWN = -1
"""The position of a run whose own position is not known any more."""

LONGEST_BITS = 1_000_000
"""How far the ids above `low` may reach to be written; more would not fit any database's text."""

PARKED_KEPT = 100
"""Parked events that are kept by name, the latest ones; all are counted."""

PARKED_IN_SHORT = 5
"""Parked events that a text of limited length keeps by name at least, where there is room."""

REASON_CHARACTERS = 200
"""What is kept of the reason why an event was parked."""

PARTLY_KEPT = 50
"""Log events that are delivered in part and kept by name: each has very many OpenLineage events."""


@dataclass(frozen=True)
class ParkedEvent:
    """An event of the log that was set aside: refused by the backend, or not convertible.

    Args:
        run_id: the Dagster run id; empty for an event reported from outside any run.
        storage_id: the event's storage id.
        event_type: the Dagster event type; empty where the event cannot be decoded.
        reason: why, with the beginning of the backend's answer where the answer is kept.
        at: when it was parked, in seconds since the epoch.
    """

    run_id: str
    storage_id: int
    event_type: str
    reason: str
    at: float = 0.0

    @property
    def id(self) -> EventId:
        """Where the log has it."""
        return EventId(self.run_id, self.storage_id)

    @property
    def name(self) -> str:
        """How the command line names it: `RUN_ID:STORAGE_ID`, or `:STORAGE_ID` outside any run."""
        return f"{self.run_id}:{self.storage_id}"


@dataclass
class Cursor:
    """How far the event log has been delivered.

    Args:
        low: every event up to this storage id is delivered, and none will appear below it.
        seen: the highest storage id that was read.
        recent: the storage ids above `low` that are delivered; where each run has a log of its own,
            those of events reported from outside any run.
        marks: storage ids up to which the log was read at earlier times, and these times in
            seconds since the epoch; the oldest first.
        runs: where each run has a log of its own: how far that is delivered, by run id, and when
            the run ended, in seconds since the epoch, if its end is delivered, else 0.
        updated_after: runs whose row changed before this are known, in seconds since the epoch.
        complete_after: where `runs` is lost, runs whose row changed after this are found again.
        sent_until: what happened before this is delivered for every run.
        must_find_runs: whether `runs` was too long to be written.
        begins_at: events that happened before are left out, in seconds since the epoch.
        after_storage_id: the storage id after which 0.1 or 0.2, or the option, says to begin; 0
            once that place has been found.
        partly: how many OpenLineage events of a log event are delivered, the first ones.
        parked: the number of events parked so far.
        last_parked: the latest of them.
        read: the number of log events delivered so far.
        sent: the number of OpenLineage events that the backend took so far.
        behind: the number of log events that are known to wait.
        behind_since: when the oldest of those happened, in seconds since the epoch; 0 for none.
        is_new: whether the place to begin at must still be found.
    """

    low: int = 0
    seen: int = 0
    recent: Collection[int] = field(default_factory=set)
    marks: list[tuple[int, float]] = field(default_factory=list)
    runs: dict[str, tuple[int, float]] = field(default_factory=dict)
    updated_after: float = 0.0
    complete_after: float = 0.0
    sent_until: float = 0.0
    must_find_runs: bool = False
    begins_at: float = 0.0
    after_storage_id: int = 0
    partly: dict[EventId, int] = field(default_factory=dict)
    parked: int = 0
    last_parked: list[ParkedEvent] = field(default_factory=list)
    read: int = 0
    sent: int = 0
    behind: int = 0
    behind_since: float = 0.0
    is_new: bool = False

    def park(self, event: ParkedEvent) -> None:
        """Count a parked event and keep its name.

        Args:
            event: the event; one that is parked again replaces itself.
        """
        others = [each for each in self.last_parked if each.id != event.id]
        self.parked += len(others) == len(self.last_parked)
        shortened = replace(event, reason=event.reason[:REASON_CHARACTERS])
        self.last_parked = [*others, shortened][-PARKED_KEPT:]

    def unpark(self, event_id: EventId) -> None:
        """Forget a parked event that was delivered after all.

        Args:
            event_id: where the log has it.
        """
        self.last_parked = [each for each in self.last_parked if each.id != event_id]

    def to_text(self, longest: int) -> str:
        """Write the cursor down.

        Args:
            longest: the length of the text, in characters.

        Returns:
            JSON. What is too long is left out: first names of parked events, then what is
            delivered above `low`; a process that has only this text delivers that once more.
        """
        text = self._written()
        if len(text) <= longest:
            return text
        brief = replace(self, last_parked=self.last_parked[-PARKED_IN_SHORT:])
        text = brief._written()  # noqa: SLF001 -- its own
        if len(text) <= longest and _packed(self.recent, self.low) is not None:
            return text
        brief = replace(
            brief,
            seen=self.low,
            recent=(),
            marks=[],
            runs={},
            updated_after=min(self.updated_after, self.complete_after),
            must_find_runs=True,
            partly={},
        )
        text = brief._written()  # noqa: SLF001 -- its own
        while len(text) > longest and brief.last_parked:
            brief.last_parked = brief.last_parked[1:]
            text = brief._written()  # noqa: SLF001 -- its own
        return text

    def _written(self) -> str:
        recent = _packed(self.recent, self.low)
        content = {
            "version": VERSION,
            "is_new": self.is_new,
            "low": self.low,
            "seen": self.seen if recent is not None else self.low,
            "recent": recent,
            "marks": self.marks,
            "runs": self.runs,
            "updated_after": self.updated_after,
            "complete_after": self.complete_after,
            "sent_until": self.sent_until,
            "must_find_runs": self.must_find_runs,
            "begins_at": self.begins_at,
            "after_storage_id": self.after_storage_id,
            "partly": [[*key, sent] for key, sent in list(self.partly.items())[:PARTLY_KEPT]],
            "parked": self.parked,
            "last_parked": [list(asdict(each).values()) for each in self.last_parked],
            "read": self.read,
            "sent": self.sent,
            "behind": self.behind,
            "behind_since": round(self.behind_since, 3),
        }
        return json.dumps({key: value for key, value in content.items() if value})

    @classmethod
    def from_text(cls, text: str | None, after_storage_id: int = 0) -> Cursor:
        """Read a cursor.

        Args:
            text: what `to_text` or version 0.1 or 0.2 wrote; None at the very first time.
            after_storage_id: the storage id to begin after, at the very first time.

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
        except (TypeError, KeyError, IndexError, AttributeError, zlib.error) as error:
            msg = "not a cursor of OpenLineage"
            raise ValueError(msg) from error


def _read(stored: Any) -> Cursor:
    low = int(stored.get("low", 0))
    return Cursor(
        is_new=bool(stored.get("is_new", False)),
        low=low,
        seen=int(stored.get("seen", low)),
        recent=_unpacked(stored.get("recent", ""), low),
        marks=[(int(number), float(at)) for number, at in stored.get("marks", [])],
        runs={run: (int(at), float(end)) for run, (at, end) in stored.get("runs", {}).items()},
        updated_after=float(stored.get("updated_after", 0)),
        complete_after=float(stored.get("complete_after", 0)),
        sent_until=float(stored.get("sent_until", 0)),
        must_find_runs=bool(stored.get("must_find_runs", False)),
        begins_at=float(stored.get("begins_at", 0)),
        after_storage_id=int(stored.get("after_storage_id", 0)),
        partly={
            EventId(str(run), int(number)): int(count)
            for run, number, count in stored.get("partly", [])
        },
        parked=int(stored.get("parked", 0)),
        last_parked=_parked(stored.get("last_parked", [])),
        read=int(stored.get("read", 0)),
        sent=int(stored.get("sent", 0)),
        behind=int(stored.get("behind", 0)),
        behind_since=float(stored.get("behind_since", 0)),
    )


def _parked(stored: list[Any]) -> list[ParkedEvent]:
    return [
        ParkedEvent(str(run), int(number), str(event_type), str(reason), float(at))
        for run, number, event_type, reason, at in stored
    ]


def _packed(ids: Collection[int], low: int) -> str | None:
    """Write the ids above another one as bits; None where they reach too far."""
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
