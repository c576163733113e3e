"""Compares events with what an events file or a Marquez holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from openlineage_dagster_core.cli.foreign_json import Json, events_in, mapping, mappings, text
from openlineage_dagster_core.cli.graph.from_events import STATES
from openlineage_dagster_core.cli.graph.from_marquez import NAMES, marquez_at
from openlineage_dagster_core.cli.graph.model import State

TIMEOUT_SECONDS = 30.0
CLIENT_TAGS = "OPENLINEAGE_CLIENT"  # The source of the tags that the client adds when it sends
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Difference:
    """An event that is `missing`, `different` (with a line for each place) or `unexpected`."""

    kind: str
    event: str
    what: tuple[str, ...] = ()


def differences_to_file(events: list[Json], path: str) -> Iterator[Difference]:
    """Compare the events of one Dagster run with an events file."""
    # Of an event that was sent twice the last one counts, as for a backend.
    objects = (event for event in events_in(Path(path)) if isinstance(event, dict))
    found = {_identity(each): each for each in objects if "run" in each or "dataset" in each}
    expected = {_identity(event): event for event in events}
    for identity, event in expected.items():
        if identity not in found:
            yield Difference("missing", _described(event))
        else:
            other = _without_client_tags(found[identity])
            yield from _compare(event, other, _without_client_tags(event))
    run_ids = {_run_id(event) for event in events if "run" in event}
    for identity, event in found.items():
        if identity not in expected and _run_id(event) in run_ids:
            yield Difference("unexpected", _described(event))


def differences_to_marquez(events: list[Json], address: str) -> Iterator[Difference]:
    """Compare the events of one Dagster run with the Marquez at an address."""
    last = {_run_id(event): event for event in events if "run" in event}
    with marquez_at(address, TIMEOUT_SECONDS) as marquez:
        # Any HTTP server answers 404 for a run: check first that this one is a Marquez.
        next(marquez.list_all("namespaces"), None)
        for run_id, event in last.items():
            run = marquez.get(f"jobs/runs/{quote(run_id, safe='')}", or_nothing=True)
            if run:
                yield from _compare(event, *_states(run, event))
            else:
                yield Difference("missing", _described(event))


def _compare(event: Json, found: Json, expected: Json) -> Iterator[Difference]:
    if what := tuple(_places(found, expected)):
        yield Difference("different", _described(event), what)


def _states(run: Json, event: Json) -> tuple[Json, Json]:
    """Return what Marquez shows of a run, and what it should show after the run's last event."""
    state = STATES[event["eventType"]]
    found: dict[str, object] = {"state": run.get("state")}
    expected: dict[str, object] = {"state": NAMES[state]}
    # Marquez has the datasets once a run has ended.
    if state is not State.RUNNING:
        for side, key in (("inputs", "inputDatasetVersions"), ("outputs", "outputDatasetVersions")):
            found[side] = _names(each["datasetVersionId"] for each in run.get(key) or ())
            expected[side] = _names(event[side])
    return found, expected


def _names(datasets: Iterable[Json]) -> list[tuple[str, str]]:
    return sorted({(each["namespace"], each["name"]) for each in datasets})


def _identity(event: Json) -> tuple[object, ...]:
    about = _run_id(event) or text(mapping(event, "dataset"), "name")
    job = text(mapping(event, "job"), "name")
    return about, event.get("eventType"), event.get("eventTime"), job


def _run_id(event: Json) -> str:
    return text(mapping(event, "run"), "runId")


def _described(event: Json) -> str:
    if "run" not in event:
        return f"observation of {text(mapping(event, 'dataset'), 'name')}"
    job = mapping(event, "job")
    name = f"{text(job, 'namespace')}/{text(job, 'name')}" if job else "an unnamed job"
    return f"{event.get('eventType')} of {name}, run {_run_id(event)}"


def _without_client_tags(event: Json) -> Json:
    run, tags = mapping(event, "run"), mapping(event, "run", "facets", "tags")
    if not tags:
        return event
    own = [tag for tag in mappings(tags.get("tags")) if tag.get("source") != CLIENT_TAGS]
    facets = {name: facet for name, facet in run["facets"].items() if name != "tags"}
    if own:
        facets["tags"] = {**tags, "tags": own}
    return {**event, "run": {**run, "facets": facets}}


def _places(found: object, expected: object, where: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            path = f"{where}.{key}" if where else key
            yield from _places(found.get(key), expected.get(key), path)
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for position, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from _places(one, other, f"{where}[{position}]")
    elif found != expected:
        yield f"{where}: found {_short(found)}, expected {_short(expected)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
