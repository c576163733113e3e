"""What an instance has kept of the sensor's evaluations, by whichever daemon."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)

from dagster_home import wait_until
from openlineage_dagster_sensor.cursor import Cursor
from process_group import ProcessGroup

SENSOR = "openlineage_sensor"
IDLE = "read 0 events, sent 0, parked 0"
SECONDS = 60.0


class SensorEvaluations:
    """The ticks and the cursor of the sensor.

    Args:
        instance: keeps them.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def ticks(self) -> list[InstigatorTick]:
        """List the evaluations.

        Returns:
            The newest first.
        """
        state = self._state()
        if state is None:
            return []
        return list(self._instance.get_ticks(state.instigator_origin_id, state.selector_id))

    def cursor(self) -> Cursor:
        """Read the cursor.

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

    def wait_until_idle(self, daemon: ProcessGroup) -> None:
        """Wait for an evaluation that begins after this and finds nothing.

        Args:
            daemon: that evaluates it.
        """
        self._wait_for_a_tick(daemon, lambda: True)

    def wait_until_all_is_sent(self, daemon: ProcessGroup) -> None:
        """Wait for an evaluation that begins after this, finds nothing, and need not look again.

        It has to where events that are stored now may become visible later: a minute long.

        Args:
            daemon: that evaluates it.
        """
        self._wait_for_a_tick(daemon, lambda: not self.cursor().marks)

    def _wait_for_a_tick(self, daemon: ProcessGroup, condition: Callable[[], bool]) -> None:
        now = time.time()

        def is_idle() -> bool:
            daemon.check_alive()
            ticks = self.ticks()
            return (
                any(tick.timestamp >= now and tick.skip_reason == IDLE for tick in ticks)
                and condition()
            )

        wait_until(is_idle, SECONDS, "a tick without anything new")

    def check_nothing_went_wrong(self, log: Path) -> None:
        """Fail the test where an evaluation failed, or an event is parked or waits.

        Args:
            log: of the daemon.
        """
        for tick in self.ticks():
            assert tick.status is not TickStatus.FAILURE, tick.error
            assert tick.skip_reason is None or "parked 0" in tick.skip_reason
        cursor = self.cursor()
        assert (cursor.parked, cursor.held, cursor.partly) == (0, {}, {})
        assert "OpenLineage: " not in log.read_text()
