"""What Atlas holds, as a lineage graph."""

from __future__ import annotations

from collections import Counter

from atlas_server import AtlasServer, Json
from lineage_graph import Column, LineageGraph, Name
from openlineage_dagster_core.atlas.typedefs import COLUMN, COLUMN_LINEAGE, DATASET, JOB


def graph_of_atlas(server: AtlasServer, namespace: str, jobs: int) -> LineageGraph:
    """Ask for all jobs and datasets of a namespace.

    Args:
        server: the Atlas.
        namespace: of jobs and datasets.
        jobs: how many there are at least; it waits until they can be found.

    Returns:
        The graph. Of runs Atlas has the last one of each job, without its start.
    """
    reads: set[tuple[Name, Name]] = set()
    writes: set[tuple[Name, Name]] = set()
    columns: set[tuple[Column, Column]] = set()
    runs: dict[Name, Counter[str]] = {}
    for job in server.wait_for(JOB, namespace, jobs):
        name = _name(job)
        reads |= {(_name(each), name) for each in _referred(server, job, "inputs")}
        writes |= {(name, _name(each)) for each in _referred(server, job, "outputs")}
        runs[name] = Counter([job["attributes"]["state"]])
        for part in _related(server, job, "columnLineage"):
            columns |= {
                (_column(server, source), _column(server, target))
                for source in _referred(server, part, "inputs")
                for target in _referred(server, part, "outputs")
            }
    assertions = {
        _name(each): {name.split("(")[0]: text == "passed" for name, text in made.items()}
        for each in server.entities(DATASET, namespace)
        if (made := each["attributes"]["assertions"])
    }
    return LineageGraph(
        "Atlas",
        frozenset(reads),
        frozenset(writes),
        runs,
        columns=frozenset(columns),
        assertions=assertions,
    )


def columns_of(server: AtlasServer, qualified_name: str) -> dict[str, str | None]:
    """List the columns of a dataset, in order, with their types.

    Args:
        server: the Atlas.
        qualified_name: of the dataset.

    Returns:
        By name, the types.
    """
    dataset = server.entity(DATASET, qualified_name)["entity"]
    columns = [each["attributes"] for each in _related(server, dataset, "columns")]
    return {each["name"]: each["type"] for each in sorted(columns, key=lambda c: c["position"])}


def _referred(server: AtlasServer, entity: Json, attribute: str) -> list[Json]:
    guids = [each["guid"] for each in entity["attributes"][attribute] or []]
    return [server.get(f"entity/guid/{guid}")["entity"] for guid in guids]


def _related(server: AtlasServer, entity: Json, attribute: str) -> list[Json]:
    """Return the entities at the other ends of relationships, without what is deleted."""
    guids = [
        each["guid"]
        for each in entity["relationshipAttributes"].get(attribute) or []
        if each["entityStatus"] == "ACTIVE" and each["relationshipStatus"] == "ACTIVE"
    ]
    return [server.get(f"entity/guid/{guid}")["entity"] for guid in guids]


def _name(entity: Json) -> Name:
    assert entity["typeName"] in (DATASET, JOB)
    return entity["attributes"]["namespace"], entity["attributes"]["name"]


def _column(server: AtlasServer, column: Json) -> Column:
    assert column["typeName"] in (COLUMN, COLUMN_LINEAGE)
    [dataset] = [column["relationshipAttributes"]["dataset"]]
    return _name(server.get(f"entity/guid/{dataset['guid']}")["entity"]), column["attributes"][
        "name"
    ]
