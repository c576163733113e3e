"""A server that tests start: waits until it answers, shows its log where it does not, ends it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dagster_home import wait_until
from process_group import ProcessGroup

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class ServerProcess:
    """A server's process; it may be started again after it has been stopped.

    Args:
        name: what failures call it.
        command: program and arguments.
        folder: its working directory, where its log is too.
        environ: added to the environment.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._folder = folder
        self._environ = {**os.environ, **(environ or {})}
        self._group: ProcessGroup | None = None

    @property
    def log(self) -> Path:
        """What it printed."""
        return self._folder / f"{self._name}.log"

    def start(self, answers: Callable[[], bool]) -> None:
        """Start it and wait until it answers.

        Args:
            answers: asks it; asked again and again.

        Raises:
            AssertionError: it does not answer in time, or has ended; with its log.
        """
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        group = self._group = ProcessGroup(process, self.log)
        try:
            wait_until(lambda: not group.is_alive() or answers(), START_SECONDS, self._name)
            assert group.is_alive(), f"{self._name} has ended"
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}; {self.log}:\n{group.last_words()}") from None

    def stop(self) -> None:
        """End it, with SIGKILL where it takes long."""
        group, self._group = self._group, None
        if group is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                group.stop(STOP_SECONDS)


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on.

    Args:
        count: how many.

    Returns:
        The ports, all different.
    """
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine.

    Args:
        port: its number.

    Returns:
        Whether a connection is taken.
    """
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
