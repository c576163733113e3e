"""The cursor: how far the event log has been delivered, small enough for a database's text."""

import base64
import json
import zlib
from collections.abc import Collection
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any

from openlineage_dagster_core.event_log.stored_event import EventId

VERSION = 2
UNKNOWN = -1  # The position of a run whose own position is lost
LONGEST_BITS = 1_000_000  # Distance above `low` up to which a text holds ids: databases limit it
PARKED_KEPT = 100  # Latest parked events that the cursor keeps by name; it counts all
PARKED_IN_SHORT = 5  # Parked events that a text of limited length names, where there is room
REASON_CHARACTERS = 200  # Characters of the reason for parking an event that the cursor keeps
PARTLY_KEPT = 50  # Partly delivered log events that a text names: each has very many events
WAITING_KEPT = 50  # Runs with waiting events that a text names


@dataclass(frozen=True)
class ParkedEvent:
    """An event of the log that was set aside: refused by the backend, or not convertible."""

    run_id: str  # The Dagster run id; empty for an event reported from outside any run
    storage_id: int
    event_type: str  # The Dagster event type; empty where the event cannot be decoded
    reason: str  # Why, with the beginning of the backend's answer where there is one
    at: float = 0.0  # When it was parked, in seconds since the epoch

    @property
    def id(self) -> EventId:
        """Where the log has it."""
        return EventId(self.run_id, self.storage_id)

    @property
    def name(self) -> str:
        """Its name on the command line: `RUN_ID:STORAGE_ID`, or `:STORAGE_ID` outside any run."""
        return f"{self.run_id}:{self.storage_id}"


@dataclass
class Cursor:
    """How far the event log has been delivered; times are in seconds since the epoch."""

    low: int = 0  # Every event up to this storage id is delivered, and none will appear below it
    seen: int = 0  # The highest storage id that was read
    # The storage ids above `low` that are delivered; where each run has a log of its own, those of
    # events reported from outside any run
    recent: Collection[int] = field(default_factory=set)
    # Storage ids up to which the log was read at earlier times, with these times; the oldest first
    marks: list[tuple[int, float]] = field(default_factory=list)
    # Where each run has a log of its own: by run id, how far that is delivered, and when the run
    # ended if its end is delivered, else 0
    runs: dict[str, tuple[int, float]] = field(default_factory=dict)
    updated_after: float = 0.0  # Runs whose row changed before this time are known
    # Where `runs` is lost, runs whose row changed after this are found again
    complete_after: float = 0.0
    sent_until: float = 0.0  # What happened before this time is delivered for every run
    must_find_runs: bool = False  # True if `runs` was too long for the text
    begins_at: float = 0.0  # Events that happened before this time are left out
    # The storage id after which a cursor of 0.1 or 0.2, or the option, begins; 0 once the reader
    # has found that place
    after_storage_id: int = 0
    # How many OpenLineage events of a log event are delivered, the first ones
    partly: dict[EventId, int] = field(default_factory=dict)
    # The first event that waits of each run, to notice a run that is deleted with its events
    waiting: dict[str, int] = field(default_factory=dict)
    parked: int = 0  # The number of events parked so far
    last_parked: list[ParkedEvent] = field(default_factory=list)  # The latest of them
    read: int = 0  # The number of log events delivered so far
    sent: int = 0  # The number of OpenLineage events that the backend took so far
    behind: int = 0  # The number of log events that are known to wait
    behind_since: float = 0.0  # When the oldest of those happened; 0 for none
    is_new: bool = False  # True while the reader must still find the place to begin at

    def park(self, event: ParkedEvent) -> None:
        """Count a parked event and keep its name; one that is parked again replaces itself."""
        others = [each for each in self.last_parked if each.id != event.id]
        self.parked += len(others) == len(self.last_parked)
        shortened = replace(event, reason=event.reason[:REASON_CHARACTERS])
        self.last_parked = [*others, shortened][-PARKED_KEPT:]

    def unpark(self, event_id: EventId) -> None:
        """Forget a parked event that was delivered after all."""
        self.last_parked = [each for each in self.last_parked if each.id != event_id]

    def to_text(self, longest: int) -> str:
        """Return the cursor as JSON of at most `longest` characters.

        A shorter text leaves out first names of parked and waiting events, then what is delivered
        above `low`; a process that has only this text delivers that once more.
        """
        text = _written(self)
        if len(text) <= longest:
            return text
        brief = replace(self, last_parked=self.last_parked[-PARKED_IN_SHORT:], waiting={})
        text = _written(brief)
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
        text = _written(brief)
        while len(text) > longest and brief.last_parked:
            brief.last_parked = brief.last_parked[1:]
            text = _written(brief)
        return text

    @classmethod
    def from_text(cls, text: str | None, after_storage_id: int = 0) -> "Cursor":
        """Read what `to_text` or version 0.1 or 0.2 wrote; raise ValueError for another text.

        At the very first time, the text is None and `after_storage_id` says where to begin.
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


# The fields that hold one number, and what a text that leaves them out means
_PLAIN = {each.name: each.default for each in fields(Cursor) if each.default is not MISSING}


def _written(cursor: Cursor) -> str:
    recent = _packed(cursor.recent, cursor.low)
    content = {
        "version": VERSION,
        **vars(cursor),
        "seen": cursor.seen if recent is not None else cursor.low,
        "recent": recent,
        "partly": [[*key, sent] for key, sent in list(cursor.partly.items())[:PARTLY_KEPT]],
        "waiting": dict(list(cursor.waiting.items())[:WAITING_KEPT]),
        "last_parked": [list(asdict(each).values()) for each in cursor.last_parked],
        "behind_since": round(cursor.behind_since, 3),
    }
    return json.dumps({key: value for key, value in content.items() if value})


def _read(stored: Any) -> Cursor:
    low = int(stored.get("low", 0))
    plain: Any = {
        name: type(default)(stored.get(name, default)) for name, default in _PLAIN.items()
    }
    return Cursor(
        **{**plain, "seen": int(stored.get("seen", low))},
        recent=_unpacked(stored.get("recent", ""), low),
        marks=[(int(number), float(at)) for number, at in stored.get("marks", [])],
        runs={run: (int(at), float(end)) for run, (at, end) in stored.get("runs", {}).items()},
        partly={
            EventId(str(run), int(number)): int(count)
            for run, number, count in stored.get("partly", [])
        },
        waiting={str(run): int(number) for run, number in stored.get("waiting", {}).items()},
        last_parked=[
            ParkedEvent(str(run), int(number), str(event_type), str(reason), float(at))
            for run, number, event_type, reason, at in stored.get("last_parked", [])
        ],
    )


def _packed(ids: Collection[int], low: int) -> str | None:
    """Write the ids above `low` as bits; return None where they reach too far."""
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
