"""How large the cursor is while many runs are under way, and what a tick costs meanwhile."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from benchmarks.backends import Behaviour, running
from benchmarks.deployments import Deployment, Deployments
from benchmarks.sensor.ticks import LONGEST_SECONDS, Setting, Tick, evaluating
from benchmarks.stored_log import StoredLog
from benchmarks.workers import NoAnswerError

STEPS = 3
WITHIN_SECONDS = 5.0


@dataclass(frozen=True)
class InFlight:
    """What one sensor made of runs that have just started.

    Args:
        setting: who.
        runs: how many.
        events: how many of the log.
        first: the tick that sent what there was; none where it was given up.
        next: the tick after it, which finds nothing new.
        sent: how many OpenLineage events the backend took from both.
        sent_again: how many a new process sends that has nothing but the cursor.
    """

    setting: Setting
    runs: int
    events: int
    first: Tick | None
    next: Tick | None
    sent: int
    sent_again: int | None

    @property
    def cursor_bytes(self) -> int | None:
        """The size of the larger cursor; none where it was given up."""
        cursors = [len(tick.cursor.encode()) for tick in (self.first, self.next) if tick]
        return max(cursors) if cursors else None


def start_runs(
    deployments: Deployments,
    deployment: Deployment,
    log: StoredLog,
    setting: Setting,
    runs: int,
    cap: float = LONGEST_SECONDS,
) -> InFlight:
    """Start runs, none of which ends, and evaluate a sensor twice, and once in a new process.

    Args:
        deployments: know the interpreters.
        deployment: has the log.
        log: empty so far.
        setting: who reads it.
        runs: how many.
        cap: how long a tick may take, in seconds.

    Returns:
        What was measured.
    """
    with running(Behaviour.FAST) as backend:
        first = following = sent_again = None
        with evaluating(deployments, deployment, setting, backend) as sensor:
            # Only now, so that it is the last seconds that they started in.
            events = log.add_in_flight(runs, STEPS, WITHIN_SECONDS)
            with contextlib.suppress(NoAnswerError):
                first = sensor.tick(None, cap)
                following = sensor.tick(first.cursor, cap)
        sent = backend.taken()
        if following is not None:
            with evaluating(deployments, deployment, setting, backend) as restarted:
                restarted.tick(following.cursor)
            sent_again = backend.taken() - sent
        return InFlight(setting, runs, events, first, following, sent, sent_again)
