"""A daemon that evaluates the sensor: started, killed, and asked for what it has done."""

from __future__ import annotations

import threading

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorTick

from dagster_home import DagsterHome
from openlineage_dagster_core.event_log.cursor import Cursor
from process_group import ProcessGroup
from sensor_evaluations import SensorEvaluations


class Gate(threading.Event):
    """Takes the place of `Receiver.released`, and knows whether anyone waits there.

    Attributes:
        waiting: how many.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self._counting = threading.Lock()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is open.

        Args:
            timeout: in seconds.

        Returns:
            Whether it is open.
        """
        with self._counting:
            self.waiting += 1
        try:
            return super().wait(timeout)
        finally:
            with self._counting:
                self.waiting -= 1

    def holds(self) -> bool:
        """Tell whether someone waits.

        Returns:
            False where it is open, too.
        """
        return not self.is_set() and self.waiting > 0


class SensorDaemon:
    """A `dagster-daemon`, with the code server that it starts.

    Args:
        home: its Dagster home.
        instance: of that home, in this process.
        modules: with the definitions, each of a code location of its own.
    """

    def __init__(self, home: DagsterHome, instance: dg.DagsterInstance, *modules: str) -> None:
        self.log = home.path / "daemon.log"
        self._home = home
        self._evaluations = SensorEvaluations(instance)
        self._modules = [argument for module in modules for argument in ("-m", module)]
        self._group: ProcessGroup | None = None

    def start(self) -> None:
        """Start one."""
        process = self._home.start("-m", "dagster._daemon", "run", *self._modules, log=self.log)
        self._group = ProcessGroup(process, self.log)

    def kill(self) -> None:
        """Kill it with its code server, whatever they are doing."""
        assert self._group is not None
        self._group.kill()
        self._group = None

    def stop(self) -> None:
        """End it as its user does, if one is running."""
        if self._group is not None:
            self._group.stop()
            self._group = None

    def ticks(self) -> list[InstigatorTick]:
        """List the evaluations of the sensor.

        Returns:
            The newest first.
        """
        return self._evaluations.ticks()

    def cursor(self) -> Cursor:
        """Read the sensor's cursor.

        Returns:
            What Dagster has kept.
        """
        return self._evaluations.cursor()

    def wait_until_all_is_sent(self) -> None:
        """Wait for an evaluation that begins after this and finds nothing."""
        assert self._group is not None
        self._evaluations.wait_until_idle(self._group)

    def check_nothing_went_wrong(self) -> None:
        """Fail the test where an evaluation failed, or an event is parked or waits."""
        self._evaluations.check_nothing_went_wrong(self.log)
