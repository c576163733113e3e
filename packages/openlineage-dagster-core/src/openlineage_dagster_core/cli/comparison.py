"""Compares events with what an events file or a Marquez holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openlineage_dagster_core.cli.events_file import events_in
from openlineage_dagster_core.cli.failure import CommandError, explained
from openlineage_dagster_core.cli.graph.source import is_address
from openlineage_dagster_core.validation import without_credentials

Json = dict[str, Any]

TIMEOUT_SECONDS = 30.0

CLIENT_TAGS = "OPENLINEAGE_CLIENT"
"""The source of the tags that openlineage-python's client adds on the way."""

LONGEST_VALUE = 60

MARQUEZ_STATES = {
    "START": "RUNNING",
    "RUNNING": "RUNNING",
    "COMPLETE": "COMPLETED",
    "FAIL": "FAILED",
    "ABORT": "ABORTED",
}


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be.

    Args:
        kind: `missing`, `different` or `unexpected`.
        event: type, job and run id, or a run.
        what: in which way, a line for each place.
    """

    kind: str
    event: str
    what: tuple[str, ...] = ()

    def as_json(self) -> Json:
        """Give it to machines.

        Returns:
            Its fields.
        """
        return {"kind": self.kind, "event": self.event, "what": list(self.what)}


def differences_to(events: list[Json], source: str) -> list[Difference]:
    """Compare events with what is somewhere.

    Args:
        events: of one Dagster run, as they are sent.
        source: the path of an events file, or Marquez's address.

    Returns:
        What is missing, different or too much.

    Raises:
        CommandError: the file or Marquez cannot be read.
    """
    if is_address(source):
        return list(_compared_with_marquez(events, source.rstrip("/")))
    return list(_compared_with_file(events, Path(source)))


def _compared_with_file(events: list[Json], path: Path) -> Iterator[Difference]:
    # What was sent twice is there twice: the last one counts, as for a backend.
    found = {
        _identity(event): event
        for event in events_in(path)
        if isinstance(event, dict) and ("run" in event or "dataset" in event)
    }
    expected = {_identity(event): event for event in events}
    for identity, event in expected.items():
        if identity not in found:
            yield Difference("missing", _described(event))
            continue
        one, other = _without_client_tags(found[identity]), _without_client_tags(event)
        what = tuple(_places(one, other))
        if what:
            yield Difference("different", _described(event), what)
    run_ids = {event["run"]["runId"] for event in events if "run" in event}
    for identity, event in found.items():
        if identity not in expected and event.get("run", {}).get("runId") in run_ids:
            yield Difference("unexpected", _described(event))


def _compared_with_marquez(events: list[Json], address: str) -> Iterator[Difference]:
    import requests

    last = {event["run"]["runId"]: event for event in events if "run" in event}
    shown = without_credentials(address)

    def get(path: str) -> Any:
        with explained(f"Marquez at {shown} cannot be read", "See that it runs there."):
            answer = session.get(f"{address}/api/v1/{path}", timeout=TIMEOUT_SECONDS)
            if answer.status_code == requests.codes.not_found:
                return None
            answer.raise_for_status()
        try:
            return answer.json()
        except requests.JSONDecodeError:
            return ""

    with requests.Session() as session:
        # Whatever serves HTTP knows no run: that it is a Marquez is to be seen first.
        _must_have(get("namespaces?limit=1"), "namespaces", shown)
        for run_id, event in last.items():
            run = get(f"jobs/runs/{quote(run_id, safe='')}")
            if run is None:
                yield Difference("missing", _described(event))
                continue
            _must_have(run, "state", shown)
            what = tuple(_places(_of_marquez(run, event), _for_marquez(event)))
            if what:
                yield Difference("different", _described(event), what)


def _must_have(answer: object, key: str, shown: str) -> None:
    if not isinstance(answer, dict) or key not in answer:
        raise CommandError(
            f"What answers at {shown} is no Marquez.",
            "Give the address of its API, such as http://localhost:5000.",
        )


def _of_marquez(run: Json, event: Json) -> Json:
    shown: Json = {"state": run["state"]}
    # Edges are there once a run has ended.
    if event["eventType"] in ("COMPLETE", "FAIL", "ABORT"):
        for side, key in (("inputs", "inputDatasetVersions"), ("outputs", "outputDatasetVersions")):
            names = [each["datasetVersionId"] for each in run.get(key) or ()]
            shown[side] = sorted({(each["namespace"], each["name"]) for each in names})
    return shown


def _for_marquez(event: Json) -> Json:
    shown: Json = {"state": MARQUEZ_STATES[event["eventType"]]}
    if event["eventType"] in ("COMPLETE", "FAIL", "ABORT"):
        for side in ("inputs", "outputs"):
            shown[side] = sorted({(each["namespace"], each["name"]) for each in event[side]})
    return shown


def _identity(event: Json) -> tuple[Any, ...]:
    about = event.get("run", {}).get("runId") or event.get("dataset", {}).get("name")
    return about, event.get("eventType"), event.get("eventTime"), event.get("job", {}).get("name")


def _described(event: Json) -> str:
    if "run" not in event:
        return f"observation of {event.get('dataset', {}).get('name')}"
    job = event.get("job", {})
    name = f"{job.get('namespace')}/{job.get('name')}"
    return f"{event.get('eventType')} of {name}, run {event['run'].get('runId')}"


def _without_client_tags(event: Json) -> Json:
    run = event.get("run", {})
    tags = run.get("facets", {}).get("tags")
    if not tags:
        return event
    own = [tag for tag in tags["tags"] if tag.get("source") != CLIENT_TAGS]
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
