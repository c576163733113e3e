"""The sensor's cursor: how far each run has been sent, and which runs have been looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

VERSION = 1


@dataclass
class RunCursor:
    """How far one run has been sent.

    Args:
        low: every event up to this storage id is done with.
        done: the storage ids above it that are, each with its event's time in seconds.
        has_ended: the event that ends the run is done with.
        partly: an event whose OpenLineage events were not all sent yet: its storage id, and how
            many were.
    """

    low: int = 0
    done: dict[int, int] = field(default_factory=dict)
    has_ended: bool = False
    partly: tuple[int, int] = (0, 0)


@dataclass
class Cursor:
    """How far the event log has been sent.

    Args:
        updated_after: runs whose row changed before this are known, in seconds since the epoch.
        after_storage_id: where a cursor of 0.1 or 0.2, or the option, says to begin; 0 once the
            time has been found that it stands for.
        begins_at: the time that was found; runs that ended by then are left out. In seconds since
            the epoch.
        runs: by run id, the runs that are under way or have only just ended.
    """

    updated_after: float = 0.0
    after_storage_id: int = 0
    begins_at: float = 0.0
    runs: dict[str, RunCursor] = field(default_factory=dict)

    def to_text(self) -> str:
        """Write the cursor for Dagster to keep.

        Returns:
            JSON.
        """
        return json.dumps(
            {
                "version": VERSION,
                "updated_after": self.updated_after,
                "after_storage_id": self.after_storage_id,
                "begins_at": self.begins_at,
                "runs": {
                    run_id: [run.low, sorted(run.done.items()), run.has_ended, run.partly]
                    for run_id, run in self.runs.items()
                },
            },
            separators=(",", ":"),
        )

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
            return cls(after_storage_id=after_storage_id)
        stored = json.loads(text)
        if not isinstance(stored, dict):
            msg = "not a cursor of the OpenLineage sensor"
            raise ValueError(msg)  # noqa: TRY004 -- a text with wrong content
        if "version" not in stored:
            # 0.1 and 0.2 kept one storage id.
            return cls(after_storage_id=int(stored["last_storage_id"]))
        return cls(
            updated_after=float(stored["updated_after"]),
            after_storage_id=int(stored["after_storage_id"]),
            begins_at=float(stored["begins_at"]),
            runs={
                run_id: RunCursor(low, dict(done), has_ended, (partly[0], partly[1]))
                for run_id, (low, done, has_ended, partly) in stored["runs"].items()
            },
        )
