"""The official OpenLineage schemas, and ours, as a check for events."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

REPOSITORY = Path(__file__).parents[1]
SPEC_DIR = Path(
    os.environ.get("OPENLINEAGE_SPEC_DIR") or REPOSITORY.parent / "shared" / "openlineage-spec"
)
OWN_SCHEMAS = REPOSITORY / "docs" / "schemas"

Json = dict[str, Any]

FACET_PLACES = (
    (("run", "facets"), "RunFacet"),
    (("job", "facets"), "JobFacet"),
    (("dataset", "facets"), "DatasetFacet"),
    (("inputs", "facets"), "DatasetFacet"),
    (("inputs", "inputFacets"), "InputDatasetFacet"),
    (("outputs", "facets"), "DatasetFacet"),
    (("outputs", "outputFacets"), "OutputDatasetFacet"),
)

_VERSION = re.compile(r"/\d+-\d+-\d+/")


def is_present() -> bool:
    """Tell whether the official schemas are on this machine.

    Returns:
        Whether they are under `OPENLINEAGE_SPEC_DIR` or its default.
    """
    return (SPEC_DIR / "OpenLineage.json").is_file()


@cache
def _schemas() -> dict[str, Json]:
    """By file name: facets are published in versions, and one of each is here."""
    paths = [
        SPEC_DIR / "OpenLineage.json",
        *(SPEC_DIR / "facets").glob("*.json"),
        *OWN_SCHEMAS.rglob("*.json"),
    ]
    return {path.name: json.loads(path.read_text()) for path in paths}


@cache
def _registry() -> Registry:
    return Registry([(schema["$id"], schema) for schema in _schemas().values()])


@cache
def _validator(file_name: str, definition: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"{_schemas()[file_name]['$id']}#/$defs/{definition}"},
        registry=_registry(),
        validate_formats=True,
        offline=True,
    )


def _broken_rules(validator: Draft202012Validator, name: str, instance: Json) -> list[str]:
    """Return a line for each broken rule: what is checked, where in it, and what is wrong there."""
    return [
        f"{name}: {'.'.join(['$', *map(str, error.instance_path)])}: {error.message}"
        for error in validator.iter_errors(instance)
    ]


def faults(event: Json) -> list[str]:
    """Check an event as it goes over the wire.

    Args:
        event: the JSON of a RunEvent, a DatasetEvent or a JobEvent.

    Returns:
        What is wrong with it: against the schema of its kind, against each facet's own schema, and
        against our own rules (facets, inputs and outputs always present; no NaN; all datasets have
        a `dataSource`, or none where that is disabled).
    """
    kind = event["schemaURL"].rpartition("/")[2]
    found = _broken_rules(_validator("OpenLineage.json", kind), kind, event)
    try:
        json.dumps(event, allow_nan=False)
    except ValueError as error:
        found.append(f"{kind}: {error}")
    if kind == "RunEvent":
        for path in (("run", "facets"), ("job", "facets"), ("inputs",), ("outputs",)):
            place: Any = event
            for key in path:
                place = place.get(key, {}) if isinstance(place, dict) else {}
            if not place and path[-1] == "facets":
                found.append(f"RunEvent: {'.'.join(path)} is missing")
        found += [
            f"RunEvent: {side} is missing" for side in ("inputs", "outputs") if side not in event
        ]
    datasets = [event.get("dataset", {}), *event.get("inputs", []), *event.get("outputs", [])]
    sources = {"dataSource" in dataset.get("facets", {}) for dataset in datasets if dataset}
    if len(sources) > 1:
        found.append(f"{kind}: some datasets have no dataSource")
    for name, facet in _facets(event):
        found += _facet_faults(name, facet)
    return found


def _facets(event: Json) -> Iterator[tuple[str, Json]]:
    for (place, key), _ in FACET_PLACES:
        holders = event.get(place) or []
        for holder in [holders] if isinstance(holders, dict) else holders:
            yield from (holder.get(key) or {}).items()


def facet_faults(name: str, facet: Json) -> list[str]:
    """Check one facet as it goes over the wire.

    Args:
        name: the facet's name, under which it stands in an event.
        facet: its JSON.

    Returns:
        What is wrong with it, against its own schema; nothing where the schemas are not here.
    """
    return _facet_faults(name, facet) if is_present() else []


def _facet_faults(name: str, facet: Json) -> list[str]:
    url = facet["_schemaURL"]
    address, _, pointer = url.partition("#/$defs/")
    file_name = address.rpartition("/")[2]
    schema = _schemas().get(file_name)
    if schema is None or pointer not in schema["$defs"]:
        return [f"{name}: {url} is not a schema we know"]
    # A facet of the user's own may say no more than what it is a facet of.
    is_plain = file_name == "OpenLineage.json" and pointer.endswith("Facet")
    if not is_plain and name not in schema.get("properties", {}):
        return [f"{name}: {file_name} describes {sorted(schema.get('properties', {}))}"]
    return _broken_rules(_validator(file_name, pointer), name, facet)
