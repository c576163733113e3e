"""Translates an OpenLineage event, as JSON, into entities of Atlas; pure."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dateutil.parser import isoparse  # type: ignore[import-untyped]

from openlineage_dagster_core.atlas.typedefs import COLUMN, COLUMN_LINEAGE, DATASET, JOB, Json
from openlineage_dagster_core.nested import value_at

Identity = tuple[str, str]  # Namespace and name of a dataset or a job

ENDS = frozenset({"COMPLETE", "FAIL", "ABORT"})  # The states of a run that has ended

# Attributes, and the field of a facet that each of them takes
_DATASET_FACETS = {
    "description": ("documentation", "description"),
    "source": ("dataSource", "uri"),
    "datasetType": ("datasetType", "datasetType"),
    "storageLayer": ("storage", "storageLayer"),
    "fileFormat": ("storage", "fileFormat"),
    "version": ("version", "datasetVersion"),
    "lifecycleState": ("lifecycleStateChange", "lifecycleStateChange"),
}
_JOB_FACETS = {
    "description": ("documentation", "description"),
    "jobType": ("jobType", "jobType"),
    "integration": ("jobType", "integration"),
    "query": ("sql", "query"),
    "sourceCode": ("sourceCodeLocation", "url"),
}
_RUN_FACETS = {
    "parent": ("parent", "job", "name"),
    # As texts: Atlas shows a date that is not there as 1970.
    "nominalStart": ("nominalTime", "nominalStartTime"),
    "nominalEnd": ("nominalTime", "nominalEndTime"),
    "error": ("errorMessage", "message"),
    "dagsterRunId": ("dagster_run", "runId"),
    "url": ("dagster_run", "url"),
}


@dataclass(frozen=True)
class Translation:
    """What one event says.

    `edges` are the qualified names of all datasets that `job` reads (`inputs`) and writes
    (`outputs`); None where the event does not tell them.
    """

    entities: list[Json]  # For one request
    job: str = ""
    edges: dict[str, frozenset[str]] | None = None


def qualified_name(kind: str, *parts: str) -> str:
    """Return the unique name of an entity, such as `job:dagster#raw/orders@openlineage`.

    Different parts give different names, because `#` and `%` inside a part are escaped. Names begin
    with the kind, because Atlas wants them to be unique over all types.
    """
    escaped = (part.replace("%", "%25").replace("#", "%23") for part in parts)
    return f"{kind.removeprefix('openlineage_')}:{'#'.join(escaped)}@openlineage"


def translate(event: Json) -> Translation:
    """Return the entities of an event.

    Only COMPLETE changes datasets and edges. Every event is at least its job or its dataset: the
    answer to a request without a change tells the delivery whether Atlas takes events.
    """
    bulk = _Bulk()
    if "dataset" in event:
        bulk.add_dataset(event["dataset"])
        return Translation(list(bulk.entities.values()))
    run, state = event.get("run"), event.get("eventType")
    identity, facets = _identity(event["job"]), event["job"].get("facets") or {}
    job = bulk.add(JOB, *identity, namespace=identity[0], **_described(facets, _JOB_FACETS))
    if run is not None and state == "START":
        job["attributes"] |= _time("startedAt", event)
    elif run is not None and state in ENDS:
        # Also what is None: Atlas then clears what an earlier run said.
        said = _fields_of(run.get("facets") or {}, _RUN_FACETS)
        job["attributes"] |= {"state": state, "runId": run["runId"], **said}
        job["attributes"] |= _time("endedAt", event)
    sides = {side: event.get(side) or [] for side in ("inputs", "outputs")}
    # A JobEvent without datasets describes the job alone.
    if not (any(sides.values()) if run is None else state == "COMPLETE"):
        return Translation(list(bulk.entities.values()))
    edges = {}
    for side, datasets in sides.items():
        added = [bulk.add_dataset(each, is_read=side == "inputs") for each in datasets]
        job["attributes"][side] = list(map(_reference, added))
        edges[side] = frozenset(each["attributes"]["qualifiedName"] for each in added)
    job["relationshipAttributes"]["columnLineage"] = [
        _reference(each)
        for output in sides["outputs"]
        for each in bulk.add_column_lineage(identity, job, output)
    ]
    return Translation(list(bulk.entities.values()), job["attributes"]["qualifiedName"], edges)


class _Bulk:
    """Collects entities, each once; inside one request they refer to each other by negative ids."""

    def __init__(self) -> None:
        self.entities: dict[str, Json] = {}  # By qualified name
        # The columns of datasets whose schema is known, by their paths
        self._columns: dict[Identity, dict[str, Json]] = {}

    def add(self, kind: str, *parts: str, **attributes: Any) -> Json:
        """Add an entity, or to one the attributes that are not None, and return it."""
        qualified = qualified_name(kind, *parts)
        entity: Json = self.entities.setdefault(
            qualified,
            {
                "typeName": kind,
                "guid": f"-{len(self.entities) + 1}",
                "attributes": {"qualifiedName": qualified, "name": parts[-1] or qualified},
                "relationshipAttributes": {},
            },
        )
        entity["attributes"] |= {k: v for k, v in attributes.items() if v is not None}
        return entity

    def add_dataset(self, dataset: Json, *, is_read: bool = False) -> Json:
        """Add a dataset with its columns, if its schema is known, and return it.

        The version that a job reads need not be the latest one.
        """
        identity = _identity(dataset)
        facets = {**(dataset.get("facets") or {}), **(dataset.get("inputFacets") or {})}
        if is_read:
            facets.pop("version", None)
        assertions = value_at(facets, "dataQualityAssertions", "assertions") or ()
        whole = self.add(
            DATASET,
            *identity,
            namespace=identity[0],
            **_described(facets, _DATASET_FACETS),
            assertions=dict(map(_assertion, assertions)) or None,
        )
        fields = dict(_paths(value_at(facets, "schema", "fields") or []))
        if fields:
            self._columns[identity] = columns = {
                path: self.add(
                    COLUMN,
                    *(*identity, path),
                    position=position,
                    type=field.get("type"),
                    description=field.get("description"),
                    tags=_tags(facets, path),
                )
                for position, (path, field) in enumerate(fields.items())
            }
            for column in columns.values():
                column["relationshipAttributes"]["dataset"] = _reference(whole)
            whole["relationshipAttributes"]["columns"] = list(map(_reference, columns.values()))
        return whole

    def add_column_lineage(self, name: Identity, job: Json, output: Json) -> Iterator[Json]:
        """Add and yield what tells from which columns those of a job's output are made.

        Columns that no schema of the event has are left out. The inputs are a part of the unique
        name: Atlas goes on drawing an input that is removed from an entity.
        """
        made = _identity(output)
        for column, lineage in (
            value_at(output, "facets", "columnLineage", "fields") or {}
        ).items():
            sources: dict[str, Json] = {}
            kinds: set[str] = set()
            for field in lineage.get("inputFields") or []:
                source = self._columns.get(_identity(field), {}).get(field["field"])
                if source is not None:
                    sources[source["attributes"]["qualifiedName"]] = _reference(source)
                    for each in field.get("transformations") or []:
                        named = filter(None, (each.get("type"), each.get("subtype")))
                        kinds.add("/".join(named))
            target = self._columns.get(made, {}).get(column)
            if target is None or not sources:
                continue
            digest = hashlib.sha256(json.dumps(sorted(sources)).encode()).hexdigest()[:16]
            added = self.add(
                COLUMN_LINEAGE,
                *(*name, *made, column, digest),
                name=f"{made[1]}.{column}",
                inputs=list(sources.values()),
                outputs=[_reference(target)],
                kinds=sorted(kinds),
                expression=lineage.get("transformationDescription"),
            )
            added["relationshipAttributes"]["job"] = _reference(job)
            yield added


def _time(attribute: str, event: Json) -> Json:
    """Return an event's time as Atlas has dates, in milliseconds; nothing where it is no time."""
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        return {attribute: round(isoparse(event["eventTime"]).timestamp() * 1000)}
    return {}


