"""A Dagster home on disk for tests with processes of their own, wrapped by Mechanism A."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

TESTING = Path(__file__).resolve().parent
SQLITE = {
    "module": "dagster._core.storage.event_log",
    "class": "SqliteEventLogStorage",
}


@dataclass
class DagsterHome:
    """A home that the environment of the processes points to.

    Args:
        path: the directory.
        url: of the backend; None for no configuration at all.
        wrapped: module and class of the event log storage on SQLite to wrap.
        options: of `OpenLineageEventLogStorage`, beside `wrapped`; unless they say otherwise, the
            end of a run does not wait for its delivery, in a container neither.
        environ: added to the environment of the processes.
        content: of `dagster.yaml`, instead of all that.
    """

    path: Path
    url: str | None
    wrapped: dict[str, str] = field(default_factory=lambda: dict(SQLITE))
    options: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    content: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Write `dagster.yaml`, and let Dagster set its databases up before processes race."""
        self.path.mkdir(parents=True, exist_ok=True)
        storage = {
            "module": "dagster_openlineage",
            "class": "OpenLineageEventLogStorage",
            "config": {
                "wrapped": {
                    **self.wrapped,
                    "config": {"base_dir": str(self.path / "history" / "runs")},
                },
                "flush_timeout": 0.0,
                **self.options,
            },
        }
        content = self.content or {
            "telemetry": {"enabled": False},
            "event_log_storage": storage,
        }
        (self.path / "dagster.yaml").write_text(yaml.safe_dump(content))
        with _without_openlineage(), self.instance() as instance:
            instance.get_run_records(limit=1)

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Use the home in this process.

        Yields:
            The instance; disposed of afterwards.
        """
        instance = dg.DagsterInstance.from_config(str(self.path))
        try:
            yield instance
        finally:
            instance.dispose()

    def environment(self) -> dict[str, str]:
        """Make the environment of a process.

        Returns:
            This process's, with the home and the backend.
        """
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("OPENLINEAGE")
        }
        given = {"OPENLINEAGE_URL": self.url} if self.url else {}
        return {
            **kept,
            **given,
            "DAGSTER_HOME": str(self.path),
            "PYTHONPATH": str(TESTING),
            "PYTHONWARNINGS": "ignore",
            **self.environ,
        }

    def start(self, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start Python in a process group of its own.

        Args:
            command: arguments of this Python.
            log: where its output goes; by default beside the home.

        Returns:
            The process.
        """
        return self.start_program(sys.executable, *command, log=log)

    def start_program(self, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start any program in a process group of its own.

        Args:
            command: the program and its arguments.
            log: where its output goes; by default beside the home.

        Returns:
            The process.
        """
        with (log or self.path / "process.log").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_job(
        self, module: str, job: str, *arguments: str, log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Execute a job as a user does.

        Args:
            module: with the definitions.
            job: its name.
            arguments: of `dagster job execute`, beside these.
            log: where its output goes; by default beside the home.

        Returns:
            The process of `dagster job execute`.
        """
        command = ("-m", "dagster", "job", "execute", "-m", module, "-j", job, *arguments)
        return self.start(*command, log=log)


@contextlib.contextmanager
def _without_openlineage() -> Iterator[None]:
    """Have nothing configured: a process that only makes a home must not start a deliverer."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith("OPENLINEAGE")}
    for name in hidden:
        del os.environ[name]
    os.environ["OPENLINEAGE_DISABLED"] = "true"
    try:
        yield
    finally:
        del os.environ["OPENLINEAGE_DISABLED"]
        os.environ.update(hidden)


def wait_until(
    condition: Callable[[], bool], timeout: float = 60.0, about: str = "", interval: float = 0.02
) -> None:
    """Wait for what other processes do.

    Args:
        condition: asked again and again.
        timeout: in seconds.
        about: what is waited for.
        interval: between two questions, in seconds; longer where asking costs something.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            msg = f"waited {timeout} s for {about or condition}"
            raise AssertionError(msg)
        time.sleep(interval)
