"""How fast a log is sent from its beginning to its end, and whether all of it arrives."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

from benchmarks.backends import Behaviour, Receipt, running
from benchmarks.deployments import Deployment, Deployments
from benchmarks.sensor.ticks import LONGEST_SECONDS, Setting, Tick, evaluating, position
from benchmarks.stored_log import StoredLog
from benchmarks.workers import NoAnswerError


@dataclass
class Drain:
    """What one sensor did with a log.

    Args:
        setting: who.
        behaviour: of the backend.
        events: how many the log has.
        expected: how many OpenLineage events ours gives of it.
        ticks: those that sent something, or went on.
        idle: those that found nothing.
        receipt: what the backend took.
        passed: how many materializations are not behind the cursor.
        is_cut_off: whether it was ended in the middle of a tick.
        is_drained: whether it came to the end.
        dagster: its version.
    """

    setting: Setting
    behaviour: Behaviour
    events: int
    expected: int
    ticks: list[Tick] = field(default_factory=list)
    idle: list[Tick] = field(default_factory=list)
    receipt: Receipt = field(default_factory=Receipt)
    passed: int = 0
    is_cut_off: bool = False
    is_drained: bool = False
    dagster: str = ""

    @property
    def seconds(self) -> float:
        """What the ticks took, or, where one was cut off, what the backend saw of them."""
        return self.receipt.span if self.is_cut_off else sum(tick.seconds for tick in self.ticks)

    @property
    def rate(self) -> float:
        """OpenLineage events a second."""
        return self.receipt.taken / self.seconds if self.seconds else 0.0

    @property
    def cpu_share(self) -> float | None:
        """Seconds of the processor in each second of the ticks; none where one was cut off."""
        if self.is_cut_off or not self.seconds:
            return None
        return sum(tick.cpu for tick in self.ticks) / self.seconds

    @property
    def cpu_of_event(self) -> float | None:
        """Seconds of the processor for an OpenLineage event; none where a tick was cut off."""
        if self.is_cut_off or not self.receipt.taken:
            return None
        return sum(tick.cpu for tick in self.ticks) / self.receipt.taken

    @property
    def backend_cpu_share(self) -> float:
        """The same of the backend."""
        return self.receipt.cpu / self.seconds if self.seconds else 0.0

    @property
    def queries_per_thousand(self) -> float | None:
        """Queries for 1,000 events of the log; none where it was not drained."""
        if not self.is_drained:
            return None
        return sum(tick.queries for tick in self.ticks) * 1000 / self.events

    @property
    def arrived(self) -> float:
        """The share of the expected OpenLineage events that arrived."""
        return self.receipt.distinct / self.expected

    @property
    def peak(self) -> int:
        """The most memory that the process had, in bytes."""
        return max(tick.peak for tick in [*self.ticks, *self.idle])

    @property
    def cursor(self) -> str | None:
        """Where it ended."""
        ticks = self.idle or self.ticks
        return ticks[-1].cursor if ticks else None


def drain(
    deployments: Deployments,
    deployment: Deployment,
    log: StoredLog,
    setting: Setting,
    behaviour: Behaviour,
    cap: float = LONGEST_SECONDS,
) -> Drain:
    """Evaluate a sensor until it finds nothing more.

    Args:
        deployments: know the interpreters.
        deployment: has the log.
        log: what is to be read.
        setting: who reads.
        behaviour: of the backend.
        cap: for how long, in seconds.

    Returns:
        What was measured.
    """
    found = Drain(setting, behaviour, log.events, log.lineage_events)
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(running(behaviour))
        sensor = stack.enter_context(evaluating(deployments, deployment, setting, backend))
        found.dagster = sensor.dagster
        idle_cpu = backend.receipt().cpu
        ends_at = time.monotonic() + cap
        before, cursor = 0, None
        while not found.is_drained and time.monotonic() < ends_at:
            try:
                tick = sensor.tick(cursor, max(1.0, ends_at - time.monotonic()))
            except NoAnswerError:
                found.is_cut_off = True
                break
            taken = backend.taken()
            # What has sent nothing may still have moved on, past what is of no interest.
            found.is_drained = taken == before and tick.cursor == cursor
            (found.idle if taken == before else found.ticks).append(tick)
            before, cursor = taken, tick.cursor
        receipt = backend.receipt()
        found.receipt = Receipt(**{**vars(receipt), "cpu": receipt.cpu - idle_cpu})
    if cursor is not None and not found.is_cut_off:
        found.passed = log.materializations_up_to(position(cursor))
    return found
