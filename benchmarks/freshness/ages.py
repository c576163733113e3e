"""How old events are when the backend receives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmarks.backends import Arrival
from benchmarks.sixty_assets import JOB, PREFIX

TOGETHER_SECONDS = 0.1
"""Seconds between the arrivals of an asset's START and COMPLETE that were sent together."""

RUN, STEP, ASSET = "run", "step", "asset"


@dataclass(frozen=True)
class Age:
    """One event.

    Args:
        family: run, step or asset.
        event_type: START, COMPLETE or another.
        seconds: from the event's own time to its arrival.
    """

    family: str
    event_type: str
    seconds: float


def ages_of(arrivals: Iterable[Arrival]) -> list[Age]:
    """Compute how old each event was when it first arrived.

    A START of an asset that waits for the materialization counts from the time of COMPLETE, with
    which it arrives.

    Args:
        arrivals: in their order.

    Returns:
        The ages.
    """
    first: dict[tuple[str, str, str], Arrival] = {}
    for each in arrivals:
        first.setdefault((each.run_id, each.job, each.event_type), each)
    ages = []
    for (run_id, job, event_type), each in first.items():
        family = _family(job)
        since = each
        complete = first.get((run_id, job, "COMPLETE"))
        is_asset_start = family == ASSET and event_type == "START"
        if is_asset_start and complete is not None and complete.at - each.at <= TOGETHER_SECONDS:
            since = complete
        happened_at = datetime.fromisoformat(since.event_time.replace("Z", "+00:00")).timestamp()
        ages.append(Age(family, event_type, max(0.0, each.at - happened_at)))
    return ages


def _family(job: str) -> str:
    """Return what a job of the measured project is; ours and 0.2.1 name it alike."""
    if job == JOB:
        return RUN
    return STEP if job.startswith(f"{JOB}.") else ASSET if job.startswith(PREFIX) else ""


def percentile(ages: Sequence[Age], share: float) -> float:
    """Return the age that a share of the events does not exceed.

    Args:
        ages: at least one.
        share: from 0 to 1.

    Returns:
        Seconds.
    """
    ordered = sorted(age.seconds for age in ages)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
