"""What is loaded: a Dagster home with one mechanism, on one database, and whoever sends from it."""

from __future__ import annotations

import abc
import contextlib
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.scheduler.instigation import TickStatus

from dagster_home import TESTING, DagsterHome, wait_until
from openlineage_dagster_core.delivery.outbox import LOCK_NAME, read_status
from reporting_process import Reporter
from sensor_daemon import SensorDaemon
from sensor_evaluations import IDLE
from soak import project

PLACES = [
    TESTING,
    Path(__file__).resolve().parents[1],
    TESTING.parent / "docs" / "examples",
]
"""Where the processes find the project and the shop."""

POLL_SECONDS = 1.0

LOCKS = Path("/proc/locks")
"""Who holds which lock; of Linux."""

SETTLED_SECONDS = 60.0
"""How late an event may appear, by default; the sensor looks again when that is over."""


class Deployment(abc.ABC):
    """A home and whoever sends from it.

    Args:
        folder: for everything; must exist.
        url: of the backend.
        postgres_url: of an empty database; None for SQLite.
        settled_seconds: how late an event may appear, for the sensor.
    """

    mechanism: str
    runless_definitions: dg.Definitions

    def __init__(
        self, folder: Path, url: str, postgres_url: str | None, settled_seconds: float
    ) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.settled_seconds = settled_seconds
        self.home = DagsterHome(
            folder / "home",
            url,
            options={"timeout": project.TIMEOUT_SECONDS},
            environ={
                "PYTHONPATH": os.pathsep.join(map(str, PLACES)),
                project.SETTLED: str(settled_seconds),
            },
            content=self._configuration(postgres_url),
        )
        self.instance = dg.DagsterInstance.from_config(str(self.home.path))

    def close(self) -> None:
        """End all that there is left."""
        self.stop()
        self.instance.dispose()
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        """Find the processes that use the home.

        Returns:
            Whatever has been started by anyone, and has not ended.
        """
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid != os.getpid() and self._is_ours(process)
        ]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            home = process.environ().get("DAGSTER_HOME")
            is_over = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
        return home == str(self.home.path) and not is_over

    def _configuration(self, postgres_url: str | None) -> dict[str, Any] | None:
        storage = self._storage(postgres_url)
        return storage and {"telemetry": {"enabled": False}, **storage}

    @abc.abstractmethod
    def _storage(self, postgres_url: str | None) -> dict[str, Any] | None: ...

    @abc.abstractmethod
    def start(self) -> None:
        """Start whoever sends, or see that it runs."""

    @abc.abstractmethod
    def kill_sender(self, patience: float) -> int:
        """Kill whoever sends.

        Args:
            patience: how long somebody is looked for who does, in seconds.

        Returns:
            The process group that it was of: it may have been a run's process.

        Raises:
            LookupError: nobody does.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop whoever only sends, as its user does."""

    @abc.abstractmethod
    def drain(self, seconds: float) -> None:
        """Wait until nothing waits.

        Args:
            seconds: how long at most.

        Raises:
            AssertionError: something does.
        """

    @abc.abstractmethod
    def faults(self) -> list[str]:
        """List what went wrong with the delivery.

        Returns:
            A line for each.
        """


