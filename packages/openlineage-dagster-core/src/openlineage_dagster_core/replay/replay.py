"""Drives the engine over selected runs instead of a cursor."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterInstance, RunRecord
from openlineage.client.event_v2 import DatasetEvent

from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.engine import REST_FOLLOWS, Engine, EventSender
from openlineage_dagster_core.event_log.cursor import ParkedEvent
from openlineage_dagster_core.facts.event_log import DefinitionsSource, EventLogFacts
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.replay.selected_runs import SelectedRuns
from openlineage_dagster_core.settings import Settings

PASS_SECONDS = 1.0
PAUSE_SECONDS = 0.2


@dataclass
class Progress:
    """How far a replay is."""

    runs: int = 0  # Runs all of whose events were delivered
    entries: int = 0  # Events of the log that were delivered
    sent: int = 0  # OpenLineage events that the backend took
    by_type: Counter[str] = field(default_factory=Counter)  # Their number by the event's type
    refusals: list[ParkedEvent] = field(default_factory=list)  # Events of the log that were parked
    waiting: str | None = None  # Why the backend takes nothing at the moment; None where it does


@dataclass(frozen=True)
class _Counted:
    """What a sender prepared (None in a dry run), its size in bytes, and the type of the event."""

    prepared: Any
    size: int
    event_type: str


class _Counting:
    """Counts what a sender sends; without a sender, it sends nothing."""

    def __init__(self, sender: EventSender | None, counts: Counter[str]) -> None:
        self._sender = sender
        self._counts = counts
        self._lock = threading.Lock()

    def prepare(self, event: Event) -> _Counted:
        prepared = self._sender.prepare(event) if self._sender is not None else None
        return _Counted(prepared, prepared.size if prepared is not None else 0, _type_of(event))

    def send(self, event: Any) -> None:
        if self._sender is not None:
            self._sender.send(event.prepared)
        with self._lock:
            self._counts[event.event_type] += 1


class Replay:
    """Reads runs, converts what they hold and delivers it.

    The settings are those of the mechanism that delivered the events first. Each of the `senders`
    sends from a thread of its own; a dry run has none. `patience` is how long to retry while the
    backend takes nothing, in seconds. `on_finished` gets the id of each run that has ended and is
    delivered.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        settings: Settings,
        definitions: DefinitionsSource,
        senders: Sequence[EventSender],
        *,
        patience: float,
        on_finished: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._definitions = definitions
        self.progress = Progress()
        counts = self.progress.by_type
        self._senders = [_Counting(each, counts) for each in senders] or [_Counting(None, counts)]
        self._patience = patience
        self._on_finished = on_finished

    def run(
        self, runs: Iterable[RunRecord], runless: Callable[[float], bool] | None = None
    ) -> str | None:
        """Replay runs, given in the order in which they were stored, and events outside of runs.

        `runless` takes the time of an event from outside any run, and returns True to deliver it;
        None delivers no such event. Return why the replay ended early; None where every event was
        delivered or parked. Raise what the database raises where the event log cannot be read.
        """
        instance = self._instance
        reader = SelectedRuns(instance, runs, runless, self._done)
        engine = Engine(
            reader,
            EventLogFacts(lambda: instance, self._definitions, follows_all=False),
            Identity(self._settings),
            self._senders,
            on_parked=self.progress.refusals.append,
        )
        moved_at = time.monotonic()
        try:
            while True:
                now = time.monotonic()
                pause = engine.lanes.failures.blocks_until - now
                left = moved_at + self._patience - now
                # The last attempt is at the end of the patience, whatever the pause.
                if pause > 0 and left > 0:
                    time.sleep(min(pause, left, PAUSE_SECONDS))
                else:
                    limit = self._settings.timeout
                    outcome = engine.deliver(PASS_SECONDS, patience=limit, waits_for_held=True)
                    self.progress.entries += outcome.read
                    self.progress.sent = engine.lanes.sent
                    if reader.failure is not None:
                        raise reader.failure
                    is_stopped = outcome.stopped_by not in (None, REST_FOLLOWS)
                    self.progress.waiting = _waiting(engine, outcome.stopped_by, is_stopped)
                    if engine.is_idle and not outcome.has_more and not is_stopped:
                        return None
                    has_moved = bool(outcome.sent or outcome.parked or outcome.read)
                    # An event under way that has not failed is waited for: its request has a limit.
                    is_waiting = outcome.has_more or self.progress.waiting is None
                    if has_moved or (is_waiting and not is_stopped):
                        moved_at = time.monotonic()
                        if not is_stopped:
                            continue
                    if time.monotonic() - moved_at > self._patience:
                        return self.progress.waiting or "the backend takes no events"
        finally:
            engine.lanes.end(self._settings.timeout)

    def _done(self, run_id: str, has_ended: bool) -> None:
        self.progress.runs += 1
        if has_ended:
            self._on_finished(run_id)


def _waiting(engine: Engine, stopped_by: str | None, is_stopped: bool) -> str | None:
    """Return why nothing is delivered at the moment; None where something is."""
    if is_stopped and stopped_by is not None:
        # The user may read this message when the replay has ended.
        return stopped_by.replace(", will retry", "")
    reason = next((attempts.message for _, _, attempts in engine.lanes.held_events()), None)
    return f"{engine.lanes.held} events fail: {reason}" if reason is not None else None


def _type_of(event: Event) -> str:
    if isinstance(event, DatasetEvent):
        return "dataset"
    facet = (event.job.facets or {}).get("jobType")
    return str(getattr(facet, "jobType", "run")).lower()
