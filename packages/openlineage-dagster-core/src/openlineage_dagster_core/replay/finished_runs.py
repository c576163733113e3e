"""Notes the runs that a replay has finished, so that it can go on where it was stopped."""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

FOLDER = "replays"


class FinishedRuns:
    """A file of run ids, private to the user; one for each replay of one thing to one place.

    `add` makes the directory with mode 0700. Replays with equal values of `what` share the file.
    """

    def __init__(self, directory: Path, what: Collection[object]) -> None:
        name = hashlib.sha256(json.dumps([str(each) for each in what]).encode()).hexdigest()[:16]
        self.path = directory / FOLDER / f"{name}.runs"
        self._file: TextIO | None = None

    def read(self) -> frozenset[str]:
        """Return the runs that an earlier replay has finished; none where it came to its end.

        Raises OSError where the file cannot be read.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return frozenset()
        # The last line may be incomplete.
        return frozenset(lines[:-1])

    def add(self, run_id: str) -> None:
        """Write a finished run down; raise OSError where that fails."""
        if self._file is None:
            for folder in (self.path.parent.parent, self.path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "a", encoding="utf-8")
        self._file.write(f"{run_id}\n")
        # A replay may be killed as well as stopped.
        self._file.flush()

    def forget(self) -> None:
        """Remove the file, because every run is finished or has to be replayed again."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
