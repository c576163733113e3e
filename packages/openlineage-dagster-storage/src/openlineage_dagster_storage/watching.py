"""Sees to it that a deliverer lives; in the processes that store events, without a thread."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from dagster import DagsterInstance

from openlineage_dagster_core import deliverer_state as state
from openlineage_dagster_core.key_values import KeyValues, parsed
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_storage import starting

CHECK_SECONDS = 15.0  # Seconds between two looks at the heartbeat
SILENT_SECONDS = 5.0  # Seconds of silence that a living deliverer is granted at a run's end
STARTING_SECONDS = 12.0  # Seconds that a deliverer has to come alive before another one is started
UNSEEN_SECONDS = 60.0  # Seconds unseen after which a configuration is out of use
FORGOTTEN_SECONDS = 24 * 3600.0  # Seconds unseen after which a configuration is forgotten
NOTED_SECONDS = 30.0  # Seconds between two notes that a process has a configuration
BEING_STORED_SECONDS = 10.0  # Seconds by which the first event may precede its storing
MOST_TURNS = 3  # Take-overs by one configuration; processes that differ for good stop then


class DelivererWatch:
    """Looks for a living deliverer now and then, and starts one if none lives.

    `instance` returns None when the instance is gone; `starts` is False where a service delivers.
    """

    def __init__(
        self, instance: Callable[[], DagsterInstance | None], settings: Settings, *, starts: bool
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._starts = starts
        self._pid = 0
        self._next_check = 0.0
        self._noted_at = float("-inf")
        self.heartbeat: state.Heartbeat | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to look; asked for each event."""
        return time.monotonic() >= self._next_check or self._pid != os.getpid()

    @cached_property
    def _configuration(self) -> state.Configuration:
        return state.configuration_of(self._settings, os.environ)

    def check(self, *, at_end: bool = False) -> None:
        """Look at the heartbeat, with one query, and start a deliverer where none lives.

        At the end of a run (`at_end`) no other process may check for a long time. Then the lock in
        the database is checked as well: the heartbeat of a deliverer whose pod is gone looks alive
        for a while.
        """
        self._pid = os.getpid()
        self._next_check = time.monotonic() + CHECK_SECONDS
        instance = self._instance()
        # What is in the memory of this process cannot be opened by another.
        if instance is None or not instance.is_persistent:
            return
        key_values = KeyValues(instance)
        rows = key_values.get(
            [state.HEARTBEAT_ROW, state.STARTING_ROW, state.BEGIN_ROW, state.CONFIGURATIONS_ROW]
        )
        now = time.time()
        if state.BEGIN_ROW not in rows:
            _note_beginning(instance, key_values, now)
        self.heartbeat = state.Heartbeat.from_text(rows.get(state.HEARTBEAT_ROW))
        if not self._starts or not starting.can_start():
            return
        alive = self.heartbeat if self.heartbeat and self.heartbeat.is_alive(now) else None
        if at_end and alive is not None and _is_gone(instance, alive, now):
            self.heartbeat, alive = replace(alive, has_ended=True), None
            key_values.put({state.HEARTBEAT_ROW: self.heartbeat.to_text()})
        wanted = self._is_wanted(key_values, rows, now, one_lives=alive is not None)
        digest = self._configuration.digest
        stays = alive is not None and (alive.is_service or alive.configuration == digest)
        if stays or not wanted:
            return
        began = float(parsed(rows.get(state.STARTING_ROW)).get("at", 0.0))
        # One that came alive since has ended again: another one is not on its way.
        is_there = self.heartbeat is not None and self.heartbeat.started_at > began
        if now - STARTING_SECONDS < began <= now and not is_there:
            return
        key_values.put({state.STARTING_ROW: f'{{"at": {now}}}'})
        starting.start(instance.get_ref(), takes_over=alive is not None)

    def _is_wanted(
        self, key_values: KeyValues, rows: Mapping[str, str], now: float, *, one_lives: bool
    ) -> bool:
        """Note this process's configuration; return True where it is the one to deliver with."""
        mine = self._configuration
        stored = state.configurations_in(rows.get(state.CONFIGURATIONS_ROW))
        seen = [each for each in stored if now - each.last_at < FORGOTTEN_SECONDS]
        known = next((each for each in seen if each.digest == mine.digest), None)
        others = [each for each in seen if each.digest != mine.digest]
        noted, wanted = _judged(mine, known, others, now, one_lives=one_lives)
        if noted != known or time.monotonic() - self._noted_at > NOTED_SECONDS:
            self._noted_at = time.monotonic()
            seen = sorted([*others, replace(noted, last_at=now)], key=lambda each: each.first_at)
            key_values.put({state.CONFIGURATIONS_ROW: state.configurations_text(seen)})
        return wanted


def _is_gone(instance: DagsterInstance, alive: state.Heartbeat, now: float) -> bool:
    """Return True for a deliverer elsewhere that has been silent and does not hold the lock."""
    from openlineage_dagster_storage.leadership import is_vacant

    is_silent = now - alive.at > SILENT_SECONDS
    return is_silent and not alive.is_here and is_vacant(instance)


def _judged(
    mine: state.Configuration,
    known: state.Configuration | None,
    others: Sequence[state.Configuration],
    now: float,
    *,
    one_lives: bool,
) -> tuple[state.Configuration, bool]:
    """Decide whether a configuration is the one to deliver with.

    It is where it was seen first after all others; or where the newest one is out of use, which
    is how a configuration comes back. That it comes back again and again means that processes
    differ for good: then it takes over from no living deliverer.
    """
    if known is None:
        return replace(mine, first_at=now, last_at=now, host=state.this_host().name), True
    newest = max(others, key=lambda each: each.first_at, default=None)
    if newest is None or known.first_at >= newest.first_at:
        return known, True
    may_return = known.turns < MOST_TURNS or not one_lives
    if now - newest.last_at > UNSEEN_SECONDS and may_return:
        return replace(known, first_at=now, turns=known.turns + 1), True
    return known, False


def _note_beginning(instance: DagsterInstance, key_values: KeyValues, now: float) -> None:
    """Note where the log ends before the first event that is delivered."""
    if state.CURSOR_ROW in key_values.get([state.CURSOR_ROW]):
        return
    newest = instance.event_log_storage.get_maximum_record_id() or 0
    at = now - BEING_STORED_SECONDS
    key_values.put({state.BEGIN_ROW: f'{{"at": {at}, "storage_id": {newest}}}'})
