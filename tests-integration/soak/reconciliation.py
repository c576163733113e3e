"""Compares what the backend took with what the event log gives, event by event."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from delivered import (
    Json,
    as_converted,
    differences,
    disorder,
    expected_events,
    first_arrivals,
    run_id_of,
)
from everything_delivered import OF_DATASETS, RUNLESS, by_job
from openlineage_dagster_core.facts.event_log import DefinitionsSource
from openlineage_dagster_core.families import CONVERTED
from soak.arrivals import Arrival, Arrivals

LINES = 3
"""How many places of a different event are named."""

NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """An event that is not as it should be.

    Args:
        run: the Dagster run and its job, or what it is of instead.
        event: its type, job and run id.
        expected: what the event log gives.
        found: what the backend took.
    """

    run: str
    event: str
    expected: str
    found: str


@dataclass
class Reconciliation:
    """The comparison, in numbers.

    Args:
        logged: events in the log that give lineage.
        expected: OpenLineage events that they give.
        arrived: OpenLineage events that the backend took.
        repeated: those that it had already.
        missing: expected, and never came.
        different: came with other content.
        unexpected: came, and the log gives nothing of the kind.
        disordered: jobs and datasets whose events came in another order.
        longest_wait: from an event to its arrival, in seconds.
        differences: one for each of those.
    """

    logged: int = 0
    expected: int = 0
    arrived: int = 0
    repeated: int = 0
    missing: int = 0
    different: int = 0
    unexpected: int = 0
    disordered: int = 0
    longest_wait: float = 0.0
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether all came, as it should, and nothing else did."""
        return not self.differences


def reconcile(
    instance: dg.DagsterInstance,
    arrivals: Arrivals,
    definitions: dg.Definitions,
    runless_definitions: dg.Definitions | DefinitionsSource,
) -> Reconciliation:
    """Compare all of an instance.

    Args:
        instance: holds the logs; what is in them has ended.
        arrivals: what the backend took.
        definitions: of the code location.
        runless_definitions: those that events reported from outside any run are converted with.

    Returns:
        The comparison.
    """
    result = Reconciliation(arrived=len(arrivals))
    of_no_run = expected_events(instance, RUNLESS, runless_definitions)
    result.logged += _count(instance, RUNLESS)
    jobs = {run.run_id: run.job_name for run in instance.get_runs()}
    for run_id in sorted(jobs.keys() | arrivals.run_ids()):
        expected = expected_events(instance, run_id, definitions)
        of_no_run += [event for event in expected if run_id_of(event) is None]
        arrived = arrivals.of_run(run_id)
        found = first_arrivals([each.event for each in arrived], run_id)
        result.logged += _count(instance, run_id)
        _count_arrivals(result, arrived)
        name = f"run {run_id} of {jobs.get(run_id, 'which the instance knows nothing')}"
        _compare(result, name, found, [event for event in expected if run_id_of(event) is not None])
    arrived = arrivals.of_run(None)
    found_by_job = by_job(as_converted(each.event) for each in arrived)
    _count_arrivals(result, arrived)
    expected_by_job = by_job(of_no_run)
    for job in sorted(found_by_job.keys() | expected_by_job.keys()):
        name = "of no run" if job == OF_DATASETS else f"of no run, {job}"
        _compare(result, name, found_by_job.get(job, []), expected_by_job.get(job, []))
    return result


def _count(instance: dg.DagsterInstance, run_id: str) -> int:
    return len(instance.get_records_for_run(run_id, of_type=set(CONVERTED)).records)


def _count_arrivals(result: Reconciliation, arrived: Sequence[Arrival]) -> None:
    seen: set[str] = set()
    for at, event in arrived:
        text = json.dumps(event, sort_keys=True)
        if text in seen:
            result.repeated += 1
            continue
        seen.add(text)
        happened = datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
        result.longest_wait = max(result.longest_wait, at - happened.timestamp())


def _compare(
    result: Reconciliation, run: str, found: Iterable[Json], expected: Iterable[Json]
) -> None:
    wanted = {json.dumps(event, sort_keys=True): event for event in expected}
    there = {json.dumps(event, sort_keys=True): event for event in found}
    result.expected += len(wanted)
    unexpected: defaultdict[str, list[Json]] = defaultdict(list)
    for text, event in there.items():
        if text not in wanted:
            unexpected[_name(event)].append(event)
    for text, event in wanted.items():
        if text in there:
            continue
        name = _name(event)
        if unexpected[name]:
            result.different += 1
            places = list(differences(unexpected[name].pop(0), event))[:LINES]
            result.differences += [_at_place(run, name, place) for place in places]
        else:
            result.missing += 1
            result.differences.append(Difference(run, name, "it", NOTHING))
    for name, events in unexpected.items():
        result.unexpected += len(events)
        result.differences += [Difference(run, name, NOTHING, "it") for _ in events]
    _compare_order(
        result,
        run,
        [event for text, event in there.items() if text in wanted],
        [event for text, event in wanted.items() if text in there],
    )


def _at_place(run: str, name: str, place: str) -> Difference:
    where, _, both = place.partition(": found ")
    found, _, expected = both.rpartition(", expected ")
    return Difference(run, name, f"{where} = {expected}", f"{where} = {found}")


def _compare_order(
    result: Reconciliation, run: str, found: list[Json], expected: list[Json]
) -> None:
    for line in disorder(found, expected):
        result.disordered += 1
        result.differences.append(Difference(run, "order of arrival", "that of the log", line))


def _name(event: Json) -> str:
    if "run" not in event:
        return f"DatasetEvent {event['dataset']['name']} {event['eventTime']}"
    return f"{event['eventType']} {event['job']['name']} {event['run']['runId']}"
