"""Compares what a backend got of a run with what its event log gives when it is read afterwards."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_core.settings import Settings
from recorded_run import converted_instance

Json = dict[str, Any]


def expected_events(
    instance: dg.DagsterInstance,
    run_id: str,
    definitions: dg.Definitions,
    settings: Settings | None = None,
) -> list[Json]:
    """Convert the log of a run as if nothing had happened.

    Args:
        instance: holds it.
        run_id: of the run.
        definitions: of its code location.
        settings: of the conversion.

    Returns:
        The events as they go over the wire, in the order of the log.
    """
    repository = definitions.get_repository_def()
    known = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    records = instance.get_records_for_run(run_id, of_type=set(CONVERTED)).records
    entries = [record.event_log_entry for record in records]
    return converted_instance(instance, entries, known, settings)


def first_arrivals(events: Iterable[Json], run_id: str) -> list[Json]:
    """Choose the events of a Dagster run, each once.

    Args:
        events: in the order of arrival.
        run_id: of the run.

    Returns:
        Its events in the order in which they came first.
    """
    arrived: dict[str, Json] = {}
    for event in events:
        if run_id_of(event) == run_id:
            converted = as_converted(event)
            arrived.setdefault(json.dumps(converted, sort_keys=True), converted)
    return list(arrived.values())


def as_converted(event: Json) -> Json:
    """Take away what openlineage-python's client adds on the way: tags of its own.

    Args:
        event: as it arrived.

    Returns:
        The event as it was converted.
    """
    event = copy.deepcopy(event)
    facets = event["run"]["facets"] if "run" in event else {}
    tags = facets.pop("tags", {"tags": []})
    tags["tags"] = [tag for tag in tags["tags"] if tag["source"] != "OPENLINEAGE_CLIENT"]
    if tags["tags"]:
        facets["tags"] = tags
    return event


def _without_facets(events: list[Json]) -> list[Json]:
    bare: dict[str, Json] = {}
    for event in events:
        one = {key: event[key] for key in ("eventType", "eventTime", "job", "run")}
        one["job"] = {**event["job"], "facets": None}
        one["run"] = {**event["run"], "facets": None}
        for side in ("inputs", "outputs"):
            one[side] = [(each["namespace"], each["name"]) for each in event[side]]
        bare.setdefault(json.dumps(one, sort_keys=True), one)
    return list(bare.values())


def run_id_of(event: Json) -> str | None:
    """Find the Dagster run of an event.

    Args:
        event: a RunEvent.

    Returns:
        The run id; None for what is of no run.
    """
    facet = event["run"]["facets"].get("dagster_run") if "run" in event else None
    return facet["runId"] if facet else None


def summary(events: Iterable[Json]) -> list[str]:
    """Sum events up, for a failing test's message.

    Args:
        events: RunEvents.

    Returns:
        Type, job and run id of each.
    """
    return [f"{each['eventType']} {each['job']['name']} {each['run']['runId']}" for each in events]


def check_order(found: Iterable[Json], expected: Iterable[Json], about: str) -> None:
    """Compare which events of a run there are, and in which order.

    Args:
        found: what is there.
        expected: what should be.
        about: whose events they are.

    Raises:
        AssertionError: they are not the same, and this is how.
    """
    are, should_be = summary(found), summary(expected)
    changes = difflib.unified_diff(should_be, are, "expected", "found", lineterm="")
    assert are == should_be, "\n".join([about, *changes])


def differences(found: object, expected: object, where: str = "") -> Iterator[str]:
    """Compare two values of JSON.

    Args:
        found: what is there.
        expected: what should be.
        where: the path to both.

    Yields:
        A line for each place that differs.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            yield from differences(found.get(key), expected.get(key), f"{where}.{key}")
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for position, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(one, other, f"{where}[{position}]")
    elif found != expected:
        yield f"{where}: found {found!r}, expected {expected!r}"


def check_delivered(
    instance: dg.DagsterInstance,
    events: Iterable[Json],
    definitions: dg.Definitions,
    *,
    with_facets: bool = True,
) -> int:
    """Compare all runs of an instance.

    Args:
        instance: holds the logs.
        events: what the backend got, in the order of arrival.
        definitions: of the code location.
        with_facets: False compares types, times, names and ids only.

    Returns:
        How many different events there are.

    Raises:
        AssertionError: something is missing, different, too much, or in another order.
    """
    arrived = list(events)
    count = 0
    for run in instance.get_runs():
        expected = expected_events(instance, run.run_id, definitions)
        found = first_arrivals(arrived, run.run_id)
        if not with_facets:
            expected, found = map(_without_facets, (expected, found))
        check_order(found, expected, run.run_id)
        for found_event, expected_event in zip(found, expected, strict=True):
            assert not list(differences(found_event, expected_event)), "\n".join(
                [*summary([found_event]), *differences(found_event, expected_event)]
            )
        count += len(found)
    return count
