"""What the backend took, kept in a file: an hour's events are too many for the memory."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from delivered import Json, run_id_of


class Arrival(NamedTuple):
    """An event that the backend took.

    Args:
        at: when, in seconds since the epoch.
        event: as it came.
    """

    at: float
    event: Json


class Arrivals:
    """A file of events, in the order in which they came, and where in it each run's are.

    Args:
        path: of the file; one event a line.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._places: defaultdict[str | None, list[int]] = defaultdict(list)
        self._end = 0

    def keep(self, event: Json) -> None:
        """Add an event.

        Args:
            event: as it came.
        """
        line = json.dumps({"at": time.time(), "event": event}).encode() + b"\n"
        self._places[run_id_of(event)].append(self._end)
        self._file.write(line)
        self._end += len(line)

    def run_ids(self) -> set[str]:
        """List the Dagster runs of which something came.

        Returns:
            Their ids.
        """
        return {run_id for run_id in self._places if run_id is not None}

    def of_run(self, run_id: str | None) -> list[Arrival]:
        """Read the events of a run.

        Args:
            run_id: of the Dagster run; None for what is of no run.

        Returns:
            The events in order.
        """
        found = []
        for place in self._places.get(run_id, ()):
            self._file.seek(place)
            found.append(Arrival(**json.loads(self._file.readline())))
        self._file.seek(0, 2)
        return found

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
