"""A process with all that it starts: watched, stopped or killed as one, and its log shown."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from dagster_home import wait_until

SECONDS = 60.0
LAST_CHARACTERS = 4000


class ProcessGroup:
    """A process that was started in a session of its own.

    Args:
        process: the process.
        log: where its output goes.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.log = log
        self._process = process

    def is_alive(self) -> bool:
        """Tell whether it goes on.

        Returns:
            False where it has ended by itself.
        """
        return self._process.poll() is None

    def check_alive(self) -> None:
        """Fail the test, with the end of the log, where it has ended by itself."""
        assert self.is_alive(), f"it has ended; the end of {self.log}:\n{self.last_words()}"

    def last_words(self) -> str:
        """Read the end of the log.

        Returns:
            At most a few thousand characters.
        """
        return self.log.read_text(errors="replace")[-LAST_CHARACTERS:]

    def kill(self) -> None:
        """Kill it with what it has started, whatever they are doing."""
        self.check_alive()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._wait_for_the_end()

    def terminate(self) -> None:
        """Ask it to end, and do not wait."""
        self._process.terminate()

    def stop(self, patience: float = SECONDS) -> None:
        """End it as its user does; what is left of the group afterwards is killed.

        Args:
            patience: how long it may take, in seconds.

        Raises:
            subprocess.TimeoutExpired: it had to be killed.
        """
        self._process.terminate()
        try:
            self._process.wait(patience)
        finally:
            if self._is_any_left():
                os.killpg(self._process.pid, signal.SIGKILL)
            self._wait_for_the_end()

    def _wait_for_the_end(self) -> None:
        self._process.wait(SECONDS)
        wait_until(lambda: not self._is_any_left(), SECONDS, f"all of {self.log} to be gone")

    def _is_any_left(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True
