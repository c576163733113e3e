"""What is loaded: a Dagster home with one mechanism, on one database, and what sends from it."""

from __future__ import annotations

import abc
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.scheduler.instigation import TickStatus

from dagster_home import TESTING, DagsterHome, wait_until
from delivery import PROGRAM, is_delivered, state_of
from openlineage_dagster_core.facts.event_log import DefinitionsSource
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
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


class Deployment(abc.ABC):
    """A home and whoever sends from it.

    Args:
        folder: for everything; must exist.
        url: of the backend.
        postgres_url: of an empty database; None for SQLite.
    """

    mechanism: str

    def __init__(self, folder: Path, url: str, postgres_url: str | None) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.home = DagsterHome(
            folder / "home",
            url,
            options={"timeout": project.TIMEOUT_SECONDS},
            environ={"PYTHONPATH": os.pathsep.join(map(str, PLACES))},
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
    def runless_definitions(self) -> dg.Definitions | DefinitionsSource:
        """Return what events reported from outside any run are converted with."""

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
    """Mechanism A: a deliverer sends."""

    mechanism = "storage"

    def runless_definitions(self) -> DefinitionsSource:
        """Return what runs have kept in the instance by the time of each event."""
        return KeptDefinitions(lambda: self.instance)

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
        """Kill the deliverer.

        Args:
            patience: how long one is looked for, in seconds.

        Returns:
            0: it is not a run's process.

        Raises:
            LookupError: there is none.
        """
        deadline = time.monotonic() + patience
        while True:
            heartbeat = state_of(self.instance).heartbeat
            for process in self._deliverers():
                if heartbeat is not None and process.pid == heartbeat.pid:
                    process.kill()
                    return 0
            if time.monotonic() > deadline:
                msg = f"no deliverer has lived for {patience:.0f} s"
                raise LookupError(msg)
            time.sleep(0.1)

    def stop(self) -> None:
        """End the deliverer, as a user does who does not wait until it ends by itself."""
        for process in self._deliverers():
            process.terminate()

    def _deliverers(self) -> list[psutil.Process]:
        return [
            process
            for process in self.processes()
            if any(PROGRAM in argument for argument in process.info["cmdline"] or ())
        ]

    def drain(self, seconds: float) -> None:
        """Be the next process, and wait until the deliverer has delivered everything.

        Args:
            seconds: how long at most.
        """
        reporter = Reporter(self.home, self.logs / "last.log")

        def is_done() -> bool:
            # It looks for a deliverer when it asks the log something.
            reporter.ask()
            return is_delivered(self.instance)

        try:
            wait_until(is_done, seconds, "the deliverer", POLL_SECONDS)
        finally:
            reporter.end()

    def faults(self) -> list[str]:
        """Look at what the deliverer says.

        Returns:
            What is wrong.
        """
        cursor = state_of(self.instance).cursor
        if cursor is None:
            return ["nothing was delivered"]
        return [
            *([f"{cursor.parked} parked: {cursor.last_parked}"] if cursor.parked else []),
            *([f"{cursor.behind} events wait"] if cursor.behind else []),
        ]


class SensorDeployment(Deployment):
    """Mechanism B: a daemon evaluates the sensor."""

    mechanism = "sensor"

    def __init__(self, folder: Path, url: str, postgres_url: str | None) -> None:
        super().__init__(folder, url, postgres_url)
        self._daemon = SensorDaemon(self.home, self.instance, "soak.project")
        self._runs = False

    def runless_definitions(self) -> dg.Definitions:
        """Return the definitions of the code location."""
        return project.DEFINITIONS

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
        """Wait for an evaluation that finds nothing.

        Args:
            seconds: how long at most.
        """
        now = time.time()
        deadline = time.monotonic() + seconds
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
                return True
        return False

    def faults(self) -> list[str]:
        """Look at the cursor and the ticks.

        Returns:
            What is wrong with them.
        """
        cursor = self._daemon.cursor()
        return [
            *([f"{cursor.parked} parked: {cursor.last_parked}"] if cursor.parked else []),
            *([f"{cursor.behind} events wait"] if cursor.behind else []),
            *([f"partly sent: {cursor.partly}"] if cursor.partly else []),
            *(
                f"a tick failed: {tick.error}"
                for tick in self._daemon.ticks()
                if tick.status is TickStatus.FAILURE
            ),
        ]
