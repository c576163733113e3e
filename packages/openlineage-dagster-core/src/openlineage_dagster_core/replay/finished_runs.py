"""Which runs a replay is through with, so that it can go on where it was stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

FOLDER = "replays"


class FinishedRuns:
    """A file of run ids, private to the user; one for each thing that is replayed to somewhere.

    Args:
        directory: made if need be, with mode 0700.
        what: tells this replay from others; two with the same words share the file.
    """

    def __init__(self, directory: Path, what: Collection[object]) -> None:
        name = hashlib.sha256(json.dumps([str(each) for each in what]).encode()).hexdigest()[:16]
        self.path = directory / FOLDER / f"{name}.runs"
        self._file: TextIO | None = None

    def read(self) -> frozenset[str]:
        """Read what an earlier replay was through with.

        Returns:
            The run ids; none where it came to its end.

        Raises:
            OSError: the file cannot be read.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return frozenset()
        # The last line may not have been written to its end.
        return frozenset(lines[:-1])

    def add(self, run_id: str) -> None:
        """Write down that a run is done.

        Args:
            run_id: of the run.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            for folder in (self.path.parent.parent, self.path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "a", encoding="utf-8")
        self._file.write(f"{run_id}\n")
        # A replay may be killed as well as stopped.
        self._file.flush()

    def forget(self) -> None:
        """Remove the file: all is done, or all is to be done again."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
