"""A daemon that evaluates the sensor: started, killed, and asked for what it has done."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import dagster as dg
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)

from dagster_home import DagsterHome, wait_until
from openlineage_dagster_sensor.cursor import Cursor

SENSOR = "openlineage_sensor"
IDLE = "read 0 events, sent 0, parked 0"
SECONDS = 60.0


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
        module: with the definitions.
    """

    def __init__(self, home: DagsterHome, instance: dg.DagsterInstance, module: str) -> None:
        self.log = home.path / "daemon.log"
        self._home = home
        self._instance = instance
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start one."""
        self._process = self._home.start(
            "-m", "dagster._daemon", "run", "-m", self._module, log=self.log
        )

    def kill(self) -> None:
        """Kill it with its code server, whatever they are doing."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._wait_for_the_end()

    def stop(self) -> None:
        """End it as its user does, if one is running."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            finally:
                if self._is_any_left():
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._wait_for_the_end()

    def _wait_for_the_end(self) -> None:
        assert self._process is not None
        self._process.wait(60)
        wait_until(lambda: not self._is_any_left(), 60, "the code server to be gone")
        self._process = None

    def _is_any_left(self) -> bool:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def ticks(self) -> list[InstigatorTick]:
        """List the evaluations of the sensor.

        Returns:
            The newest first.
        """
        state = self._state()
        if state is None:
            return []
        return list(self._instance.get_ticks(state.instigator_origin_id, state.selector_id))

    def cursor(self) -> Cursor:
        """Read the sensor's cursor.

        Returns:
            What Dagster has kept.
        """
        state = self._state()
        data = state.instigator_data if state is not None else None
        assert isinstance(data, SensorInstigatorData)
        return Cursor.from_text(data.cursor)

    def _state(self) -> InstigatorState | None:
        states = self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        return next((state for state in states if state.instigator_name == SENSOR), None)

    def wait_until_all_is_sent(self) -> None:
        """Wait for an evaluation that begins after this, finds nothing, and need not look again."""
        now = time.time()

        def is_settled() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            is_idle = any(
                tick.timestamp >= now and tick.skip_reason == IDLE for tick in self.ticks()
            )
            return is_idle and not self.cursor().marks

        wait_until(is_settled, SECONDS, "a tick without anything new")

    def check_nothing_went_wrong(self) -> None:
        """Fail the test where an evaluation failed, or an event is parked or waits."""
        for tick in self.ticks():
            assert tick.status is not TickStatus.FAILURE, tick.error
            assert tick.skip_reason is None or "parked 0" in tick.skip_reason
        cursor = self.cursor()
        assert (cursor.parked, cursor.held, cursor.partly) == (0, {}, {})
        assert "OpenLineage: " not in self.log.read_text()
