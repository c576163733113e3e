"""The types of Atlas that hold what events say."""

import json
from typing import Any

Json = dict[str, Any]

# Raise it with every change: an Atlas that has the types of an earlier version then gets ours
VERSION = "1.0"
DATASET = "openlineage_dataset"
COLUMN = "openlineage_column"
JOB = "openlineage_job"
COLUMN_LINEAGE = "openlineage_column_lineage"

_SEARCHABLE = frozenset({"namespace", "state", "runId", "jobType"})
# The names of the attributes of each type
_OF_DATASET = {
    "string": "namespace source datasetType storageLayer fileFormat version lifecycleState",
    "array<string>": "owners tags",
    "map<string,string>": "assertions",
}
_OF_COLUMN = {"string": "type", "int": "position", "array<string>": "tags"}
_OF_JOB = {
    "string": "namespace jobType integration query sourceCode "
    "state runId parent nominalStart nominalEnd error dagsterRunId url",
    "date": "startedAt endedAt",
    "array<string>": "owners tags",
}


def type_definitions() -> Json:
    """Return the body of a request that creates or updates all types."""
    shown = json.dumps(["name", "type", "description", "tags", "position"])
    return {
        "entityDefs": [
            # With these options Atlas's page of a dataset has a tab with its columns.
            _entity(DATASET, "DataSet", _OF_DATASET, schemaElementsAttribute="columns"),
            _entity(COLUMN, "DataSet", _OF_COLUMN, schemaAttributes=shown),
            _entity(JOB, "Process", _OF_JOB),
            _entity(COLUMN_LINEAGE, "Process", {"string": "expression", "array<string>": "kinds"}),
        ],
        "relationshipDefs": [
            _composition("openlineage_dataset_columns", (DATASET, "columns"), (COLUMN, "dataset")),
            _composition(
                "openlineage_job_column_lineage", (JOB, "columnLineage"), (COLUMN_LINEAGE, "job")
            ),
        ],
    }


def _entity(name: str, supertype: str, attributes: dict[str, str], **options: str) -> Json:
    return {
        "name": name,
        "superTypes": [supertype],
        "serviceType": "openlineage",
        "typeVersion": VERSION,
        "options": options,
        "attributeDefs": [
            {
                "name": attribute,
                "typeName": kind,
                "cardinality": "LIST" if kind.startswith("array") else "SINGLE",
                "isOptional": True,
                "isIndexable": attribute in _SEARCHABLE,
            }
            for kind, names in attributes.items()
            for attribute in names.split()
        ],
    }


def _composition(name: str, whole: tuple[str, str], part: tuple[str, str]) -> Json:
    """Define a relationship; Atlas deletes parts with their whole. Ends are type and attribute."""
    return {
        "name": name,
        "typeVersion": VERSION,
        "relationshipCategory": "COMPOSITION",
        "propagateTags": "NONE",
        "endDef1": {"type": whole[0], "name": whole[1], "isContainer": True, "cardinality": "SET"},
        "endDef2": {
            "type": part[0],
            "name": part[1],
            "isContainer": False,
            "cardinality": "SINGLE",
        },
    }
