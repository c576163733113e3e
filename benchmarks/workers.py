"""The measured processes as their parent sees them."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.deployments import ROOT, Deployment

START_SECONDS = 120.0
LAST_LINES = 15


class NoAnswerError(Exception):
    """A worker has not answered in time; it was ended."""


class WorkerDiedError(Exception):
    """A worker ended by itself."""


class Worker:
    """A process that obeys requests, one a line of JSON.

    Args:
        deployment: what it works on.
        address: of its backend; see `Deployment.environment`.
        module: the program.
        argument: the program's only one.
    """

    def __init__(
        self, deployment: Deployment, address: str | None, module: str, argument: str
    ) -> None:
        self._log = Path(deployment.home, "worker.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [deployment.python, "-m", module, argument],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=deployment.environment(address),
            )

    def started(self) -> str:
        """Wait until it is ready.

        Returns:
            The version of its Dagster.

        Raises:
            NoAnswerError: it took too long.
            WorkerDiedError: it did not get so far.
        """
        return str(self.answer(START_SECONDS)["dagster"])

    def ask(self, timeout: float, **request: Any) -> dict[str, Any]:
        """Let it do something.

        Args:
            timeout: how long at most, in seconds.
            request: what the worker understands.

        Returns:
            What it answered.

        Raises:
            NoAnswerError: it took longer.
            WorkerDiedError: it did not bear it.
        """
        self.tell(**request)
        return self.answer(timeout)

    def tell(self, **request: Any) -> None:
        """Let it do something, and do not wait.

        Args:
            request: what the worker understands.

        Raises:
            WorkerDiedError: it did not bear what it did before.
        """
        if self._process.stdin is None:
            raise WorkerDiedError
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Kill it if it still lives."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def answer(self, timeout: float) -> dict[str, Any]:
        """Wait for what it answers.

        Args:
            timeout: how long at most, in seconds.

        Returns:
            The answer.

        Raises:
            NoAnswerError: it took longer.
            WorkerDiedError: it did not bear it.
        """
        if self._process.stdout is None:
            raise WorkerDiedError
        readable, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not readable:
            self.end()
            raise NoAnswerError
        line = self._process.stdout.readline()
        if not line:
            self.end()
            lines = self._log.read_text().splitlines()[-LAST_LINES:]
            raise WorkerDiedError("\n".join(lines))
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def working(
    deployment: Deployment, address: str | None, module: str, argument: str
) -> Iterator[Worker]:
    """Run a worker.

    Args:
        deployment: what it works on.
        address: of its backend; see `Deployment.environment`.
        module: the program.
        argument: the program's only one.

    Yields:
        The worker, which is starting.
    """
    worker = Worker(deployment, address, module, argument)
    try:
        yield worker
    finally:
        worker.end()
