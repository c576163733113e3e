"""Real integrations: what both mechanisms send is what Dagster and the database say."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pytest

import every_event_is_valid
from openlineage_dagster_core.identity import asset_path
from real_projects.recording import IDENTITIES, MECHANISMS, NAMESPACE, Recording
from recorded_run import check_runs

Json = dict[str, Any]
Fields = tuple[tuple[str, str | None], ...] | None
"""Names and types of columns, in order; None for a dataset without a schema."""

OF_ONE_EVENT = frozenset({"version", "columnLineage", "dataQualityMetrics"})
"""Facets of a dataset that say what one materialization made; all others describe the asset."""

pytestmark = [
    # The first test of a project runs it.
    pytest.mark.timeout(900),
    # The integrations and their tools use what others deprecate.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.parametrize("mechanism", MECHANISMS),
]

with_each_identity = pytest.mark.parametrize("identity", IDENTITIES)


@with_each_identity
def test_every_event_passes_the_official_schemas(
    recording: Recording, mechanism: str, identity: str
) -> None:
    events = recording.events(mechanism, identity)
    assert events
    for event in events:
        every_event_is_valid.check(event)


def test_edges_equal_the_asset_graph(recording: Recording, run: str, mechanism: str) -> None:
    found = defaultdict(set)
    for event in _of_assets(recording.events_of_run(mechanism, "asset", run)):
        found[event["job"]["name"]].add((_names(event["inputs"]), _names(event["outputs"])))
    assert dict(found) == {
        asset_path(key): {(_paths(parents), _paths([key]))}
        for key, parents in _planned(recording, run).items()
    }


@with_each_identity
def test_events_of_a_run_agree(
    recording: Recording, run: str, mechanism: str, identity: str
) -> None:
    events = recording.events_of_run(mechanism, identity, run)
    check_runs(events)
    sides = defaultdict(set)
    for event in events:
        described = tuple(
            tuple((each["namespace"], each["name"], _description(each)) for each in event[side])
            for side in ("inputs", "outputs")
        )
        sides[event["job"]["name"], event["run"]["runId"]].add(described)
    assert {job: found for job, found in sides.items() if len(found) > 1} == {}


@with_each_identity
def test_what_the_integration_makes_is_described(
    recording: Recording, run: str, mechanism: str, identity: str
) -> None:
    by_name = {
        ("file", str(each.file))
        if each.file and identity == "physical"
        else ("dagster", path): each
        for path, each in recording.project.described.items()
    }
    if not by_name:
        pytest.skip("its database describes it")
    for event in _of_assets(recording.events_of_run(mechanism, identity, run)):
        for dataset in [*event["inputs"], *event["outputs"]]:
            expected = by_name[dataset["namespace"], dataset["name"]]
            assert (_fields(dataset) or ()) == tuple(expected.columns.items())
            assert expected.facets <= dataset["facets"].keys()
        if event["eventType"] == "COMPLETE":
            [made] = event["outputs"]
            expected = by_name[made["namespace"], made["name"]]
            assert expected.made_with <= made["facets"].keys() | made["outputFacets"].keys()


@with_each_identity
def test_column_lineage_names_columns_of_the_inputs(
    recording: Recording, run: str, mechanism: str, identity: str
) -> None:
    read = []
    for event in _of_assets(recording.events_of_run(mechanism, identity, run)):
        columns = {
            (each["namespace"], each["name"]): dict(fields) if (fields := _fields(each)) else None
            for each in event["inputs"]
        }
        for dataset in event["outputs"]:
            for field in dataset["facets"].get("columnLineage", {"fields": {}})["fields"].values():
                for source in field["inputFields"]:
                    known = columns[source["namespace"], source["name"]]
                    # Of a source that nothing in Dagster writes, the columns are not known.
                    assert known is None or source["field"] in known
                    read.append(source)
    assert bool(read) == (recording.name == "dbt")


@with_each_identity
def test_the_schema_is_the_databases(
    recording: Recording, run: str, mechanism: str, identity: str
) -> None:
    there = recording.runs[run]
    by_name = {}
    for path in _materialized_by_then(recording, run) & recording.project.tables.keys():
        table = recording.project.tables[path]
        if identity == "asset":
            by_name[path] = table
        else:
            by_name |= {there.columns(each).full_name: each for each in table.with_children()}
    wrong = []
    for event in _of_assets(recording.events_of_run(mechanism, identity, run)):
        for dataset in [*event["inputs"], *event["outputs"]]:
            table = by_name.get(dataset["name"])
            if table is None:
                continue
            types = there.columns(table).types
            expected = tuple((name, table.types.get(kind, kind)) for name, kind in types.items())
            if _fields(dataset) != expected:
                found = _fields(dataset)
                wrong.append((event["job"]["name"], event["eventType"], found, expected))
    assert wrong == []


def test_readers_have_the_schema_of_the_writer(
    recording: Recording, run: str, mechanism: str
) -> None:
    schemas = defaultdict(set)
    for event in _of_assets(recording.events_of_run(mechanism, "asset", run)):
        for dataset in [*event["inputs"], *event["outputs"]]:
            schemas[dataset["name"]].add(_fields(dataset))
    assert {name: found for name, found in schemas.items() if len(found) > 1} == {}


def test_a_start_has_the_schema_of_the_run_before(recording: Recording, mechanism: str) -> None:
    first = _schemas_of(recording.events_of_run(mechanism, "asset", "first"), "COMPLETE")
    second = _schemas_of(recording.events_of_run(mechanism, "asset", "second"), "START")
    assert first
    assert second == first


def test_physical_names_are_the_databases(recording: Recording, run: str, mechanism: str) -> None:
    tables, there = recording.project.tables, recording.runs[run]
    graph = recording.project.definitions.get_repository_def().asset_graph

    def names_of(path: str) -> list[tuple[str, str]]:
        found = tables[path].with_children() if path in tables else ()
        return [(NAMESPACE, there.columns(table).full_name) for table in found]

    wrong = []
    for event in _of_assets(recording.events_of_run(mechanism, "physical", run)):
        path = event["job"]["name"]
        read = [names_of(asset_path(key)) for key in graph.get(_key(path)).parent_keys]
        # The asset that is read is the table itself; the asset that is made, its children as well.
        first = {name for names in read for name in names[:1]}
        for side, expected in (("inputs", first), ("outputs", set(names_of(path)))):
            # What is no table of the project may have any name outside of the database.
            found = {(each["namespace"], each["name"]) for each in event[side]}
            if {each for each in found if each[0] == NAMESPACE} != expected:
                wrong.append((path, side, found, expected))
    assert wrong == []


def test_both_mechanisms_send_the_same(recording: Recording, run: str, mechanism: str) -> None:
    others = [
        recording.events_of_run(other, "asset", run) for other in MECHANISMS if other != mechanism
    ]
    for other in others:
        assert _by_run(recording.events_of_run(mechanism, "asset", run)) == _by_run(other)


def _of_assets(events: Iterable[Json]) -> list[Json]:
    return [each for each in events if each["job"]["facets"]["jobType"]["jobType"] == "ASSET"]


def _planned(recording: Recording, run: str) -> dict[dg.AssetKey, Iterable[dg.AssetKey]]:
    graph = recording.project.definitions.get_repository_def().asset_graph
    return {key: graph.get(key).parent_keys for key in recording.runs[run].planned}


def _materialized_by_then(recording: Recording, run: str) -> set[str]:
    found: set[str] = set()
    for name, each in recording.runs.items():
        found |= {asset_path(key) for key in each.materialized}
        if name == run:
            break
    return found


def _names(datasets: Iterable[Json]) -> tuple[str, ...]:
    return tuple(sorted(dataset["name"] for dataset in datasets))


def _paths(keys: Iterable[dg.AssetKey]) -> tuple[str, ...]:
    return tuple(sorted(map(asset_path, keys)))


def _key(path: str) -> dg.AssetKey:
    return dg.AssetKey(path.split("/"))


def _fields(dataset: Json) -> Fields:
    facet = dataset["facets"].get("schema")
    if facet is None:
        return None
    return tuple((field["name"], field.get("type")) for field in facet["fields"])


def _description(dataset: Json) -> str:
    facets = {name: facet for name, facet in dataset["facets"].items() if name not in OF_ONE_EVENT}
    return json.dumps(facets, sort_keys=True)


def _schemas_of(events: Iterable[Json], state: str) -> dict[str, Fields]:
    return {
        dataset["name"]: _fields(dataset)
        for event in _of_assets(events)
        if event["eventType"] == state
        for dataset in [*event["inputs"], *event["outputs"]]
    }


def _by_run(events: Iterable[Json]) -> dict[str, list[Json]]:
    by_run = defaultdict(list)
    for event in events:
        by_run[event["run"]["runId"]].append(event)
    return by_run
