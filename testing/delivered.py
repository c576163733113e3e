"""Compares what a backend got with what the event log gives when it is read afterwards."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import DefinitionsSource, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.families import FOLLOWED
from openlineage_dagster_core.settings import Settings
from recorded_run import converted_instance

Json = dict[str, Any]


def expected_events(
    instance: dg.DagsterInstance,
    run_id: str,
    definitions: dg.Definitions | DefinitionsSource,
    settings: Settings | None = None,
) -> list[Json]:
    """Convert the log of a run as if nothing had happened.

    Args:
        instance: holds it.
        run_id: of the run; empty for events outside runs.
        definitions: of its code location, or what gives them.
        settings: of the conversion.

    Returns:
        The events as they go over the wire, in the order of the log.
    """
    records = instance.get_records_for_run(run_id, of_type=set(FOLLOWED)).records
    entries = [record.event_log_entry for record in records]
    return converted_instance(instance, entries, _source(definitions), settings)


def _source(definitions: dg.Definitions | DefinitionsSource) -> DefinitionsSource:
    if not isinstance(definitions, dg.Definitions):
        return definitions
    repository = definitions.get_repository_def()
    return GivenDefinitions(
        Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    )


def expected_log(
    instance: dg.DagsterInstance, definitions: dg.Definitions, settings: Settings | None = None
) -> list[Json]:
    """Convert the logs of all runs, and of events outside runs, as if nothing had happened.

    Args:
        instance: holds them.
        definitions: of the code location.
        settings: of the conversion.

    Returns:
        The events as they go over the wire, in the order of the whole log.
    """
    by_time = instance.event_log_storage.is_run_sharded
    records = [
        record
        for run_id in ("", *(run.run_id for run in instance.get_runs()))
        for record in instance.get_records_for_run(run_id, of_type=set(FOLLOWED)).records
    ]
    records.sort(key=lambda record: record.timestamp if by_time else float(record.storage_id))
    entries = [record.event_log_entry for record in records]
    return converted_instance(instance, entries, _source(definitions), settings)


def first_arrivals(events: Iterable[Json], run_id: str) -> list[Json]:
    """Choose the events of a Dagster run, each once.

    Args:
        events: in the order of arrival.
        run_id: of the run.

    Returns:
        Its events in the order in which they came first.
    """
    return each_once(event for event in events if run_id_of(event) == run_id)


def last_arrivals(events: Iterable[Json]) -> list[Json]:
    """Choose events, each once, where they came last: that is what a backend shows.

    Args:
        events: in the order of arrival.

    Returns:
        The events in the order in which they came last.
    """
    return each_once(reversed(list(events)))[::-1]


def each_once(events: Iterable[Json]) -> list[Json]:
    """Leave repeats out.

    Args:
        events: in any order.

    Returns:
        The events where they come first, as they were converted.
    """
    arrived: dict[str, Json] = {}
    for event in events:
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
        events: RunEvents and DatasetEvents.

    Returns:
        Type, job and run id of each RunEvent; name and time of each DatasetEvent.
    """
    return [
        f"{each['eventType']} {each['job']['name']} {each['run']['runId']}"
        if "run" in each
        else f"DatasetEvent {each['dataset']['name']} {each['eventTime']}"
        for each in events
    ]


def check_order(found: Iterable[Json], expected: Iterable[Json], about: str) -> None:
    """Compare which events there are, and the order of those that depend on each other.

    Events of one job depend on each other, and those of one dataset where one of them writes it.
    A run depends on the START of its parent.

    Args:
        found: what is there, each event once.
        expected: what should be, in the order of the log.
        about: whose events they are.

    Raises:
        AssertionError: they are not the same, and this is how.
    """
    there, wanted = list(found), list(expected)
    are, should_be = sorted(summary(there)), sorted(summary(wanted))
    changes = difflib.unified_diff(should_be, are, "expected", "found", lineterm="")
    assert are == should_be, "\n".join([about, *changes])
    assert not list(disorder(there, wanted)), "\n".join([about, *disorder(there, wanted)])


def disorder(found: list[Json], expected: list[Json]) -> Iterator[str]:
    """Compare the order of events that depend on each other.

    Args:
        found: what is there, each event once.
        expected: the same events in the order of the log.

    Yields:
        A line for each job, dataset and parent whose order differs.
    """
    in_log = dict(_sequences(expected))
    for key, sequence in _sequences(found):
        wanted = in_log.get(key, [])
        changes = [
            f"{' | '.join(one)} where the log has {' | '.join(other)}"
            for one, other in zip(sequence, wanted, strict=False)
            if one != other
        ]
        if sequence != wanted:
            yield f"{key}: {changes[0] if changes else 'one has more'}"
    started: set[str] = set()
    starts = {each["run"]["runId"] for each in expected if each.get("eventType") == "START"}
    for event in found:
        if "run" not in event:
            continue
        if event["eventType"] == "START":
            started.add(event["run"]["runId"])
        parent = event["run"]["facets"].get("parent")
        parent_id = parent["run"]["runId"] if parent else None
        if parent_id in starts - started:
            yield f"before its parent's START: {summary([event])[0]}"


def _sequences(events: list[Json]) -> Iterator[tuple[str, list[list[str]]]]:
    """List what of each job and dataset goes in order; what may go side by side is one group."""
    sequences: dict[str, list[list[str]]] = {}
    reads: set[str] = set()
    for event in events:
        [line] = summary([event])
        for key, is_written in _subjects(event).items():
            sequence = sequences.setdefault(key, [])
            if not is_written and key in reads:
                sequence[-1] = sorted([*sequence[-1], line])
            else:
                sequence.append([line])
            if is_written:
                reads.discard(key)
            else:
                reads.add(key)
    yield from sequences.items()


def _subjects(event: Json) -> dict[str, bool]:
    """List what an event is about, and whether it must be alone there."""
    if "dataset" in event:
        return {f"dataset {event['dataset']['namespace']} {event['dataset']['name']}": True}
    found = {f"dataset {each['namespace']} {each['name']}": False for each in event["inputs"]}
    found |= {f"dataset {each['namespace']} {each['name']}": True for each in event["outputs"]}
    found[f"job {event['job']['namespace']} {event['job']['name']}"] = True
    return found


def check_last_state(
    events: Iterable[Json], expected: Iterable[Json], about: str = "the last state"
) -> None:
    """Fail the test where a backend that keeps what comes last shows an older state.

    What came again must be followed by what is newer, once more.

    Args:
        events: what the backend got, in the order of arrival.
        expected: what it should get, in the order of the log; see `expected_log`.
        about: whose events they are.
    """
    check_order(last_arrivals(events), expected, about)


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
        check_same(found, expected)
        count += len(found)
    return count


def check_same(found: Iterable[Json], expected: Iterable[Json]) -> None:
    """Compare the content of events, whatever the order of those that do not depend on each other.

    Args:
        found: what is there.
        expected: what should be; the same events by type, job and run.

    Raises:
        AssertionError: they differ, and this is where.
    """

    def by_name(event: Json) -> str:
        return summary([event])[0]

    pairs = zip(sorted(found, key=by_name), sorted(expected, key=by_name), strict=True)
    for found_event, expected_event in pairs:
        assert not list(differences(found_event, expected_event)), "\n".join(
            [*summary([found_event]), *differences(found_event, expected_event)]
        )
