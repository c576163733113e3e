"""Compares all that a backend got with what the logs of an instance give, also of no run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import dagster as dg

from delivered import (
    as_converted,
    check_last_state,
    check_order,
    check_same,
    each_once,
    expected_events,
    expected_log,
    first_arrivals,
    run_id_of,
)

Json = dict[str, Any]

RUNLESS = ""
"""The run id of what is reported from outside any run."""

OF_DATASETS = "of datasets"
"""In place of a job's name."""


def check_everything_delivered(
    instance: dg.DagsterInstance, events: Iterable[Json], definitions: dg.Definitions
) -> int:
    """Compare; all facets included.

    Events that depend on each other must have come in the order of the log, of all runs where they
    share one; and what was repeated must have been the same, and followed by what is newer.

    Args:
        instance: holds the logs; what is in them has ended.
        events: what the backend got, in the order of arrival.
        definitions: of the code location.

    Returns:
        How many different events there are.

    Raises:
        AssertionError: something is missing, different, too much, or in another order.
    """
    arrived = list(events)
    known = {run.run_id for run in instance.get_runs()}
    assert {run_id_of(event) for event in arrived} - {None} <= known
    if not instance.event_log_storage.is_run_sharded:
        expected = expected_log(instance, definitions)
        check_order(each_once(arrived), expected, "the whole log")
        check_last_state(arrived, expected)
        check_same(each_once(arrived), expected)
        return len(expected)
    of_no_run = expected_events(instance, RUNLESS, definitions)
    count = 0
    for run_id in known:
        expected = expected_events(instance, run_id, definitions)
        of_no_run += [event for event in expected if run_id_of(event) is None]
        expected = [event for event in expected if run_id_of(event) is not None]
        found = first_arrivals(arrived, run_id)
        check_order(found, expected, run_id)
        check_same(found, expected)
        count += len(found)
    return count + _check_of_no_run(arrived, of_no_run)


def _check_of_no_run(arrived: Iterable[Json], expected: Iterable[Json]) -> int:
    found_by_job = by_job(as_converted(event) for event in arrived if run_id_of(event) is None)
    expected_by_job = by_job(expected)
    assert found_by_job.keys() == expected_by_job.keys()
    for job, found in found_by_job.items():
        check_order(found, expected_by_job[job], job)
        check_same(found, expected_by_job[job])
    return sum(map(len, expected_by_job.values()))


def by_job(events: Iterable[Json]) -> dict[str, list[Json]]:
    """Put the events of no run together that have an order, each once.

    Args:
        events: in order.

    Returns:
        By the name of the job its events in order; those of datasets, which have none, sorted.
    """
    grouped: defaultdict[str, dict[str, Json]] = defaultdict(dict)
    for event in events:
        # Those of datasets may be of several runs, which have no order.
        name = event["job"]["name"] if "job" in event else OF_DATASETS
        grouped[name].setdefault(json.dumps(event, sort_keys=True), event)
    datasets = grouped.pop(OF_DATASETS, {})
    ordered = {name: list(each.values()) for name, each in grouped.items()}
    return {**ordered, OF_DATASETS: [datasets[text] for text in sorted(datasets)]}


def repeats(events: Iterable[Json]) -> int:
    """Count what came more than once.

    Args:
        events: what the backend got.

    Returns:
        How many arrivals were no first ones.
    """
    texts = [json.dumps(event, sort_keys=True) for event in events]
    return len(texts) - len(set(texts))
