"""What an instance has kept of the sensor's evaluations, by whichever daemon."""

from __future__ import annotations

import time
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
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_sensor.sensor import UP_TO_DATE
from process_group import ProcessGroup

SENSOR = "openlineage_sensor"
IDLE = UP_TO_DATE
"""What a tick says that found nothing."""

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
        now = time.time()

        def is_idle() -> bool:
            daemon.check_alive()
            return any(tick.timestamp >= now and tick.skip_reason == IDLE for tick in self.ticks())

        wait_until(is_idle, SECONDS, "a tick without anything new")

    def check_nothing_went_wrong(self, log: Path) -> None:
        """Fail the test where an evaluation failed, or an event is parked or waits.

        Args:
            log: of the daemon.
        """
        for tick in self.ticks():
            assert tick.status is not TickStatus.FAILURE, tick.error
            assert tick.skip_reason in (None, IDLE) or "parked 0" in str(tick.skip_reason)
        cursor = self.cursor()
        assert (cursor.parked, cursor.behind, cursor.partly) == (0, 0, {})
        assert "OpenLineage: " not in log.read_text()
