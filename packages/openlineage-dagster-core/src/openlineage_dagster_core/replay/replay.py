"""Sends what runs give once more: several runs at a time, each in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from openlineage.client.event_v2 import DatasetEvent

from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery.lanes import Lanes, LaneStopped
from openlineage_dagster_core.delivery.shipper import PARK_AFTER, may_be_the_record
from openlineage_dagster_core.errors import (
    BackendUnavailableError,
    DeliveryError,
    EventRefusedError,
    FactsUnavailableError,
)
from openlineage_dagster_core.facts.event_log import entries_of_run
from openlineage_dagster_core.ordering import ordering_key_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.conversion.envelope import Event
    from openlineage_dagster_core.replay.conversion import Conversion

CAPACITY = 5000
"""How many entries of the event log may be in memory."""

FOR_EVER_SECONDS = 10 * 365 * 24 * 3600.0

LONGEST_PAUSE_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.2


class Sink(Protocol):
    """Takes events one by one, from one thread."""

    def emit(self, event: Event) -> None:
        """Take one.

        Args:
            event: an OpenLineage event.

        Raises:
            EventRefusedError: it will never be taken.
            BackendUnavailableError: it is not taken now.
        """


class Counts:
    """A sink that sends nothing."""

    def emit(self, event: Event) -> None:
        """Take one.

        Args:
            event: an OpenLineage event.
        """


@dataclass(frozen=True)
class Refusal:
    """Something of the event log that was not sent.

    Args:
        run_id: of its run; empty where it is of none.
        event_type: the Dagster event's.
        reason: what the backend said, or where the conversion failed.
    """

    run_id: str
    event_type: str
    reason: str


@dataclass
class Progress:
    """How far a replay is.

    Args:
        runs: that were read to their ends, and all of whose events were taken.
        entries: of the event log that were dealt with.
        sent: OpenLineage events that were taken.
        by_type: how many of those, by the event's type.
        refusals: what was not.
        waiting: why the backend takes nothing at the moment; None where it does.
    """

    runs: int = 0
    entries: int = 0
    sent: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    waiting: str | None = None

    def __add__(self, other: Progress) -> Progress:
        return Progress(
            runs=self.runs + other.runs,
            entries=self.entries + other.entries,
            sent=self.sent + other.sent,
            by_type=self.by_type + other.by_type,
            refusals=self.refusals + other.refusals,
            waiting=self.waiting or other.waiting,
        )


@dataclass(frozen=True)
class _Item:
    """An entry of a run, or the end of what there is of it.

    Args:
        run_id: the run's.
        entry: None at the end.
        is_final: whether nothing will be added to the run.
    """

    run_id: str
    entry: EventLogEntry | None
    is_final: bool = False


class Replay:
    """Reads runs, converts what they hold and hands it over.

    Args:
        instance: holds runs and event log.
        conversion: makes the events.
        sinks: take them, each in a thread of its own.
        patience: how long a backend that takes nothing is tried again, in seconds.
        on_finished: is told of each run that has ended and is done, in one thread at a time.

    Attributes:
        progress: how far it is; changes while it goes on.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        conversion: Conversion,
        sinks: Sequence[Sink],
        *,
        patience: float,
        on_finished: Callable[[str], None] | None = None,
    ) -> None:
        self._instance = instance
        self._conversion = conversion
        self._sinks = sinks
        self._patience = patience
        self._on_finished = on_finished
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self.progress = Progress()

    def run(
        self,
        runs: Iterable[RunRecord],
        runless: Callable[[float], bool] | None = None,
    ) -> str | None:
        """Replay runs, and what was reported from outside any.

        Args:
            runs: their rows, in the order in which they were stored.
            runless: tells by its time whether an event of no run is sent; None sends none.

        Returns:
            Why it ended early; None where all was dealt with.
        """
        lanes = Lanes(self._sinks, self._deal_with, CAPACITY)
        self._open_up = lanes.open_up
        try:
            self._read(lanes, runs, runless)
            lanes.finish(time.monotonic() + FOR_EVER_SECONDS)
        except BaseException:
            self._stop.set()
            lanes.finish(time.monotonic(), self._patience)
            raise
        return None if lanes.stopped_by is None else _said(lanes.stopped_by)

    def snapshot(self) -> Progress:
        """Tell how far it is.

        Returns:
            A copy that does not change.
        """
        with self._counting:
            return self.progress + Progress()

    def _read(
        self,
        lanes: Lanes[Sink, _Item, None],
        runs: Iterable[RunRecord],
        runless: Callable[[float], bool] | None,
    ) -> None:
        for record in runs:
            run_id = record.dagster_run.run_id
            self._conversion.begin(record)
            for entry in entries_of_run(self._instance, run_id):
                if not lanes.put(run_id, _Item(run_id, entry), time.monotonic() + FOR_EVER_SECONDS):
                    return
            if not lanes.put(
                run_id,
                _Item(run_id, None, record.dagster_run.is_finished),
                time.monotonic() + FOR_EVER_SECONDS,
            ):
                return
        for entry in entries_of_run(self._instance, "") if runless is not None else ():
            if runless is not None and runless(entry.timestamp):
                lanes.put(
                    ordering_key_of(entry), _Item("", entry), time.monotonic() + FOR_EVER_SECONDS
                )

    def _deal_with(self, sink: Sink, item: _Item) -> None:
        """Convert and send one entry; in a lane's thread."""
        entry = item.entry
        if entry is None:
            with self._counting:
                self.progress.runs += 1
                if self._on_finished is not None and item.is_final:
                    self._on_finished(item.run_id)
            return
        try:
            events = self._conversion.events_of(entry)
        except FactsUnavailableError:
            raise
        except Exception as error:
            # A fault of ours must not hold up the rest.
            self._refuse(entry, f"not converted: {fault.described(error)}")
            events = []
        for event in events:
            try:
                self._send(sink, event)
            except EventRefusedError as error:
                self._refuse(entry, error.in_full)
        self._conversion.advance(entry)
        with self._counting:
            self.progress.entries += 1

    def _send(self, sink: Sink, event: Event) -> None:
        since, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        attempts = 0
        while True:
            try:
                sink.emit(event)
            except BackendUnavailableError as error:
                attempts += 1
                if may_be_the_record(error) and attempts >= PARK_AFTER:
                    raise EventRefusedError(error.status, error.answer) from error
                self.progress.waiting = str(error)
                if time.monotonic() - since > self._patience or self._stop.wait(pause):
                    raise
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            self._open_up()
            with self._counting:
                self.progress.waiting = None
                self.progress.sent += 1
                self.progress.by_type[_type_of(event)] += 1
            return

    def _refuse(self, entry: EventLogEntry, reason: str) -> None:
        self._open_up()
        event_type = str(entry.get_dagster_event().event_type.name)
        with self._counting:
            self.progress.refusals.append(Refusal(entry.run_id, event_type, reason))

    _open_up: Callable[[], None]


def _said(error: BaseException) -> str:
    if isinstance(error, BackendUnavailableError):
        return f"the backend takes no events: {error}"
    if isinstance(error, (DeliveryError, LaneStopped)):
        return str(error)
    return fault.described(error)


def _type_of(event: Event) -> str:
    if isinstance(event, DatasetEvent):
        return "dataset"
    facet = (event.job.facets or {}).get("jobType")
    return str(getattr(facet, "jobType", "run")).lower()