def _fields_of(facets: Json, paths: Mapping[str, tuple[str, ...]]) -> Json:
    return {attribute: value_at(facets, *path) for attribute, path in paths.items()}


def _described(facets: Json, paths: Mapping[str, tuple[str, ...]]) -> Json:
    """Return fields of facets, tags, and owners: as a list, and as Atlas's lists show them."""
    names = [owner["name"] for owner in value_at(facets, "ownership", "owners") or ()]
    owners = {"owners": names, "owner": ", ".join(names)} if names else {}
    return {**_fields_of(facets, paths), "tags": _tags(facets), **owners}


def _tags(facets: Json, field: str | None = None) -> list[str] | None:
    """Return the tags of a job, a dataset or one of its fields as `key=value`."""
    tags = value_at(facets, "tags", "tags")
    if tags is None:
        return None
    chosen = (tag for tag in tags if tag.get("field") == field)
    return sorted({"=".join(filter(None, (tag["key"], tag.get("value")))) for tag in chosen})


def _assertion(assertion: Json) -> tuple[str, str]:
    column = f"({assertion['column']})" if assertion.get("column") else ""
    return f"{assertion['assertion']}{column}", "passed" if assertion["success"] else "failed"


def _paths(fields: Iterable[Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Yield the fields of a schema by path; `a.b` is a field inside another one."""
    for field in fields:
        path = f"{prefix}{field['name']}"
        yield path, field
        yield from _paths(field.get("fields") or [], f"{path}.")


def _reference(entity: Json) -> Json:
    return {"typeName": entity["typeName"], "guid": entity["guid"]}


def _identity(named: Json) -> Identity:
    return named["namespace"], named["name"]