class StorageDeployment(Deployment):
    """Mechanism A: whoever has the lock sends."""

    mechanism = "storage"
    # A process that reports from outside any run has no definitions at hand.
    runless_definitions = dg.Definitions()

    def _storage(self, postgres_url: str | None) -> dict[str, Any] | None:
        if postgres_url is None:
            return None
        wrapped = {
            "module": "dagster_postgres",
            "class": "DagsterPostgresStorage",
            "config": {"postgres_url": postgres_url},
        }
        config = {"wrapped": wrapped, "timeout": project.TIMEOUT_SECONDS}
        return {
            "storage": {
                "custom": {
                    "module": "dagster_openlineage",
                    "class": "OpenLineageDagsterStorage",
                    "config": config,
                }
            }
        }

    def start(self) -> None:
        """Leave it to the runs."""

    def kill_sender(self, patience: float) -> int:
        """Kill the process that holds the lock.

        Args:
            patience: how long one is looked for that does, in seconds.

        Returns:
            The process group that it was of.

        Raises:
            LookupError: none does.
        """
        deadline = time.monotonic() + patience
        while True:
            for process in self._holders():
                try:
                    group = os.getpgid(process.pid)
                    process.kill()
                except (psutil.Error, ProcessLookupError):
                    continue
                return group
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        msg = f"nobody has held {LOCK_NAME} for {patience:.0f} s"
        raise LookupError(msg)

    def stop(self) -> None:
        """Leave it to the processes: they end when all is sent."""

    def _holders(self) -> list[psutil.Process]:
        lock = self.home.outbox / LOCK_NAME
        if not lock.exists():
            return []
        inode = str(lock.stat().st_ino)
        found = []
        for line in LOCKS.read_text().splitlines():
            # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:815 0 EOF
            _, kind, _, _, pid, where, *_ = line.split()
            if kind == "FLOCK" and where.rpartition(":")[2] == inode:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.append(psutil.Process(int(pid)))
        # On another file system a file may have the same number.
        return [process for process in found if self._is_ours(process)]

    def drain(self, seconds: float) -> None:
        """Be the next process, and wait until the outbox is empty.

        Args:
            seconds: how long at most.
        """
        reporter = Reporter(self.home, self.logs / "last.log")
        try:
            wait_until(
                lambda: read_status(self.home.outbox).is_drained,
                seconds,
                "the outbox to be empty",
                POLL_SECONDS,
            )
        finally:
            reporter.end()

    def faults(self) -> list[str]:
        """Look at the outbox.

        Returns:
            What is wrong with it.
        """
        status = read_status(self.home.outbox)
        return [
            *([f"{status.parked} records are parked"] if status.parked else []),
            *([f"{len(status.gaps)} gaps: {status.gaps[0]}"] if status.gaps else []),
            *([f"{status.depth} records wait"] if status.depth else []),
        ]


class SensorDeployment(Deployment):
    """Mechanism B: a daemon evaluates the sensor."""

    mechanism = "sensor"
    runless_definitions = project.DEFINITIONS

    def __init__(
        self, folder: Path, url: str, postgres_url: str | None, settled_seconds: float
    ) -> None:
        super().__init__(folder, url, postgres_url, settled_seconds)
        self._daemon = SensorDaemon(self.home, self.instance, "soak.project")
        self._runs = False

    def _storage(self, postgres_url: str | None) -> dict[str, Any] | None:
        return {"storage": {"postgres": {"postgres_url": postgres_url}}} if postgres_url else {}

    def _configuration(self, postgres_url: str | None) -> dict[str, Any] | None:
        return {"telemetry": {"enabled": False}, **(self._storage(postgres_url) or {})}

    def start(self) -> None:
        """Start the daemon, unless it runs."""
        if not self._runs:
            self._daemon.start()
            self._runs = True

    def kill_sender(self, patience: float) -> int:
        """Kill the daemon and its code server.

        Args:
            patience: of no use: it runs.

        Returns:
            0: it is not a run's.
        """
        self._daemon.kill()
        self._runs = False
        return 0

    def stop(self) -> None:
        """Stop the daemon, if it runs."""
        if self._runs:
            self._daemon.stop()
            self._runs = False

    def drain(self, seconds: float) -> None:
        """Wait for an evaluation that finds nothing, and need not look again.

        Args:
            seconds: how long at most.
        """
        now = time.time()
        deadline = time.monotonic() + seconds + self.settled_seconds
        while not self._is_idle(now):
            last = next(iter(self._daemon.ticks()), None)
            said = last and (last.skip_reason or last.error)
            assert time.monotonic() < deadline, f"the last tick said: {said}"
            time.sleep(POLL_SECONDS)

    def _is_idle(self, since: float) -> bool:
        for tick in self._daemon.ticks():
            if tick.timestamp < since:
                return False
            if tick.skip_reason == IDLE:
                return not self._daemon.cursor().marks
        return False

    def faults(self) -> list[str]:
        """Look at the cursor and the ticks.

        Returns:
            What is wrong with them.
        """
        cursor = self._daemon.cursor()
        return [
            *([f"{cursor.parked} parked: {cursor.last_parked}"] if cursor.parked else []),
            *([f"held: {cursor.held}"] if cursor.held else []),
            *([f"partly sent: {cursor.partly}"] if cursor.partly else []),
            *(
                f"a tick failed: {tick.error}"
                for tick in self._daemon.ticks()
                if tick.status is TickStatus.FAILURE
            ),
        ]
