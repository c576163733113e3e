"""Sees to it that a deliverer lives; in the processes that store events, without a thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from openlineage_dagster_core.deliverer_state import (
    BEGIN_ROW,
    CONFIGURATIONS_ROW,
    CURSOR_ROW,
    HEARTBEAT_ROW,
    STARTING_ROW,
    Configuration,
    Heartbeat,
    configurations_in,
    configurations_text,
    this_host,
)
from openlineage_dagster_core.key_values import KeyValues, parsed
from openlineage_dagster_storage import starting
from openlineage_dagster_storage.configuration import configuration_of

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.settings import Settings

CHECK_SECONDS = 15.0
"""Seconds between two looks at the heartbeat."""

SILENT_SECONDS = 5.0
"""Seconds after its last heartbeat for which a deliverer is taken for alive at the end of a run."""

STARTING_SECONDS = 12.0
"""Seconds that a deliverer has to come alive before another process starts one."""

UNSEEN_SECONDS = 60.0
"""Seconds after which a configuration that no process was seen with is out of use."""

FORGOTTEN_SECONDS = 24 * 3600.0
"""Seconds after which a configuration that no process was seen with is forgotten."""

NOTED_SECONDS = 30.0
"""Seconds between two notes that a process has a configuration."""

BEING_STORED_SECONDS = 10.0
"""Seconds that the first event may have happened before the storage is asked to store it."""

MOST_TURNS = 3
"""How often one configuration takes over from another: processes that differ for good stop."""


class DelivererWatch:
    """Looks for a living deliverer now and then, and starts one where there is none.

    Args:
        instance: gives the Dagster instance; None when it is gone.
        settings: of the storage.
        starts: whether to start one: not where a service does the delivering.
    """

    def __init__(
        self,
        instance: Callable[[], DagsterInstance | None],
        settings: Settings,
        *,
        starts: bool,
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._starts = starts
        self._pid = 0
        self._next_check = 0.0
        self._noted_at = float("-inf")
        self.heartbeat: Heartbeat | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to look; asked for each event."""
        return time.monotonic() >= self._next_check or self._pid != os.getpid()

    @cached_property
    def _configuration(self) -> Configuration:
        return configuration_of(self._settings, os.environ)

    def check(self, *, at_end: bool = False) -> None:
        """Look at the heartbeat, with one query, and start a deliverer where none lives.

        Args:
            at_end: whether a run has just ended; no other process may check for a long time. Then
                the lock in the database is checked as well, because the heartbeat of a deliverer
                whose pod is gone looks alive for a while.
        """
        self._pid = os.getpid()
        self._next_check = time.monotonic() + CHECK_SECONDS
        instance = self._instance()
        # What is in the memory of this process cannot be opened by another.
        if instance is None or not instance.is_persistent:
            return
        key_values = KeyValues(instance)
        rows = key_values.get([HEARTBEAT_ROW, STARTING_ROW, BEGIN_ROW, CONFIGURATIONS_ROW])
        now = time.time()
        if BEGIN_ROW not in rows:
            _note_beginning(instance, key_values, now)
        self.heartbeat = Heartbeat.from_text(rows.get(HEARTBEAT_ROW))
        if not self._starts or not starting.can_start():
            return
        alive = self.heartbeat if self.heartbeat and self.heartbeat.is_alive(now) else None
        if at_end and alive is not None and _is_gone(instance, alive, now):
            self.heartbeat, alive = replace(alive, has_ended=True), None
            key_values.put({HEARTBEAT_ROW: self.heartbeat.to_text()})
        wanted = self._is_wanted(key_values, rows, now, one_lives=alive is not None)
        if alive is not None:
            is_same = alive.configuration == self._configuration.digest
            if is_same or alive.is_service or not wanted:
                return
        elif not wanted:
            return
        began = float(parsed(rows.get(STARTING_ROW)).get("at", 0.0))
        # One that came alive since has ended again: another one is not on its way.
        is_there = self.heartbeat is not None and self.heartbeat.started_at > began
        if now - STARTING_SECONDS < began <= now and not is_there:
            return
        key_values.put({STARTING_ROW: f'{{"at": {now}}}'})
        starting.start(instance.get_ref(), takes_over=alive is not None)

    def _is_wanted(
        self, key_values: KeyValues, rows: Mapping[str, str], now: float, *, one_lives: bool
    ) -> bool:
        """Note this process's configuration; return True where it is the one to deliver with."""
        mine = self._configuration
        seen = [
            each
            for each in configurations_in(rows.get(CONFIGURATIONS_ROW))
            if now - each.last_at < FORGOTTEN_SECONDS
        ]
        known = next((each for each in seen if each.digest == mine.digest), None)
        others = [each for each in seen if each.digest != mine.digest]
        noted, wanted = _judged(mine, known, others, now, one_lives=one_lives)
        if noted != known or time.monotonic() - self._noted_at > NOTED_SECONDS:
            self._noted_at = time.monotonic()
            text = configurations_text(
                sorted([*others, replace(noted, last_at=now)], key=lambda each: each.first_at)
            )
            key_values.put({CONFIGURATIONS_ROW: text})
        return wanted


def _is_gone(instance: DagsterInstance, alive: Heartbeat, now: float) -> bool:
    """Return True for a deliverer elsewhere that has been silent and does not hold the lock."""
    from openlineage_dagster_storage.leadership import is_vacant

    is_silent = now - alive.at > SILENT_SECONDS
    return is_silent and not alive.is_here and is_vacant(instance)


def _judged(
    mine: Configuration,
    known: Configuration | None,
    others: Sequence[Configuration],
    now: float,
    *,
    one_lives: bool,
) -> tuple[Configuration, bool]:
    """Decide whether a configuration is the one to deliver with.

    It is where it was seen first after all others; or where the newest one is out of use, which
    is how a configuration comes back. That it comes back again and again means that processes
    differ for good: then it takes over from no living deliverer.
    """
    if known is None:
        return replace(mine, first_at=now, last_at=now, host=this_host().name), True
    newest = max(others, key=lambda each: each.first_at, default=None)
    if newest is None or known.first_at >= newest.first_at:
        return known, True
    may_return = known.turns < MOST_TURNS or not one_lives
    if now - newest.last_at > UNSEEN_SECONDS and may_return:
        return replace(known, first_at=now, turns=known.turns + 1), True
    return known, False


def _note_beginning(instance: DagsterInstance, key_values: KeyValues, now: float) -> None:
    """Note where the log ends before the first event that is delivered."""
    if CURSOR_ROW in key_values.get([CURSOR_ROW]):
        return
    newest = instance.event_log_storage.get_maximum_record_id() or 0
    at = now - BEING_STORED_SECONDS
    key_values.put({BEGIN_ROW: f'{{"at": {at}, "storage_id": {newest}}}'})
